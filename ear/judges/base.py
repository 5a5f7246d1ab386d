"""The interface of all judges of the concept in an image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from PIL import Image


class Detection(NamedTuple):
    """One thing that a detector found in an image; the box in pixels of the image."""

    label: str
    score: float
    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class Verdicts:
    """Verdicts on a batch of N images.

    Attributes:
        shown: (N,) bool, whether the concept is in the image.
        score: (N,) float32 in [0, 1], how sure the judge is that it is.
        rank: (N,) int64, place of the concept's label among all labels, 1 = most likely; None for judges that
            do not rank.
        objects: (N,) the most likely object; None for judges that know no objects.
        detections: what was found in each image; None for judges that detect nothing.
    """

    shown: np.ndarray
    score: np.ndarray
    rank: np.ndarray | None = None
    objects: list[str] | None = None
    detections: list[list[Detection]] | None = None


class Judge(Protocol):
    """Says of each image whether one concept is in it."""

    @property
    def protocol(self) -> str:
        """Name and version of the rule that makes verdicts of a model's output: ``classifier-top1/1``."""

    def judge(self, images: Sequence[Image.Image]) -> Verdicts:
        """Judge RGB images of any size; the judge resizes as its model wants."""
