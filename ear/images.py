"""The one opener of image files: RGB in eight bits, as a person sees it, or one line that says why not."""

import struct
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ear.errors import InputError

UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, OverflowError)
"""What Pillow raises on a file that is broken, besides ``Image.DecompressionBombError``."""
EIGHT_BITS = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")


def open_image(path: str | Path, upright: bool = True) -> Image.Image:
    """Open an image as RGB.

    Sixteen bits of grey become eight, what is transparent lies on white, and a photograph that says how it
    was held is turned upright. A plain RGB file comes through as it is.

    Args:
        path: the file.
        upright: whether photographs are turned.

    Raises:
        InputError: it is missing, is no image, is cut off, has more pixels than Pillow opens (179 million),
            or pixels whose black and white are not known.
    """
    try:
        with Image.open(path) as image:
            return _as_rgb(ImageOps.exif_transpose(image) if upright else image, path)
    except FileNotFoundError:
        raise InputError(f"{path}: not found, wanted the image that its manifest names") from None
    except UnidentifiedImageError:
        raise InputError(f"{path}: found a file that is no image, wanted one") from None
    except Image.DecompressionBombError:
        raise InputError(f"{path}: found too many pixels, wanted at most 179 million") from None
    except InputError:
        raise
    except UNREADABLE as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}, wanted a whole image") from None


def _as_rgb(image: Image.Image, path: str | Path) -> Image.Image:
    if image.mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((grey + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.mode not in EIGHT_BITS:
        raise InputError(f"{path}: found pixels of Pillow's mode {image.mode}, wanted 8 or 16 bits a channel")
    if image.has_transparency_data:
        pixels = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", pixels.size, "white"), pixels).convert("RGB")
    return image.convert("RGB")
