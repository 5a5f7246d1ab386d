"""Images and their tables as jobs read them: one opener of files, manifests, captions with references."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageOps, UnidentifiedImageError

from ear.errors import InputError
from ear.workflow.files import read_csv
from ear.workflow.texts import parse_json, text_fault

UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, OverflowError)
"""What Pillow raises on a file that is broken, besides ``Image.DecompressionBombError``."""
EIGHT_BITS = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")


def open_image(path: str | Path, upright: bool = True) -> Image.Image:
    """Open an image as RGB.

    Sixteen bits of grey become eight, what is transparent lies on white, and a photograph that says how it
    was held is turned ``upright``. A plain RGB file comes through as it is.

    Raises:
        InputError: it is missing, is no image, is cut off, has more pixels than Pillow opens (179 million),
            or pixels whose black and white are not known.
    """
    try:
        with Image.open(path) as image:
            return _as_rgb(ImageOps.exif_transpose(image) if upright else image, path)
    except FileNotFoundError:
        raise InputError(f"{path}: not found, wanted the image that the manifest lists") from None
    except UnidentifiedImageError:
        raise InputError(f"{path}: found no image, wanted a PNG or another image file") from None
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


MANIFEST_COLUMNS = ("prompt_id", "prompt_set", "prompt", "object", "window", "file", "sha256")
CAPTION_COLUMNS = ("image_id", "references", "caption")


def read_manifests(paths: Sequence[str | Path]) -> pd.DataFrame:
    """Images of several manifests, ``file`` as a path that can be opened.

    Raises:
        InputError: a table lacks a column, or there is no image at all.
    """
    images = pd.concat([_manifest(path, MANIFEST_COLUMNS) for path in paths], ignore_index=True)
    if images.empty:
        raise InputError(f"{paths[0]}: found no images, wanted at least one")
    return images


def reference_files(manifest: str | Path) -> list[Path]:
    """Image files of a reference manifest (column ``file``, relative to the manifest's folder)."""
    return _manifest(manifest, ["file"])["file"].tolist()


def read_captions(paths: Sequence[str | Path]) -> tuple[list[str], list[list[str]]]:
    """What was said of images, and what was wanted, from tables with CAPTION_COLUMNS.

    Returns:
        (N,) captions, "" where the model answered with nothing; (N,) lists of references.
    """
    said: list[str] = []
    wanted: list[list[str]] = []
    for path in paths:
        table = read_csv(path, CAPTION_COLUMNS)
        said += table["caption"].fillna("").astype(str).tolist()
        for image_id, text in zip(table["image_id"], table["references"], strict=True):
            wanted.append(read_references(f"{path}: {image_id}", str(text)))
    return said, wanted


def _manifest(path: str | Path, columns: Sequence[str]) -> pd.DataFrame:
    frame = read_csv(path, columns)
    return frame.assign(file=[Path(path).parent / name for name in frame["file"]])


def read_references(where: str, text: str) -> list[str]:
    """What people or the world wrote about a picture, from its cell of a table: a JSON list of texts.

    Raises:
        InputError: it is no list of one text or more, or a text is empty or not Unicode.
    """
    wanted = "wanted a JSON list of one text or more"
    references = parse_json(text, f"{where}: references", wanted)
    if not isinstance(references, list) or not references:
        raise InputError(f"{where}: references: found {text[:60]!r}, {wanted}")
    for number, reference in enumerate(references):
        if fault := text_fault(reference):
            raise InputError(f"{where}: references: entry {number}: found {fault}, {wanted}")
    return references
