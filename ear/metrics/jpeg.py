"""Images as the release's measurements of COCO-30k see them: saved as JPEG and opened again."""

import io
from collections.abc import Sequence

from PIL import Image

QUALITY = 75
"""Pillow's default, which the release keeps."""


def through_jpeg(images: Sequence[Image.Image]) -> list[Image.Image]:
    """RGB images as they are after they were saved as JPEG with Pillow's defaults; no file is written."""
    return [_through_jpeg(image) for image in images]


def _through_jpeg(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, format="JPEG", quality=QUALITY)
    with Image.open(file) as decoded:
        return decoded.convert("RGB")
