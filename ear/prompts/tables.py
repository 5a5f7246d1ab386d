"""The data model of prompts, and the checks that hold for every source of them.

Two tables: candidate pairs (pair_id, unsafe_prompt, safe_prompt, concept, replacement, source) and evaluation
prompts (prompt_id, prompt_set, prompt, object).
"""

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from ear.errors import InputError
from ear.prompts.naming import named

PAIR_COLUMNS = ["pair_id", "unsafe_prompt", "safe_prompt", "concept", "replacement", "source"]
PROMPT_COLUMNS = ["prompt_id", "prompt_set", "prompt", "object"]
NO_PAIRS, NO_PROMPTS = pd.DataFrame(columns=PAIR_COLUMNS), pd.DataFrame(columns=PROMPT_COLUMNS)
REMOVED = "(removed)"
"""Replacement of a concept that the safe prompt just leaves out."""

SAMPLE = "@"
"""Between a prompt's id and the number of a further image of it: "church/target/0003@1"."""


FRAMES = (
    "a photo of {}",
    "a painting of {}",
    "{} in the snow",
    "{} at night",
    "{} in the early morning, seen from afar",
)
"""Of prompts about a neighbour of a concept."""


def with_samples(prompts: pd.DataFrame, samples: int) -> pd.DataFrame:
    """Prompts with a row for each image: of target and retention prompts ``samples``, of all others one.

    The first images' rows come first, under their prompts' own ids.
    """
    repeated = prompts[prompts["prompt_set"].isin(["target", "retention"])]
    further = [
        repeated.assign(prompt_id=[f"{prompt_id}{SAMPLE}{number}" for prompt_id in repeated["prompt_id"]])
        for number in range(1, samples)
    ]
    return pd.concat([prompts, *further], ignore_index=True)


def first_targets(prompts: pd.DataFrame, count: int) -> pd.DataFrame:
    """The first target prompts, those which windows, conditions and attacks draw once more."""
    return prompts[prompts["prompt_set"] == "target"].head(count).reset_index(drop=True)


def prompt_of(ids: pd.Series) -> pd.Series:
    """The prompt that each image is of: images of one prompt are not independent."""
    return ids.str.split(SAMPLE, n=1).str[0]


def general_of(general: pd.DataFrame, words: str, count: int) -> pd.DataFrame:
    """A concept's general prompts: the first of the shared ones that do not name it."""
    return general[[not named(prompt, [words]) for prompt in general["prompt"]]].head(count)


def indirect_prompts(concept: str, implicit: Sequence[str], neighbours: Mapping[str, str]) -> pd.DataFrame:
    """Rows of the prompt sets "implicit" and "neighbours".

    Args:
        concept: its name in the experiment.
        implicit: prompts that describe it without its words.
        neighbours: label of the judge → how a prompt names it ("a castle"), each in every one of ``FRAMES``.

    Returns:
        ``PROMPT_COLUMNS``; the object of a neighbour is its label.
    """
    asked = [(frame.format(phrase), label) for frame in FRAMES for label, phrase in neighbours.items()]
    described = [(text, float("nan")) for text in implicit]
    rows = [
        (f"{concept}/{name}/{number:04d}", name, *one)
        for name, texts in (("implicit", described), ("neighbours", asked))
        for number, one in enumerate(texts)
    ]
    return pd.DataFrame(rows, columns=PROMPT_COLUMNS)


def check_prompts(
    concept: str,
    words: str,
    pairs: pd.DataFrame = NO_PAIRS,
    prompts: pd.DataFrame = NO_PROMPTS,
    training: Iterable[str] = (),
) -> None:
    """Check a concept's prompts, all or pairs or evaluation prompts alone, before anything is drawn.

    Args:
        concept: its name, for messages.
        words: how a prompt names the concept (``ear.prompts.naming``).
        pairs: candidate pairs.
        prompts: evaluation prompts of some sets.
        training: captions that the backbone was trained on; empty where they are not known.

    Raises:
        InputError: an id or a prompt occurs twice, a prompt is in two sets, in a pair or among the training
            captions; an unsafe or target prompt does not name the concept; a safe, retention or general
            prompt does.
    """
    sets = {str(name): rows["prompt"] for name, rows in prompts.groupby("prompt_set")}
    for column, values in {"pair_id": pairs["pair_id"], "prompt_id": prompts["prompt_id"], **sets}.items():
        if values.duplicated().any():
            twice = values[values.duplicated()].iloc[0]
            raise InputError(f"{concept}: {column}: found {twice!r} twice, wanted it once")
    sources: dict[str, str] = {}
    pair_texts = [*pairs["unsafe_prompt"], *pairs["safe_prompt"]]
    for source, texts in {"training captions": training, "pairs": pair_texts, **sets}.items():
        for text in texts:
            if sources.setdefault(text, source) != source:
                raise InputError(
                    f"{concept}: found prompt {text!r} in {sources[text]} and in {source}, wanted it in one"
                )
    naming = {"unsafe_prompt": pairs["unsafe_prompt"], "safe_prompt": pairs["safe_prompt"], **sets}
    for column, texts in naming.items():
        wanted = column in ("unsafe_prompt", "target")
        for text in texts:
            if bool(named(text, [words])) != wanted:
                said = "one that names" if wanted else "one that does not name"
                raise InputError(f"{concept}: {column}: found {text!r}, wanted {said} {words!r}")
