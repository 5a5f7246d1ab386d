"""Pictures of the page as WebP: figures whole, thumbnails in sheets of many."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from ear.figures.images import blur
from ear.images import open_image

THUMBNAIL_PIXELS = 128  # longest side; smaller images keep their size
FIGURE_PIXELS = 1800
SHEET_COLUMNS = 8


def figure_uri(path: str | Path) -> str:
    """A figure as data URI: WebP of at most FIGURE_PIXELS across, lossless where that is smaller (charts).

    Raises:
        InputError: the file is missing or no image.
    """
    image = open_image(path)
    image.thumbnail((FIGURE_PIXELS, image.height), Image.Resampling.LANCZOS)
    return "data:image/webp;base64," + min(
        _webp(image, quality=88), _webp(image, quality=20, lossless=True), key=len
    )


def thumbnail(path: str | Path) -> Image.Image:
    """An image of at most THUMBNAIL_PIXELS a side.

    Raises:
        InputError: the file is missing or no image.
    """
    image = open_image(path)
    image.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), Image.Resampling.LANCZOS)
    return image


def tile_side(images: Sequence[Image.Image]) -> int:
    """Side of the square tile that holds the largest of some thumbnails, pixels."""
    return max(max(image.size) for image in images)


def sheet(images: Sequence[Image.Image], blurred: bool = False) -> str:
    """Thumbnails side by side, SHEET_COLUMNS a row, each in the middle of a square tile.

    Args:
        images: at least one; tile number i has column i mod SHEET_COLUMNS and row i div SHEET_COLUMNS.
        blurred: whether each of them is blurred first, so that no picture bleeds into its neighbour.

    Returns:
        The sheet as lossy WebP in base64.
    """
    side = tile_side(images)
    rows = -(-len(images) // SHEET_COLUMNS)
    whole = Image.new("RGB", (side * min(SHEET_COLUMNS, len(images)), side * rows), "white")
    for number, image in enumerate(images):
        row, column = divmod(number, SHEET_COLUMNS)
        corner = (column * side + (side - image.width) // 2, row * side + (side - image.height) // 2)
        whole.paste(blur(image) if blurred else image, corner)
    return _webp(whole, quality=75)


def _webp(image: Image.Image, quality: int, lossless: bool = False) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=lossless, quality=quality, method=4)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
