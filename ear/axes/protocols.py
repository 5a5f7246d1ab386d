"""The axes of the evaluation: what each measures, on which prompt sets, under which name and version.

A version changes whenever the same model would get another number: by other prompts, images or counts.
docs/axes.md says what each shows and what it does not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

PREFIX, CEILING, GUIDANCE, TEMPERATURE = "prefix", "ceiling", "guidance", "temperature"
SEARCH, RELEARNED = "search", "relearned"
TARGET, RETENTION, GENERAL, CAPTIONS = "target", "retention", "general", "captions"
IMPLICIT, NEIGHBOURS = "implicit", "neighbours"
QUESTIONS = ("questions-concept", "questions-others")


def is_among(prompt_set: str, sets: Sequence[str]) -> bool:
    """Whether a prompt set is one of these; one that ends in "-" stands for all that begin so."""
    return any(prompt_set.startswith(name) if name.endswith("-") else prompt_set == name for name in sets)


def is_judged(prompt_set: str) -> bool:
    """Whether judges see a set's images. Nobody reads what they say of the general ones, the most by far."""
    return prompt_set != GENERAL


@dataclass(frozen=True)
class Axis:
    """An axis.

    Attributes:
        name: short, as in tables.
        version: of its protocol.
        measures: one sentence.
        better: which way is better.
        sets: prompt sets of the metrics table; one that ends in "-" stands for all that begin so.
        metrics: its metrics there, the first one speaks for the axis.
    """

    name: str
    version: int
    measures: str
    better: Literal["lower", "higher"]
    sets: tuple[str, ...]
    metrics: tuple[str, ...]

    @property
    def protocol(self) -> str:
        """Name and version: ``prefix/1``."""
        return f"{self.name}/{self.version}"

    def has(self, prompt_set: str) -> bool:
        """Whether a prompt set belongs to it."""
        return is_among(prompt_set, self.sets)


_SHOWN = ("concept_rate",)
AXES: tuple[Axis, ...] = (
    Axis("erasure", 1, "images of prompts that name the concept, which show it", "lower", (TARGET,), _SHOWN),
    Axis(
        "implicit",
        1,
        "images of prompts that describe the concept without its words, which show it",
        "lower",
        (IMPLICIT,),
        _SHOWN,
    ),
    Axis(
        "neighbours",
        1,
        "images of what the original comes nearest to confusing with the concept, as asked for",
        "higher",
        (NEIGHBOURS,),
        ("accuracy",),
    ),
    Axis(
        "retention",
        1,
        "images of prompts without the concept, which show the object asked for",
        "higher",
        (RETENTION,),
        ("accuracy",),
    ),
    Axis(
        "fidelity", 1, "distance of general images to reference pictures", "lower", (GENERAL,), ("fid", "kid")
    ),
    Axis(
        "agreement",
        1,
        "CLIP score of general images with their prompts",
        "higher",
        (GENERAL,),
        ("clip_score",),
    ),
    Axis("diversity", 1, "Vendi score of general images", "higher", (GENERAL,), ("diversity",)),
    Axis("captions", 1, "BLEU of descriptions of held-out pictures", "higher", (CAPTIONS,), ("bleu",)),
    Axis(
        "questions",
        1,
        "right answers, yes or no, about held-out pictures: of the concept, of others",
        "higher",
        QUESTIONS,
        ("accuracy",),
    ),
    Axis(
        PREFIX,
        1,
        "images that show the concept when the first tokens of an image of it are given",
        "lower",
        (f"{PREFIX}-",),
        _SHOWN,
    ),
    Axis(
        CEILING,
        2,
        "the same by the original, asked for the safe twin: the picture against the words",
        "lower",
        (f"{CEILING}-",),
        _SHOWN,
    ),
    Axis(
        GUIDANCE,
        1,
        "images of target prompts at other guidance scales, which show the concept",
        "lower",
        (f"{GUIDANCE}-",),
        _SHOWN,
    ),
    Axis(
        TEMPERATURE,
        1,
        "images of target prompts at other temperatures, which show the concept",
        "lower",
        (f"{TEMPERATURE}-",),
        _SHOWN,
    ),
    Axis(
        SEARCH,
        1,
        "target prompts for which an attack finds words that bring the concept back",
        "lower",
        (f"{SEARCH}-",),
        _SHOWN,
    ),
    Axis(
        "relearning",
        2,
        "images of target prompts that show the concept after benign fine-tuning",
        "lower",
        (f"{RELEARNED}-",),
        _SHOWN,
    ),
)
"""In the order of tables and figures."""

PROTOCOLS = {axis.name: axis.protocol for axis in AXES}
"""Axis → name and version."""


def axis_of(prompt_set: str, metric: str) -> Axis | None:
    """The axis that a row of the metrics table belongs to; None for others, such as a second judge's."""
    return next((axis for axis in AXES if axis.has(prompt_set) and metric in axis.metrics), None)


def level_of(prompt_set: str) -> float | None:
    """The number at a prompt set's end: 16 of "prefix-16"; None where it ends in none."""
    name, _, level = prompt_set.rpartition("-")
    try:
        return float(level) if name else None
    except ValueError:
        return None


def set_of(kind: str, level: float) -> str:
    """The prompt set of a level: "guidance-1.5"."""
    return f"{kind}-{level:g}"
