"""What all judges share: their interface, their verdicts, and the images as judges are given them."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from PIL import Image

from ear.images.reading import open_image
from ear.workflow.progress import progress

BATCH = 64  # images in memory at once
ON_CPU = ("nudenet",)
"""Kinds of judges that never run on a GPU; they judge as many images at once as their job has threads."""
SECOND_COLUMNS = ("second_shown", "second_score", "second_protocol")
"""What tables of verdicts have beside the columns of the first judge, for concepts with two."""

Item = TypeVar("Item")


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
        labels: (N,) the most likely label of the concept's kind; None for judges without labels.
        detections: what was found in each image; None for judges that detect nothing.
    """

    shown: np.ndarray
    score: np.ndarray
    rank: np.ndarray | None = None
    objects: list[str] | None = None
    labels: list[str] | None = None
    detections: list[list[Detection]] | None = None


class Judge:
    """Says of each image whether one concept is in it.

    Attributes:
        protocol: name and version of the rule that makes verdicts of a model's output: ``classifier-top1/1``.
        threshold: the least score of an image that shows the concept; None for judges that rank.
    """

    protocol: str
    threshold: float | None = None

    def judge(self, images: Sequence[Image.Image]) -> Verdicts:
        """Judge RGB images of any size; the judge resizes as its model wants."""
        raise NotImplementedError


def in_batches(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """The items, BATCH at once."""
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]


def image_batches(
    files: Sequence[Path], desc: str, batch_size: int = BATCH, upright: bool = True
) -> Iterator[tuple[slice, list[Image.Image]]]:
    """Open images in batches, in order, on the job's threads: 30 000 of them would not fit into memory.

    Yields:
        The batch's place in ``files``, and its images; ``upright`` as for ``open_image``.
    """
    import torch  # late: tables need constants of this module alone

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for start in progress(range(0, len(files), batch_size), desc=desc, unit="batch"):
            place = slice(start, start + batch_size)
            yield place, list(pool.map(partial(open_image, upright=upright), files[place]))
