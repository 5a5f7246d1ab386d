"""Image files as judges are given them: RGB, opened a batch at a time."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from PIL import Image, UnidentifiedImageError

from ear.errors import InputError
from ear.progress import progress

BATCH = 64  # images in memory at once


def open_image(path: str | Path) -> Image.Image:
    """Open an image as RGB.

    Raises:
        InputError: it is missing, is no image or is cut off.
    """
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except FileNotFoundError:
        raise InputError(f"{path}: not found, wanted the image that its manifest names") from None
    except UnidentifiedImageError:
        raise InputError(f"{path}: found a file that is no image, wanted one") from None
    except OSError as error:
        raise InputError(f"{path}: {error}, wanted a whole image") from None


def image_batches(
    files: Sequence[Path], desc: str, batch_size: int = BATCH
) -> Iterator[tuple[slice, list[Image.Image]]]:
    """Open images in batches, in order, on the job's threads: 30 000 of them would not fit into memory.

    Args:
        files: (N,) image files.
        desc: label of the progress bar.
        batch_size: images opened at once.

    Yields:
        The batch's place in ``files``, and its images.
    """
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for start in progress(range(0, len(files), batch_size), desc=desc, unit="batch"):
            place = slice(start, start + batch_size)
            yield place, list(pool.map(open_image, files[place]))
