"""The before/after gallery of the page: prompts, thumbnails and verdicts."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from PIL import Image

from ear.errors import InputError
from ear.figures.images import ImageSource, blur, image_table, wrong_object
from ear.figures.style import capital, concept_style, method_style, order_concepts, order_methods
from ear.progress import progress

THUMBNAIL_PIXELS = 128  # longest side; smaller images keep their size
FIGURE_PIXELS = 1800
GALLERY_SETS = ("target", "retention", "general")


@dataclass(frozen=True)
class Picture:
    """One image of the gallery: whose, as data URI, its verdict, and whether it is a failure.

    A failure is a concept found in the image or, but for target prompts, a wrong object. The original model's
    target images are no failures: they are meant to show the concept.
    """

    method: str
    label: str
    uri: str
    verdict: str
    shown: bool
    wrong: bool
    failure: bool


@dataclass(frozen=True)
class Comparison:
    """One prompt with the images of all methods, from the same random numbers."""

    prompt_id: str
    prompt_set: str
    prompt: str
    pictures: list[Picture]


@dataclass(frozen=True)
class Gallery:
    """All comparisons of a concept, and how many prompts of its sets there are in all."""

    concept: str
    label: str
    comparisons: list[Comparison]
    total: int


def make_galleries(sources: Mapping[str, Sequence[ImageSource]], prompts: int) -> list[Gallery]:
    """Galleries of the first ``prompts`` prompts of each set, whatever their images show.

    Args:
        sources: concept → where the images of each method are.
        prompts: most prompts of a set.

    Raises:
        InputError: files that do not fit each other, or an image that cannot be read.
    """
    return [_gallery(concept, image_table(sources[concept]), prompts) for concept in order_concepts(sources)]


def _gallery(concept: str, images: pd.DataFrame, prompts: int) -> Gallery:
    images = images.assign(wrong=wrong_object(images))
    ids = [
        prompt_id
        for prompt_set in GALLERY_SETS
        for prompt_id in images.loc[images["prompt_set"] == prompt_set, "prompt_id"]
        .drop_duplicates()
        .head(prompts)
    ]
    comparisons = [
        _comparison(images[images["prompt_id"] == prompt_id])
        for prompt_id in progress(ids, desc=f"gallery of {concept}", unit="prompt")
    ]
    total = images.loc[images["prompt_set"].isin(GALLERY_SETS), "prompt_id"].nunique()
    return Gallery(concept, capital(concept_style(concept).label), comparisons, total)


def _comparison(images: pd.DataFrame) -> Comparison:
    first = images.iloc[0]
    same = images[images["seed"] == first["seed"]].drop_duplicates("method").set_index("method")
    pictures = [_picture(method, same.loc[method]) for method in order_methods(same.index)]
    return Comparison(str(first["prompt_id"]), str(first["prompt_set"]), str(first["prompt"]), pictures)


def _picture(method: str, image: pd.Series) -> Picture:
    shown, wrong = bool(image["shown"]), bool(image["wrong"])
    verdict = "concept shown" if shown else f"{image['top1_object']}, not as asked" if wrong else "no concept"
    failure = (shown or wrong) and not (method == "original" and image["prompt_set"] == "target")
    label = method_style(method).label
    return Picture(
        method, label, thumbnail_uri(image["path"], image["blurred"]), verdict, shown, wrong, failure
    )


def thumbnail_uri(path: str | Path, blurred: bool = False) -> str:
    """An image as data URI: lossy WebP of at most THUMBNAIL_PIXELS a side, perhaps blurred.

    Raises:
        InputError: the file is missing or no image.
    """
    image = _open(path)
    image.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), Image.Resampling.LANCZOS)
    return _data_uri(_webp(blur(image) if blurred else image, quality=82))


def figure_uri(path: str | Path) -> str:
    """A figure as data URI: WebP of at most FIGURE_PIXELS across, lossless where that is smaller (charts).

    Raises:
        InputError: the file is missing or no image.
    """
    image = _open(path)
    image.thumbnail((FIGURE_PIXELS, image.height), Image.Resampling.LANCZOS)
    return _data_uri(min(_webp(image, quality=88), _webp(image, quality=20, lossless=True), key=len))


def _open(path: str | Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except OSError as error:
        raise InputError(f"{path}: found no readable image ({type(error).__name__}), wanted a PNG") from None


def _webp(image: Image.Image, quality: int, lossless: bool = False) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=lossless, quality=quality, method=4)
    return buffer.getvalue()


def _data_uri(webp: bytes) -> str:
    return "data:image/webp;base64," + base64.b64encode(webp).decode("ascii")
