"""Image files as judges are given them: RGB, opened a batch at a time."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from PIL import Image

from ear.images import open_image
from ear.progress import progress

BATCH = 64  # images in memory at once


def image_batches(
    files: Sequence[Path], desc: str, batch_size: int = BATCH, upright: bool = True
) -> Iterator[tuple[slice, list[Image.Image]]]:
    """Open images in batches, in order, on the job's threads: 30 000 of them would not fit into memory.

    Args:
        files: (N,) image files.
        desc: label of the progress bar.
        batch_size: images opened at once.
        upright: whether photographs that say how they were held are turned.

    Yields:
        The batch's place in ``files``, and its images.
    """
    import torch  # late: tables need constants of this module alone

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for start in progress(range(0, len(files), batch_size), desc=desc, unit="batch"):
            place = slice(start, start + batch_size)
            yield place, list(pool.map(partial(open_image, upright=upright), files[place]))
