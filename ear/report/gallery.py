"""The gallery of the page: every case, and its pictures as WebP."""

import base64
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from ear.evaluation.protocols import AXES, is_judged, level_of
from ear.images.reading import open_image
from ear.report.figures.images import ImageSource, blur, image_table, wrong_object
from ear.report.style import concept_title, method_style, order_concepts, order_methods
from ear.workflow.progress import progress

THUMBNAIL_PIXELS = 128  # longest side; smaller images keep their size
SMALL = 96
"""Longest side of images that are enlarged, by a whole factor and pixel by pixel."""
FIGURE_PIXELS = 1800
SHEET_COLUMNS = 8
PROMPTS = range(40, 0, -1)
"""Prompts of a set that are shown: the first number whose pictures fit into the page, one at least."""
PAGE_PIXELS = 110_000_000
"""Most pixels of thumbnails in the page: at a fifth of a byte each, some 22 MB."""
SETS = list(dict.fromkeys(name for axis in AXES for name in axis.sets))
"""Prompt sets in the order of the page; others come after them."""
SHOWN, WRONG, NEITHER, UNJUDGED, MISSING = "swku-"
"""Letters of verdicts: concept found; another object than asked; neither; no judge has looked; no picture."""
CALL = "earSheets"
"""The page's function that a side file calls with its sheets."""


def figure_uri(path: str | Path) -> str:
    """A figure as data URI: WebP of at most FIGURE_PIXELS across, lossless where that is smaller (charts).

    Raises:
        InputError: the file is missing or no image.
    """
    image = open_image(path)
    image.thumbnail((FIGURE_PIXELS, image.height), Image.Resampling.LANCZOS)
    return min(image_uri(image), image_uri(image, lossless=True), key=len)


def image_uri(image: Image.Image, lossless: bool = False) -> str:
    """An image as data URI, WebP."""
    return "data:image/webp;base64," + _webp(image, quality=20 if lossless else 88, lossless=lossless)


def _thumbnail(path: str | Path) -> Image.Image:
    image = open_image(path)
    image.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), Image.Resampling.LANCZOS)
    return image


def _tile_side(images: Sequence[Image.Image]) -> int:
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
    side = _tile_side(images)
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


@dataclass
class Gallery:
    """What the page shows of all runs.

    Attributes:
        cases: what the JSON in the page holds.
        sheets: name → sheet in base64, within the page.
        files: name of a file beside the page → its text: unblurred pictures.
    """

    cases: dict[str, Any]
    sheets: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


def make_gallery(sources: Mapping[str, Sequence[ImageSource]], pixels: int = PAGE_PIXELS) -> Gallery:
    """The gallery of the first prompts of each set, whatever their images show.

    Args:
        sources: concept → where the images of each run are.
        pixels: most pixels of thumbnails; fewer prompts are shown where there would be more.

    Raises:
        InputError: files that do not fit each other, or an image that cannot be read.
    """
    runs = [source for of_concept in sources.values() for source in of_concept]
    methods = order_methods(source.method for source in runs)
    runs.sort(key=lambda source: (methods.index(source.method), source.run_seed))
    tables = {source: _table(source) for source in runs}
    prompts = _prompts_that_fit(tables.values(), pixels)
    labels = {method: method_style(method).label for method in methods}
    gallery = Gallery({"columns": SHEET_COLUMNS, "small": SMALL, "methods": labels, "concepts": []})
    for concept in order_concepts(sources):
        of_concept = {source: table for source, table in tables.items() if source.concept == concept}
        _add_concept(gallery, concept, of_concept, prompts)
    return gallery


def _table(source: ImageSource) -> pd.DataFrame:
    """Images of a run; a case is known by its prompt and the seed of its random numbers."""
    images = image_table([source])
    case = images["prompt_id"] + " " + images["seed"].astype(str)
    return images.assign(wrong=wrong_object(images), case=case)


def _prompts_that_fit(tables: Iterable[pd.DataFrame], pixels: int) -> int:
    sizes: list[tuple[int, int]] = []
    for table in tables:
        side = _tile_side([_thumbnail(table["path"].iloc[0])])
        sizes += [(count, side**2) for count in table["prompt_set"].value_counts()]
    fitting = (n for n in PROMPTS if sum(min(n, count) * area for count, area in sizes) <= pixels)
    return next(fitting, PROMPTS[-1])


def _set_place(prompt_set: str) -> tuple[int, str, float]:
    """Place of a prompt set in the page: "prefix-4" before "prefix-16"."""
    level = level_of(prompt_set)
    stem = prompt_set if level is None else prompt_set.rpartition("-")[0]
    return (SETS.index(prompt_set) if prompt_set in SETS else len(SETS), stem, level or 0)


def _add_concept(
    gallery: Gallery, concept: str, tables: Mapping[ImageSource, pd.DataFrame], prompts: int
) -> None:
    rows = pd.concat(tables.values()).drop_duplicates("case")
    names = sorted(rows["prompt_set"].unique(), key=_set_place)
    sets = {name: rows[rows["prompt_set"] == name].head(prompts) for name in names}
    described = {
        name: {
            "total": int((rows["prompt_set"] == name).sum()),
            "ids": shown["prompt_id"].astype(str).tolist(),
            "prompts": shown["prompt"].astype(str).tolist(),
        }
        for name, shown in sets.items()
    }
    runs = [
        _run(gallery, source, table, sets)
        for source, table in progress(list(tables.items()), desc=f"gallery images of {concept}", unit="run")
    ]
    gallery.cases["concepts"].append(
        {"name": concept, "label": concept_title(concept), "sets": described, "runs": runs}
    )


def _run(
    gallery: Gallery, source: ImageSource, table: pd.DataFrame, sets: Mapping[str, pd.DataFrame]
) -> dict[str, Any]:
    name = f"{source.concept}-{source.method}-{source.run_seed}"
    run: dict[str, Any] = {"name": name, "method": source.method, "seed": source.run_seed, "sets": {}}
    sensitive: dict[str, str] = {}
    for prompt_set, shown in sets.items():
        found = table[table["prompt_set"] == prompt_set].set_index("case").reindex(shown["case"])
        there = found[found["path"].notna()]
        if there.empty:
            continue
        pictures = [_thumbnail(path) for path in there["path"]]
        blurred = bool(there["blurred"].any())
        gallery.sheets[f"{name}/{prompt_set}"] = sheet(pictures, blurred)
        if blurred:
            sensitive[f"{name}/{prompt_set}/unblurred"] = sheet(pictures)
        run["sets"][prompt_set] = {
            "side": _tile_side(pictures),
            "blurred": blurred,
            "verdicts": "".join(_letter(row) for row in found.itertuples()),
            "scores": [None if pd.isna(score) else round(score, 3) for score in found["score"]],
            "objects": ["" if pd.isna(seen) else str(seen) for seen in found["top1_object"]],
        }
    if sensitive:
        run["sensitive"] = f"sensitive-{name}.js"
        # A page opened as a file may run a script beside it, but not fetch a file.
        gallery.files[run["sensitive"]] = f"{CALL}({script_json(sensitive)});\n"
    return run


def _letter(row: Any) -> str:
    if pd.isna(row.path):
        return MISSING
    if not is_judged(row.prompt_set):
        return UNJUDGED
    return SHOWN if row.shown else WRONG if row.wrong else NEITHER


def script_json(value: Any) -> str:
    """JSON that no text within it can break out of a script: every ``<``, ``>`` and ``&`` is escaped."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
