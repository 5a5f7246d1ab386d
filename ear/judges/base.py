"""The interface of all judges of the concept in an image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Verdicts:
    """Verdicts on a batch of N images.

    Attributes:
        shown: (N,) bool, whether the concept is in the image.
        score: (N,) float32 in [0, 1], how sure the judge is that it is.
    """

    shown: np.ndarray
    score: np.ndarray


class Judge(Protocol):
    """Says of each image whether one concept is in it."""

    @property
    def protocol(self) -> str:
        """Name and version of the rule that makes verdicts of a model's output: ``classifier-top1/1``."""

    def judge(self, images: Sequence[Image.Image]) -> Verdicts:
        """Judge RGB images of any size; the judge resizes as its model wants."""
