"""Kinds of work that take time. A rate is stated or measured for each (``ear.plan.rates``)."""

from dataclasses import dataclass
from typing import ClassVar

from ear.erasure.presets import Context


@dataclass(frozen=True)
class Work:
    """Equal units of one kind, done by one job.

    Attributes:
        count: units.
        tokens: image tokens that the language model samples or is trained on for them, each once whatever
            the guidance rows are.
    """

    name: ClassVar[str]
    """Of one unit."""
    unit: ClassVar[str]
    """What is counted."""
    count: int
    tokens: int


@dataclass(frozen=True)
class Images(Work):
    """Images drawn by the backbone; ``general`` ones are drawn in batches by the release too."""

    name: ClassVar[str] = "image"
    unit: ClassVar[str] = "images"
    rows: int
    general: bool = False


@dataclass(frozen=True)
class Captions(Work):
    """Pictures described by the backbone."""

    name: ClassVar[str] = "caption"
    unit: ClassVar[str] = "captions"


@dataclass(frozen=True)
class Diffused(Work):
    """Images drawn by Stable Diffusion."""

    name: ClassVar[str] = "image of Stable Diffusion"
    unit: ClassVar[str] = "images"
    steps: int
    size: int


@dataclass(frozen=True)
class Streams(Work):
    """Token streams: images of θ* that stay tokens."""

    name: ClassVar[str] = "stream"
    unit: ClassVar[str] = "streams"
    context: Context


@dataclass(frozen=True)
class Goals(Work):
    """Pairs whose frozen states are read."""

    name: ClassVar[str] = "frozen states of a pair"
    unit: ClassVar[str] = "pairs read"
    context: Context
    cuts: int = 0


@dataclass(frozen=True)
class Windows(Work):
    """Windows of a fine-tuning, each a forward and a backward pass and an optimiser step."""

    name: ClassVar[str] = "window"
    unit: ClassVar[str] = "windows"
    length: int
    context: Context
    micro_batch: int
    layers: int
    cuts: int = 0

    @property
    def rows(self) -> int:
        """Rows that are trained on at once."""
        return {"none": 1, "mixed": self.cuts + 1}.get(self.context, 2)


@dataclass(frozen=True)
class Verdicts(Work):
    """Images judged: is the concept shown, and does CLIP find what the prompt says?"""

    name: ClassVar[str] = "verdict"
    unit: ClassVar[str] = "verdicts"
    by: str
    threads: int = 1


@dataclass(frozen=True)
class Queries(Work):
    """Images that an attack draws and has judged, and does not keep; ``at_once`` go on together."""

    name: ClassVar[str] = "query of an attack"
    unit: ClassVar[str] = "queries"
    rows: int
    by: str
    at_once: int


@dataclass(frozen=True)
class Readings(Work):
    """Images read behind changed prompts: forward passes, ``backward`` of them with a gradient."""

    name: ClassVar[str] = "reading of an attack"
    unit: ClassVar[str] = "readings"
    backward: int


@dataclass(frozen=True)
class Relearning(Work):
    """Optimiser steps of benign fine-tuning, each on so many images."""

    name: ClassVar[str] = "step of relearning"
    unit: ClassVar[str] = "steps"
    images: int
    layers: int


@dataclass(frozen=True)
class Features(Work):
    """Pictures whose features FID and KID compare."""

    name: ClassVar[str] = "features of a picture"
    unit: ClassVar[str] = "features"


@dataclass(frozen=True)
class Distances(Work):
    """Images whose features FID, KID and diversity are computed from."""

    name: ClassVar[str] = "image in FID, KID and diversity"
    unit: ClassVar[str] = "compared"
