"""The before/after gallery of the page: its cases, and the sheets of their pictures.

A case is one prompt with the original's picture and an erased model's, from the same random numbers. The
cases stand as columns (one entry a prompt) in one JSON; pictures in sheets, one for each run and prompt set.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from PIL import Image

from ear.axes.protocols import AXES, asks_for_concept, is_judged
from ear.figures.images import ImageSource, image_table, wrong_object
from ear.figures.style import capital, concept_style, method_style, order_concepts, order_methods
from ear.names import ORIGINAL
from ear.progress import progress
from ear.report.pictures import SHEET_COLUMNS, sheet, thumbnail, tile_side

PROMPTS = (40, 32, 24, 16, 12)
"""Prompts of a set that are shown: the first number whose pictures fit into the page."""
EMBEDDED_PIXELS = 110_000_000
"""Most pixels of thumbnails in the page itself: at a fifth of a byte each, some 22 MB."""
SETS = list(dict.fromkeys(name for axis in AXES for name in axis.sets))
"""Prompt sets in the order of the page; others come after them."""
SHOWN, SHOWN_AS_ASKED, WRONG, KEPT, UNJUDGED, NONE = "SsWku-"
"""Letters of verdicts: concept found; found where it is meant to be; another object; neither; no judge has
looked; no picture."""
CALL = "earSheets"
"""The page's function that a side file calls with its sheets."""


@dataclass
class Gallery:
    """What the page shows of all runs.

    Attributes:
        cases: what the JSON in the page holds.
        embedded: name → sheet in base64, within the page.
        files: name of a side file → its text.
    """

    cases: dict[str, Any]
    embedded: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


def make_gallery(
    sources: Mapping[str, Sequence[ImageSource]], embedded_pixels: int = EMBEDDED_PIXELS
) -> Gallery:
    """The gallery of the first prompts of each set, whatever their images show.

    Args:
        sources: concept → where the images of each run are.
        embedded_pixels: where even the fewest prompts have more pixels, pictures go to one side file a run,
            and as many prompts are shown as in a small gallery.

    Raises:
        InputError: files that do not fit each other, or an image that cannot be read.
    """
    concepts = order_concepts(sources)
    tables = {concept: [_table(source) for source in sources[concept]] for concept in concepts}
    prompts = _prompts_that_fit([table for found in tables.values() for table in found], embedded_pixels)
    methods = order_methods(source.method for found in sources.values() for source in found)
    gallery = Gallery(
        {
            "columns": SHEET_COLUMNS,
            "prompts": prompts or PROMPTS[0],
            "methods": {method: method_style(method).label for method in methods},
            "concepts": [],
        }
    )
    for concept in concepts:
        _add_concept(gallery, concept, sources[concept], tables[concept], prompts)
    return gallery


def _table(source: ImageSource) -> pd.DataFrame:
    images = image_table([source])
    case = [f"{row.prompt_id} {row.seed}" for row in images.itertuples()]
    return images.assign(wrong=wrong_object(images), case=case)


def _prompts_that_fit(tables: Sequence[pd.DataFrame], pixels: int) -> int | None:
    sizes: list[tuple[int, int]] = []
    for table in tables:
        if len(table):
            side = tile_side([thumbnail(table["path"].iloc[0])])
            sizes += [(count, side**2) for count in table["prompt_set"].value_counts()]
    return next((n for n in PROMPTS if sum(min(n, count) * area for count, area in sizes) <= pixels), None)


def _set_place(prompt_set: str) -> tuple[int, str, float]:
    name, _, number = prompt_set.rpartition("-")
    try:
        stem, size = name, float(number)
    except ValueError:
        stem, size = prompt_set, 0.0
    return (SETS.index(prompt_set) if prompt_set in SETS else len(SETS), stem, size)


def _add_concept(
    gallery: Gallery,
    concept: str,
    sources: Sequence[ImageSource],
    tables: Sequence[pd.DataFrame],
    prompts: int | None,
) -> None:
    """Add a concept's cases and sheets. A case is known by its prompt and the seed of its random numbers."""
    rows = pd.concat(tables, ignore_index=True).drop_duplicates("case")
    sets = {
        name: rows[rows["prompt_set"] == name].head(prompts or PROMPTS[0])
        for name in sorted(rows["prompt_set"].unique(), key=_set_place)
    }
    runs = []
    ordered = order_methods(source.method for source in sources)
    pairs = sorted(
        zip(sources, tables, strict=True), key=lambda pair: (ordered.index(pair[0].method), pair[0].run_seed)
    )
    for source, table in progress(pairs, desc=f"gallery of {concept}", unit="run"):
        runs.append(_run(gallery, concept, source, table, sets, embed=prompts is not None))
    gallery.cases["concepts"].append(
        {
            "name": concept,
            "label": capital(concept_style(concept).label),
            "sets": {
                name: {
                    "total": int((rows["prompt_set"] == name).sum()),
                    "ids": shown["prompt_id"].astype(str).tolist(),
                    "prompts": shown["prompt"].astype(str).tolist(),
                }
                for name, shown in sets.items()
            },
            "runs": runs,
        }
    )


def _run(
    gallery: Gallery,
    concept: str,
    source: ImageSource,
    table: pd.DataFrame,
    sets: Mapping[str, pd.DataFrame],
    embed: bool,
) -> dict[str, Any]:
    name = f"{concept}-{source.method}-{source.run_seed}"
    run: dict[str, Any] = {"method": source.method, "seed": source.run_seed, "sets": {}}
    plain: dict[str, str] = {}
    sensitive: dict[str, str] = {}
    for prompt_set, shown in sets.items():
        found = table[table["prompt_set"] == prompt_set].set_index("case").reindex(shown["case"])
        drawn = found["path"].notna()
        if not drawn.any():
            continue
        pictures: list[Image.Image] = [thumbnail(path) for path in found.loc[drawn, "path"]]
        blurred = bool(found.loc[drawn, "blurred"].any())
        key = f"{name}/{prompt_set}"
        plain[key] = sheet(pictures, blurred)
        if blurred:
            sensitive[key] = sheet(pictures)
        run["sets"][prompt_set] = {
            "side": tile_side(pictures),
            "verdicts": "".join(_letter(row, source.method) for row in found.itertuples()),
            "scores": [None if math.isnan(score) else round(score, 3) for score in found["score"]],
            "objects": ["" if pd.isna(seen) else str(seen) for seen in found["top1_object"]],
        }
    if embed:
        gallery.embedded |= plain
    else:
        run["file"] = f"{name}.js"
        gallery.files[run["file"]] = side_file(plain)
    if sensitive:
        run["sensitive"] = f"sensitive-{name}.js"
        run["blurred"] = [key.split("/", 1)[1] for key in sensitive]
        gallery.files[run["sensitive"]] = side_file(
            {f"sensitive/{key}": one for key, one in sensitive.items()}
        )
    return run


def _letter(row: Any, method: str) -> str:
    if pd.isna(row.path):
        return NONE
    if not is_judged(row.prompt_set):
        return UNJUDGED
    if row.shown:
        return SHOWN_AS_ASKED if method == ORIGINAL and asks_for_concept(row.prompt_set) else SHOWN
    return WRONG if row.wrong else KEPT


def side_file(sheets: Mapping[str, str]) -> str:
    """The script that gives the page some sheets: a page opened as a file may run it, but not fetch it."""
    return f"{CALL}({script_json(sheets)});\n"


def script_json(value: Any) -> str:
    """JSON that no text within it can break out of a script: every ``<``, ``>`` and ``&`` is escaped."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
