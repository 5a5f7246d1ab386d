"""Erasure against retention: what a method pays for forgetting the concept."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, MultipleLocator

from ear.evaluation.columns import METRICS_CSV
from ear.report import style
from ear.report.figures.rates import KEY, pooled, single_seeds

ERASURE = {"metric": "concept_rate", "prompt_set": "target"}
RETENTION = {"metric": "accuracy", "prompt_set": "retention"}
# What stands for retention where a judge names no objects: how well general images fit their prompts.
CLIP_SCORE = {"metric": "clip_score", "prompt_set": "general"}
# The corner where good methods crowd gets a row of its own, once so many are in it.
CORNER, CROWD, MARGIN = 0.1, 3, 0.005


@style.styled
def tradeoff(files: Any, params: Any) -> Figure:
    """Concept rate on target prompts (x) against what is kept (y), a panel a concept.

    What is kept is the accuracy on retention prompts, or the CLIP score of general images where a concept has
    no accuracy; a method without it is named in the corner of the panel. Where ``CROWD`` methods or more lie
    in the upper left ``CORNER`` of a panel, a second row of panels enlarges it.

    Returns:
        The figure, its panels as of :func:`draw_points`; points of single seeds,
        where there are several, are labelled by the method and ``seeds``.
    """
    metrics = METRICS_CSV.read(files.table)
    retained = metrics[(metrics["metric"] == "accuracy") & (metrics["prompt_set"] == "retention")]
    accuracy = set(retained["concept"]) == set(metrics["concept"])
    wanted = (ERASURE, RETENTION if accuracy else CLIP_SCORE)
    erasure, kept = (pooled(metrics, "metrics.csv", **rows) for rows in wanted)
    seed_rates, seed_kept = (single_seeds(metrics, **rows) for rows in wanted)
    seeds = seed_rates.merge(seed_kept, on=[*KEY, "seed"], suffixes=("_x", "_y"))
    concepts, looks = style.order_concepts(erasure["concept"]), style.looks_of(erasure["method"])
    crowded = accuracy and _crowded(erasure, kept)
    size = style.panel_width(len(concepts)), 4.3 if crowded else 2.25
    figure, axes = style.panels(1 + crowded, len(concepts), *size, sharex="row", sharey="row")
    for column, concept in zip(axes.T, concepts, strict=True):
        x, y, of_seeds = (table[table["concept"] == concept] for table in (erasure, kept, seeds))
        for ax in column:
            draw_points(ax, x, y, looks)
            for method, rows in of_seeds.groupby("method"):
                style.mark_seeds(ax, looks[str(method)], rows["value_x"], rows["value_y"], f"{method} seeds")
            ax.grid()
        column[0].set_title(style.concept_title(concept))
        without = [looks[method].label for method in looks if method in set(x["method"]) - set(y["method"])]
        if without:
            note = f"{'no retention' if accuracy else 'no CLIP score'}: {', '.join(without)}"
            style.note_missing(column[0], 0.98, 0.04, note, ha="right", transform=column[0].transAxes)
    first = axes[0, 0]
    first.set_xlim(-0.05, 1.05)
    style.percent(first.xaxis, [0, 0.25, 0.5, 0.75, 1])
    if accuracy:
        first.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        style.percent(first.yaxis, decimals=0)
        first.set_ylim(max(-0.03, float(kept[["value", "ci_low"]].min().min()) - 0.01), 1.01)
        first.set_ylabel("retention images with\nthe right object (%)  higher →")
    else:
        first.margins(y=0.15)
        first.set_ylabel("CLIP score of\ngeneral images  higher →")
    if crowded:
        for whole, part in axes.T:
            _enlarge(whole, part)
        axes[1, 0].set_ylabel("retention (%)")
    figure.supxlabel("target images with the concept (%)  ← lower is better", fontsize=8)
    style.add_legend(figure, looks.values())
    return figure


def draw_points(ax: Axes, x: pd.DataFrame, y: pd.DataFrame, looks: Mapping[str, style.Look]) -> None:
    """A panel with a point a method, at two of its rates, with the intervals of both.

    Args:
        ax: the panel. Its points are Line2D artists labelled by the method.
        x: one row a method.
        y: one row a method. Methods without one of the two are left out.
        looks: method → its look.
    """
    row: Any
    for row in x.merge(y, on="method", suffixes=("_x", "_y")).itertuples():
        look = looks[row.method]
        lines: dict[str, Any] = {"color": look.colour, "linewidth": 1.0, "alpha": 0.5}
        ax.hlines(row.value_y, row.ci_low_x, row.ci_high_x, **lines)
        ax.vlines(row.value_x, row.ci_low_y, row.ci_high_y, **lines)
        style.mark(ax, look, row.value_x, row.value_y, row.method)


def _crowded(erasure: pd.DataFrame, retention: pd.DataFrame) -> bool:
    points = erasure.merge(retention, on=KEY, suffixes=("_x", "_y"))
    cornered = points[(points["value_x"] <= CORNER) & (points["value_y"] >= 1 - CORNER)]
    return bool((cornered["concept"].value_counts() >= CROWD).any())


def _enlarge(whole: Axes, part: Axes) -> None:
    """Frame the corner of a panel, and show it alone in the one below."""
    corner, side = (-MARGIN, 1 - CORNER - MARGIN), CORNER + 2 * MARGIN
    whole.add_patch(Rectangle(corner, side, side, fill=False, edgecolor=style.MUTED, linewidth=0.7, zorder=2))
    part.set_title("upper left corner, enlarged", fontweight="normal", fontsize=7, color=style.MUTED)
    part.set(xlim=(corner[0], corner[0] + side), ylim=(corner[1], corner[1] + side))
    for artist in part.get_lines():
        artist.set_clip_on(True)
    for axis in (part.xaxis, part.yaxis):
        axis.set_major_locator(MultipleLocator(CORNER / 5))
        style.percent(axis, decimals=0)
