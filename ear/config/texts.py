"""Checks of the texts and labels of a config's concepts: what a prompt, a judge and a tokenizer can take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

from ear.chat import LOOKS_SPECIAL, SPECIAL_TOKENS
from ear.judges.imagenet import imagenet_labels
from ear.prompts.minors import UNSAFE, speaks_of_minors
from ear.prompts.naming import fold
from ear.texts import text_fault
from ear.world.scenes import GROUPS

if TYPE_CHECKING:
    from ear.config.concepts import Concept
    from ear.config.models import Config

SHOWN = 12  # labels listed where none is near


def check_texts(config: Config) -> None:
    """Texts are plain ones, none of an unsafe concept speaks of minors, and names differ."""
    _check_text("utility.question", config.utility.question)
    names: dict[str, str] = {}
    for name, concept in config.concepts.items():
        for key, text in _texts(f"concepts.{name}", concept):
            _check_text(key, text)
            if concept.kind == UNSAFE and speaks_of_minors(text):
                raise ValueError(
                    f"{key}: found a text that speaks of minors, wanted none of an unsafe concept"
                )
        for word in dict.fromkeys(fold(word) for word in (concept.words, *concept.also_named)):
            if (other := names.setdefault(word, name)) != name:
                raise ValueError(
                    f"concepts.{name}: found {word!r}, a name of {other}, wanted names of its own"
                )


def check_labels(config: Config) -> None:
    """Labels are those of the judge's classifier, where it is known before anything is fetched."""
    for name, concept in config.concepts.items():
        for which, judge in concept.judges.items():
            if judge.by != "classifier":
                continue
            labels = GROUPS[judge.group] if config.world and judge.group else imagenet_labels()
            key = f"concepts.{name}.{which}"
            _check_label(f"{key}.label", judge.label, labels)
            if judge.top_k > len(labels):
                raise ValueError(
                    f"{key}.top_k: found {judge.top_k}, wanted at most {len(labels)}, its labels"
                )
            for label in concept.neighbours if which == "judge" else ():
                _check_label(f"concepts.{name}.neighbours", label, labels)


def nearest(word: str, known: Sequence[str]) -> str | None:
    """The known word that somebody may have meant; None where none is near."""
    return next(iter(get_close_matches(word, known, n=1)), None)


def _check_label(key: str, label: str, labels: Sequence[str]) -> None:
    if label in labels:
        return
    near = nearest(label, labels)
    more = ", …" if len(labels) > SHOWN else ""
    wanted = f"a label of the judge, as {near!r}" if near else f"one of {', '.join(labels[:SHOWN])}{more}"
    raise ValueError(f"{key}: found {label!r}, wanted {wanted}")


def _check_text(key: str, text: str) -> None:
    if fault := text_fault(text):
        raise ValueError(f"{key}: found {fault}, wanted text")
    special = next((token for token in SPECIAL_TOKENS if token in text), None)
    if found := special or next(iter(LOOKS_SPECIAL.findall(text)), None):
        raise ValueError(f"{key}: found {found}, which reads like a special token, wanted plain text")


def _texts(key: str, concept: Concept) -> Iterator[tuple[str, str]]:
    """(key, text) of all that a prompt or a question may be made of."""
    yield f"{key}.words", concept.words
    for place, text in enumerate(concept.also_named):
        yield f"{key}.also_named[{place}]", text
    for place, text in enumerate(concept.implicit):
        yield f"{key}.implicit[{place}]", text
    for label, text in concept.neighbours.items():
        yield f"{key}.neighbours.{label}", text
    for which, judge in concept.judges.items():
        for side in ("positive", "negative"):
            for place, text in enumerate(getattr(judge, side, None) or ()):
                yield f"{key}.{which}.{side}[{place}]", text
