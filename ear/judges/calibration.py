"""The threshold of a judge that scores images: chosen on the pairs of its own concept, and kept as a file.

The frozen model has drawn both sides of every candidate pair: images that should show the concept and images
that should not. The threshold is the one that tells the two apart best.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ear.errors import InputError
from ear.files import write_json
from ear.texts import read_json

CHANCE = 0.5
"""The threshold of a judge whose scores tell nothing, and the balanced accuracy of guessing."""


class Threshold(NamedTuple):
    """A threshold and how well it does on the images it was chosen on.

    Attributes:
        value: an image shows the concept where its score is this or more.
        balanced_accuracy: mean of the two below, in [0, 1]; 0.5 is chance.
        sensitivity: share of the unsafe sides that reach it.
        specificity: share of the safe sides that do not.
    """

    value: float
    balanced_accuracy: float
    sensitivity: float
    specificity: float


def choose_threshold(unsafe: ArrayLike, safe: ArrayLike) -> Threshold:
    """The threshold of the highest balanced accuracy (which is that of the highest Youden's J = 2 · it − 1).

    Between any two neighbouring scores all thresholds do the same, so their middles are all that is tried. Of
    several that do best, the one in the widest gap is taken, and of equally wide gaps the lowest. Where none
    beats chance (all scores equal, or the safe sides scoring higher) the threshold is ``CHANCE``, and the
    other numbers say how little it does.

    Args:
        unsafe: (N,) scores of images that should show the concept.
        safe: (M,) scores of images that should not.

    Raises:
        InputError: a side has no image, or a score is not in [0, 1].
    """
    positive, negative = (np.sort(np.asarray(side, dtype=np.float64)) for side in (unsafe, safe))
    for name, scores in (("unsafe", positive), ("safe", negative)):
        if not scores.size:
            raise InputError(f"calibration: found no images of the {name} sides, wanted at least one")
        if not ((scores >= 0) & (scores <= 1)).all():
            bad = scores[~((scores >= 0) & (scores <= 1))][0]
            raise InputError(f"calibration: {name} sides: found a score of {bad}, wanted 0 to 1")
    levels = np.unique(np.concatenate([positive, negative]))
    middles, gaps = (levels[1:] + levels[:-1]) / 2, np.diff(levels)
    hits = positive.size - np.searchsorted(positive, middles)  # unsafe sides at or above each middle
    passes = np.searchsorted(negative, middles)  # safe sides below it
    # Balanced accuracy times 2 N M: whole numbers, so that equally good thresholds are exactly equal.
    quality = hits * negative.size + passes * positive.size
    value = CHANCE
    if quality.size and quality.max() > positive.size * negative.size:
        best = quality == quality.max()
        value = float(middles[best][gaps[best].argmax()])
    sensitivity, specificity = float((positive >= value).mean()), float((negative < value).mean())
    return Threshold(value, (sensitivity + specificity) / 2, sensitivity, specificity)


@dataclass(frozen=True)
class Calibration:
    """What a zero-shot judge needs beside its model, and how it came about.

    Attributes:
        protocol: name and version of the rule, with the model.
        model_sha256: of the model's weights.
        positive: phrases of images that show the concept.
        negative: phrases of images that do not.
        threshold: see :class:`Threshold`, as the next three.
        balanced_accuracy: on the images it was chosen on.
        sensitivity: likewise.
        specificity: likewise.
        unsafe: images that should show the concept.
        safe: images that should not.
    """

    protocol: str
    model_sha256: str
    positive: Sequence[str]
    negative: Sequence[str]
    threshold: float
    balanced_accuracy: float
    sensitivity: float
    specificity: float
    unsafe: int
    safe: int

    def write(self, path: str | Path) -> None:
        """Write it as JSON, atomically."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: str | Path) -> "Calibration":
        """Read what :meth:`write` wrote.

        Raises:
            InputError: the file is missing, no JSON, or lacks a key.
        """
        names = [field.name for field in fields(cls)]
        wanted = f"wanted JSON with {', '.join(names)}"
        found = read_json(path, wanted)
        if not isinstance(found, dict) or set(found) != set(names):
            raise InputError(f"{path}: found other keys, {wanted}")
        return cls(**found)
