"""Pairs on which the visual filter could as well have said otherwise: those next to the judge's threshold."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ear.errors import InputError
from ear.figures import style
from ear.figures.grid import PROMPT_SIZE, Grid, wrap
from ear.files import read_csv

SIDES = ("unsafe", "safe")
MIDDLE = 0.5
"""What stands for the threshold of a judge that ranks."""
COLUMNS, SIDE, GAP, BLOCK_GAP, MARGIN = 2, 0.95, 0.07, 0.32, 0.08  # inches
BLOCK = 2 * SIDE + GAP
HEADER, SCORE, LINE, LINES = 0.3, 0.2, 0.125, 2


def pair_images(manifest: str | Path, verdicts: str | Path, blurred: bool) -> pd.DataFrame:
    """The images of both sides of pairs with what the judge says of them.

    Args:
        manifest: table of the images: prompt_id ("<pair id>/unsafe" or "/safe"), prompt_set, prompt, file.
        verdicts: table on these images: prompt_id, shown, score, threshold.
        blurred: whether they are shown blurred.

    Returns:
        One row an image: pair_id, prompt_set, prompt, path, shown, score, threshold, blurred.

    Raises:
        InputError: a table lacks a column or an image its verdict.
    """
    images = read_csv(manifest, ["prompt_id", "prompt_set", "prompt", "file"])
    found = read_csv(verdicts, ["prompt_id", "shown", "score", "threshold"])
    rows = images.merge(found[["prompt_id", "shown", "score", "threshold"]], on="prompt_id", how="left")
    if rows["score"].isna().any():
        missing = rows.loc[rows["score"].isna(), "prompt_id"].iloc[0]
        raise InputError(f"{verdicts}: found no verdict on {missing}, wanted one an image")
    return pd.DataFrame(
        {
            "pair_id": rows["prompt_id"].str.rpartition("/")[0],
            "prompt_set": rows["prompt_set"],
            "prompt": rows["prompt"],
            "path": [str(Path(manifest).parent / name) for name in rows["file"]],
            "shown": rows["shown"].astype(bool),
            "score": rows["score"],
            "threshold": rows["threshold"],
            "blurred": blurred,
        }
    )


def nearest_pairs(images: pd.DataFrame, count: int) -> list[str]:
    """Ids of the pairs whose nearer side has a score next to the threshold, the nearest first.

    Where scores are equally near, the order of the table holds. For a judge that ranks ``MIDDLE`` stands for
    the threshold.

    Args:
        images: of :func:`pair_images`.
        count: most pairs.
    """
    distance = (images["score"] - images["threshold"].astype(float).fillna(MIDDLE)).abs()
    by_pair = distance.groupby(images["pair_id"], sort=False).min()
    return by_pair.sort_values(kind="stable").head(count).index.tolist()


def plot(files: Any, params: Any) -> Figure:
    """The figure, of the rule's input and parameters."""
    return draw(pair_images(files.manifest, files.verdicts, params.blurred), params.concept)


@style.styled
def draw(images: pd.DataFrame, concept: str, count: int = 8) -> Figure:
    """The nearest pairs, side by side: the prompt with the concept left, its twin right, with their scores.

    Args:
        images: of :func:`pair_images`.
        concept: name of the concept.
        count: most pairs.

    Returns:
        The figure. Axes of images are labelled ``side|pair id``.

    Raises:
        InputError: there are no pairs, or an image cannot be read.
    """
    if images.empty:
        raise InputError(f"{concept}: found no images of pairs, wanted at least one")
    pairs = nearest_pairs(images, count)
    rows, columns = -(-len(pairs) // COLUMNS), min(COLUMNS, len(pairs))
    height = SIDE + SCORE + 2 * LINES * LINE + 0.12
    width = columns * (BLOCK + BLOCK_GAP) - BLOCK_GAP + 2 * MARGIN
    grid = Grid(max(style.COLUMN_WIDTH, width), HEADER + rows * height)
    threshold = images["threshold"].iloc[0]
    told = "" if np.isnan(threshold) else f", threshold {threshold:.3f}"
    title = style.capital(style.concept_style(concept).label) + told
    grid.text(MARGIN, 0.16, title, fontweight="bold", va="center")
    cells = images.rename(columns={"pair_id": "prompt_id"})
    cells = cells.assign(method=images["prompt_set"], object=np.nan, top1_object="")
    for number, pair_id in enumerate(pairs):
        x = MARGIN + number % COLUMNS * (BLOCK + BLOCK_GAP)
        y = HEADER + number // COLUMNS * height
        for place, side in enumerate(SIDES):
            row = images[(images["pair_id"] == pair_id) & (images["prompt_set"] == side)].iloc[0]
            left = x + place * (SIDE + GAP)
            grid.image(left, y, SIDE, cells, side, pair_id)
            score = {"ha": "center", "va": "center", "fontsize": 7.5}
            grid.text(left + SIDE / 2, y + SIDE + 0.11, f"{row['score']:.3f}", **score)
            prompt = f"{'−' if place else '+'} {row['prompt']}"
            below = y + SIDE + SCORE + place * LINES * LINE
            options = {"va": "top", "fontsize": PROMPT_SIZE, "linespacing": 1.1}
            grid.text(x, below, wrap(prompt, BLOCK, LINES), **options)
    return grid.figure
