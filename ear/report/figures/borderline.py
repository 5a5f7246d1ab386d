"""Pairs on which the visual filter could as well have said otherwise: those next to the judge's threshold."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ear.errors import InputError
from ear.report import style
from ear.report.figures.grid import image_grid, pair_columns, show_image, wrap, write
from ear.workflow.files import read_csv

SIDES = ("unsafe", "safe")
MIDDLE = 0.5
"""What stands for the threshold of a judge that ranks."""
SIDE, HEAD, SCORE, TEXT = 0.95, 0.3, 0.2, 0.62  # inches


def plot(files: Any, params: Any) -> Figure:
    """The figure, of the rule's input and parameters."""
    return draw(pair_images(files.manifest, files.verdicts, params.blurred), params.concept)


def pair_images(manifest: str | Path, verdicts: str | Path, blurred: bool) -> pd.DataFrame:
    """The images of both sides of pairs with what the judge says of them.

    Args:
        manifest: table of the images: prompt_id ("<pair id>/unsafe" or "/safe"), prompt_set, prompt, file.
        verdicts: table on these images: prompt_id, shown, score, threshold.
        blurred: whether they are shown blurred.

    Returns:
        One row an image, as :func:`ear.report.figures.grid.show_image` takes them: the pair's id in place of
        the prompt's, the side in place of the method; and score and threshold.

    Raises:
        InputError: a table lacks a column or an image its verdict.
    """
    images = read_csv(manifest, ["prompt_id", "prompt_set", "prompt", "file"])
    found = read_csv(verdicts, ["prompt_id", "shown", "score", "threshold"])
    rows = images.merge(found[["prompt_id", "shown", "score", "threshold"]], on="prompt_id", how="left")
    for prompt_id in rows.loc[rows["score"].isna(), "prompt_id"]:
        raise InputError(f"{verdicts}: found no verdict on {prompt_id}, wanted one an image")
    return rows.assign(
        prompt_id=rows["prompt_id"].str.rpartition("/")[0],
        method=rows["prompt_set"],
        path=[str(Path(manifest).parent / name) for name in rows["file"]],
        shown=rows["shown"].astype(bool),
        blurred=blurred,
        object=np.nan,
        top1_object=np.nan,
    )


def nearest_pairs(images: pd.DataFrame, count: int) -> list[str]:
    """Ids of at most ``count`` pairs whose nearer side has a score next to the threshold, the nearest first.

    Where scores are equally near, the order of the table holds. For a judge that ranks ``MIDDLE`` stands for
    the threshold.
    """
    distance = (images["score"] - images["threshold"].astype(float).fillna(MIDDLE)).abs()
    by_pair = distance.groupby(images["prompt_id"], sort=False).min()
    return by_pair.sort_values(kind="stable").head(count).index.tolist()


@style.styled
def draw(images: pd.DataFrame, concept: str, count: int = 8) -> Figure:
    """The nearest pairs, side by side: the prompt with the concept left, its twin right, with their scores.

    Args:
        images: of :func:`pair_images`.
        concept: name of the concept.
        count: most pairs.

    Raises:
        InputError: there are no pairs, or an image cannot be read.
    """
    if images.empty:
        raise InputError(f"{concept}: found no images of pairs, wanted at least one")
    pairs = nearest_pairs(images, count)
    across = min(2, len(pairs))
    heights = [HEAD, *[SIDE, SCORE, TEXT] * -(-len(pairs) // across)]
    figure, grid = image_grid(heights, pair_columns(across, SIDE))
    for number, pair_id in enumerate(pairs):
        row, left = 1 + number // across * 3, 1 + number % across * 4
        of_pair: dict[Any, Any] = images[images["prompt_id"] == pair_id].set_index("method").to_dict("index")
        prompts = [f"{sign} {of_pair[side]['prompt']}" for sign, side in zip("+−", SIDES, strict=True)]
        for column, side in zip((left, left + 2), SIDES, strict=True):
            show_image(figure, grid[row, column], images, side, pair_id)
            write(figure, grid[row + 1, column], f"{of_pair[side]['score']:.3f}", fontsize=7.5)
        text = "\n".join(wrap(prompt, 2 * SIDE, 2) for prompt in prompts)
        write(figure, grid[row + 2, left : left + 3], text, ha="left", va="top")
    threshold = images["threshold"].iloc[0]
    told = "" if np.isnan(threshold) else f", threshold {threshold:.3f}"
    write(
        figure,
        grid[0, 1:],
        style.concept_title(concept) + told,
        ha="left",
        fontsize=8,
        fontweight="bold",
    )
    return figure
