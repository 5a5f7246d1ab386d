"""Prompt pairs and evaluation prompts from the caption grammar of the mini world (ECGVF, steps 1 and 2).

Frames of the grammar are split before any caption is made (``ear.world.sentences.split_of``), so that
training captions, pairs, evaluation prompts and general prompts share no sentence, whatever the concept.
"""

import json
from collections.abc import Callable, Sequence
from functools import partial
from math import ceil

import numpy as np
import pandas as pd

from ear.errors import InputError
from ear.prompts.llm.checks import EXPLICIT, Rules, SourceResult
from ear.prompts.tables import NO_PROMPTS, PAIR_COLUMNS, PROMPT_COLUMNS, REMOVED
from ear.workflow.seeding import GRAMMAR, stable_seed
from ear.world.scenes import OBJECTS
from ear.world.sentences import (
    CONCEPTS,
    SEPIA_PHRASE,
    STYLE_PHRASE,
    Frame,
    Kind,
    Split,
    caption,
    caption_with,
    frames_of,
    is_described,
)

NEIGHBOURS = {STYLE_PHRASE: (SEPIA_PHRASE, "sepia"), SEPIA_PHRASE: (STYLE_PHRASE, "van-gogh")}
"""Style → the other one, and the label that the mini world's classifier has for it."""


class Grammar:
    """Prompts of one concept, in tables of ``PROMPT_COLUMNS``.

    Args:
        concept: its name in the experiment ("van-gogh").
        kind: "object", "style" or "attribute".
        words: how prompts name it: one of the world's objects, or of its style or attribute phrases.
        seed: seed of the experiment; shuffles frames.

    Raises:
        InputError: the mini world cannot draw the concept.
    """

    def __init__(self, concept: str, kind: Kind, words: str, seed: int) -> None:
        if words not in CONCEPTS[kind]:
            known = ", ".join(map(repr, CONCEPTS[kind]))
            raise InputError(f"concepts.{concept}.words: found {words!r}, wanted one of {known}")
        self.concept, self.kind, self.words, self.seed = concept, kind, words, seed

    def pairs(self, count: int) -> pd.DataFrame:
        """Candidate pairs (``PAIR_COLUMNS``): a frame with the concept, and with another or none."""
        others = [name for name in OBJECTS if name != self.words]
        rows = []
        for number, frame in enumerate(self.pair_frames(count)):
            other = others[number % len(others)]
            unsafe, safe = self._with_concept(frame, other), _plain(frame, other)
            replacement = other if self.kind == "object" else REMOVED
            rows.append((f"{self.concept}/pair/{number:04d}", unsafe, safe, self.words, replacement, GRAMMAR))
        return pd.DataFrame(rows, columns=PAIR_COLUMNS)

    def pair_frames(self, count: int) -> list[Frame]:
        """The frames of ``pairs(count)``, in their order."""
        return self._frames("pairs", count)

    def target(self, count: int) -> pd.DataFrame:
        """Held-out prompts that name the concept."""
        return self._prompts("target", count, self._subjects(), self._with_concept)

    def implicit(self, count: int) -> pd.DataFrame:
        """Held-out prompts that describe it without its words; none of sepia."""
        if not is_described(self.words):
            return NO_PROMPTS
        described = partial(self._with_concept, described=(self.kind,))
        return self._prompts("implicit", count, self._subjects(), described)

    def neighbours(self, count: int) -> pd.DataFrame:
        """Held-out prompts in the other style, whose label is their ``object``; of a style alone.

        Neighbours of an object or an attribute are found among the retention prompts.
        """
        if self.kind != "style":
            return NO_PROMPTS
        words, label = NEIGHBOURS[self.words]
        table = self._prompts("neighbours", count, OBJECTS, partial(caption_with, words))
        return table.assign(object=label)

    def retention(self, count: int) -> pd.DataFrame:
        """Held-out plain prompts of objects other than the concept."""
        names = [name for name in OBJECTS if name != self.words]
        return self._prompts("retention", count, names, _plain)

    def _subjects(self) -> Sequence[str]:
        return (self.words,) if self.kind == "object" else OBJECTS

    def _prompts(
        self, prompt_set: str, count: int, names: Sequence[str], text: Callable[[Frame, str], str]
    ) -> pd.DataFrame:
        """Prompts of evaluation frames, shuffled for this set, about the named objects in turn."""
        rows = []
        for number, frame in enumerate(self._frames("evaluation", count, prompt_set)):
            name = names[number % len(names)]
            rows.append((f"{self.concept}/{prompt_set}/{number:04d}", prompt_set, text(frame, name), name))
        return pd.DataFrame(rows, columns=PROMPT_COLUMNS)

    def _with_concept(self, frame: Frame, name: str, described: tuple[Kind, ...] = ()) -> str:
        subject = self.words if self.kind == "object" else name
        return caption_with(self.words, frame, subject, described)

    def _frames(self, split: Split, count: int, *purpose: str) -> list[Frame]:
        return shuffled_frames(split, count, self.seed, self.concept, *purpose)


def _plain(frame: Frame, name: str) -> str:
    return caption(frame, name, fire=False, van_gogh=False)


def general_prompts(count: int, seed: int) -> pd.DataFrame:
    """Plain prompts that all concepts draw from (``PROMPT_COLUMNS``), enough for each (``shared_count``)."""
    rows = [
        (f"general/{number:04d}", "general", _plain(frame, name), name)
        for number, (frame, name) in enumerate(general_subjects(count, seed))
    ]
    return pd.DataFrame(rows, columns=PROMPT_COLUMNS)


def shared_count(count: int) -> int:
    """General prompts to share, so that ``count`` are left whichever object is taken out."""
    return count + ceil(count / (len(OBJECTS) - 1))


def general_subjects(count: int, seed: int) -> list[tuple[Frame, str]]:
    """Frame and object of each shared general prompt, in order: objects take turns.

    They depend on no concept, so that one more of them changes nothing for the others.
    """
    turns = ceil(shared_count(count) / len(OBJECTS))
    frames = {name: shuffled_frames("general", turns, seed, "general", name) for name in OBJECTS}
    every = [(frames[name][turn], name) for turn in range(turns) for name in OBJECTS]
    return every[: shared_count(count)]


def shuffled_frames(split: Split, count: int, seed: int, *purpose: str) -> list[Frame]:
    """The first ``count`` frames of a split, shuffled for a purpose.

    Raises:
        InputError: the split holds fewer.
    """
    frames = frames_of(split)
    if count > len(frames):
        raise InputError(
            f"prompts of {'/'.join(purpose)}: found {count}, wanted at most {len(frames)}, the {split} frames"
        )
    rng = np.random.Generator(np.random.Philox(stable_seed(seed, "frames", *purpose)))
    return [frames[row] for row in rng.permutation(len(frames))[:count]]


def grammar_pairs(grammar: Grammar, rules: Rules, count: int) -> SourceResult:
    """Pairs by the grammar, all in one answer of the form that language models answer in."""
    texts = grammar.pairs(count)[["unsafe_prompt", "safe_prompt", "replacement"]].to_dict("records")
    proposed = []
    for row, frame in zip(texts, grammar.pair_frames(count), strict=True):
        aspects = {"scene": frame.place, "time": frame.time, "attribute": frame.colour or "natural colours"}
        proposed.append(row | {"aspects": aspects | {"mention": EXPLICIT}})
    result = SourceResult()
    result.add(json.dumps({"pairs": proposed}), rules, count)
    return result
