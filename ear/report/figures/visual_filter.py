"""What the visual filter sees of candidate pairs: scores of their images, pairs next to its threshold."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from ear.errors import InputError
from ear.report import style
from ear.report.figures.grids import image_grid, pair_columns, show_image, wrap, write
from ear.workflow.files import read_csv

SIDES = {"unsafe": ("#D55E00", "prompts with the concept"), "safe": ("#0072B2", "safe prompts")}
BINS = 1 / (1 + np.exp(-np.linspace(-7, 7, 36)))
"""Edges of bars, evenly spaced on the axis; scores beyond them count in the first and the last bar."""
TICKS = {0.001: ".001", 0.01: ".01", 0.1: ".1", 0.5: ".5", 0.9: ".9", 0.99: ".99", 0.999: ".999"}
COLUMNS = 3
"""Most panels side by side."""
PAIRS, ACROSS, MIDDLE = 6, 3, 0.5
"""Most borderline pairs, most side by side, and what stands for the threshold of a judge that ranks."""
SIDE, HEAD, SCORE, TEXT = 0.95, 0.3, 0.2, 0.62  # inches


@style.styled
def filter_scores(files: Any, params: Any) -> Figure:
    """Histograms of judges' scores of both sides of pairs: a panel a concept, one more for its second judge.

    Returns:
        The figure. In each panel the histograms are Polygon artists labelled by their side's words, and the
        threshold, if the judge has one, a Line2D labelled ``threshold``.
    """
    verdicts = {
        concept: read_csv(path, ("prompt_set", "score", "threshold"))
        for concept, path in zip(params.concepts, files.verdicts, strict=True)
    }
    drawn = [
        (concept, prefix, note)
        for concept in style.order_concepts(verdicts)
        for prefix, note in (("", ""), ("second_", ", second judge"))
        if f"{prefix}score" in verdicts[concept]
    ]
    columns = min(COLUMNS, len(drawn))
    rows = -(-len(drawn) // columns)
    figure, axes = style.panels(rows, columns, style.panel_width(columns), 0.75 + 1.35 * rows)
    legend: dict[str, Any] = {}
    for ax, (concept, prefix, note) in zip(axes.flat, drawn, strict=False):
        images = verdicts[concept]
        for side, (colour, words) in SIDES.items():
            scores = images.loc[images["prompt_set"] == side, f"{prefix}score"]
            look: dict[str, Any] = {"facecolor": (colour, 0.45), "edgecolor": colour, "linewidth": 0.9}
            ax.hist(scores.clip(BINS[0], BINS[-1]), BINS, histtype="stepfilled", label=words, **look)
        threshold = images[f"{prefix}threshold"].iloc[0]
        if pd.notna(threshold):
            ax.axvline(
                np.clip(threshold, BINS[0], BINS[-1]),
                color=style.INK,
                linewidth=0.9,
                linestyle=(0, (4, 2)),
                label="threshold",
            )
        ax.set_title(style.concept_title(concept) + note)
        ax.set_xscale("logit")
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xticks(list(TICKS), list(TICKS.values()), fontsize=6.5)
        ax.set_xlim(BINS[0], BINS[-1])
        ax.grid(axis="y")
        marks, labels = ax.get_legend_handles_labels()
        legend |= dict(zip(labels, marks, strict=True))
    for ax in axes.flat[len(drawn) :]:
        ax.remove()
    figure.supxlabel("judge's score", fontsize=8)
    figure.supylabel("images", fontsize=8)
    across = 3 if columns > 1 else 1  # side by side they are wider than one panel
    place: dict[str, Any] = {"loc": "outside upper center", "ncols": across, "columnspacing": 1.4}
    figure.legend(list(legend.values()), list(legend), **place)
    return figure


@style.styled
def borderline(files: Any, params: Any) -> Figure:
    """The pairs next to the threshold, with scores: the prompt with the concept left, the safe one right.

    Raises:
        InputError: a table lacks a column, an image its verdict, or an image cannot be read.
    """
    images = _pair_images(files.manifest, files.verdicts, params.blurred)
    pairs = nearest_pairs(images)
    across = min(ACROSS, len(pairs))
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
    title = style.concept_title(params.concept) + told
    write(figure, grid[0, 1:], title, ha="left", fontsize=8, fontweight="bold")
    return figure


def nearest_pairs(images: pd.DataFrame) -> list[str]:
    """Ids of the PAIRS pairs whose nearer side has a score next to the threshold, the nearest first.

    Where scores are equally near, the order of the table holds. For a judge that ranks ``MIDDLE`` stands for
    the threshold.
    """
    distance = (images["score"] - images["threshold"].astype(float).fillna(MIDDLE)).abs()
    by_pair = distance.groupby(images["prompt_id"], sort=False).min()
    return by_pair.sort_values(kind="stable").head(PAIRS).index.tolist()


def _pair_images(manifest: str, verdicts: str, blurred: bool) -> pd.DataFrame:
    """Images of both sides, as ``show_image`` takes them: the pair's id as prompt's, the side as method."""
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
