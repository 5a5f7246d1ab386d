"""Erasure against retention: what a method pays for forgetting the concept."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, MultipleLocator, PercentFormatter

from ear.figures import style
from ear.figures.labels import place_labels
from ear.figures.rows import one_row, pooled, single_seeds
from ear.metrics.columns import METRICS_CSV

KEY = ("concept", "method")
ERASURE = {"metric": "concept_rate", "prompt_set": "target"}
RETENTION = {"metric": "accuracy", "prompt_set": "retention"}
# What stands for retention where no judge names objects: how well general images fit their prompts.
CLIP_SCORE = {"metric": "clip_score", "prompt_set": "general"}
# The corner where good methods crowd gets a row of its own, once so many are in it.
CORNER, CROWD = 0.1, 3
CORNER_MARGIN = 0.005
LEGEND_COLUMN = 1.3  # inches


def plot(files: Any, params: Any) -> Figure:
    """The figure, of the rule's input and parameters."""
    return draw(METRICS_CSV.read(files.table))


@style.styled
def draw(metrics: pd.DataFrame) -> Figure:
    """Concept rate on target prompts (x) against what is kept (y), a panel a concept.

    What is kept is the accuracy on retention prompts, or the CLIP score of general images where no accuracy
    was measured.

    Methods without one of the two values are left out of the panel and named in its corner. Where three
    methods or more lie in the upper left corner of a panel (a tenth of both axes), a second row of panels
    enlarges it.

    Args:
        metrics: the tidy table of metrics; its rows ``concept_rate`` on ``target`` and ``accuracy`` on
            ``retention`` or ``clip_score`` on ``general`` are plotted as they are, with 95 % intervals.

    Returns:
        The figure. In each panel, the points are Line2D artists labelled by the method's name, and those of
        single seeds, where there are several, by that and ``seeds``. Methods are named beside their points,
        or in a legend where the names would overlap.

    Raises:
        InputError: the table has no such rows or several for one method.
    """
    erasure = pooled(metrics, KEY, "metrics.csv", **ERASURE)
    accuracy = bool((metrics[list(RETENTION)] == pd.Series(RETENTION)).all(axis=1).any())
    kept = RETENTION if accuracy else CLIP_SCORE
    retention = pooled(metrics, KEY, "metrics.csv", **kept)
    seeds = single_seeds(metrics, KEY, **ERASURE).merge(
        single_seeds(metrics, KEY, **kept), on=[*KEY, "seed"], suffixes=("_x", "_y")
    )
    concepts = style.order_concepts(erasure["concept"])
    methods = style.order_methods(erasure["method"])
    crowded = accuracy and _crowded(erasure, retention)
    width = style.COLUMN_WIDTH if len(concepts) == 1 else min(style.TEXT_WIDTH, 0.5 + 2.13 * len(concepts))
    figure, axes = style.panels(
        1 + crowded, len(concepts), width, 4.6 if crowded else 2.55, sharex="row", sharey="row"
    )
    for column, concept in zip(axes.T, concepts, strict=True):
        left_out = []
        for method in methods:
            x, y = one_row(erasure, concept, method), one_row(retention, concept, method)
            if x is None or y is None:
                left_out.append(style.method_style(method).label)
                continue
            of_seeds = seeds[(seeds["concept"] == concept) & (seeds["method"] == method)]
            for ax in column:
                _plot_method(ax, method, methods, x, y, of_seeds)
        column[0].set_title(style.capital(style.concept_style(concept).label))
        if left_out:
            note = f"{'no retention' if accuracy else 'no CLIP score'}: {', '.join(left_out)}"
            style.note_missing(column[0], 0.98, 0.04, note, ha="right", transform=column[0].transAxes)
    _set_erasure_axis(axes[0, 0])
    if accuracy:
        _set_accuracy_axis(axes[0, 0], float(retention[["value", "ci_low"]].min().min()))
    else:
        axes[0, 0].margins(y=0.15)
        axes[0, 0].set_ylabel("CLIP score of\ngeneral images  higher →")
    if crowded:
        _enlarge(axes)
    for ax in axes.flat:
        ax.grid()
    figure.supxlabel("target images that show the concept (%)  ← lower is better", fontsize=8)
    for ax in axes[0]:
        _mark_good_corner(ax)
    labels = {method: style.method_style(method).label for method in methods}
    if crowded or not place_labels(figure, list(axes[0]), labels):
        handles = [_point(method, methods) for method in methods]
        columns = min(len(handles), int(width / LEGEND_COLUMN))
        figure.legend(
            handles=handles,
            loc="outside upper center",
            ncols=-(-len(handles) // -(-len(handles) // columns)),  # rows of like length
            handletextpad=0.1,
            columnspacing=1.2,
        )
    return figure


def _crowded(erasure: pd.DataFrame, retention: pd.DataFrame) -> bool:
    points = erasure.merge(retention, on=list(KEY), suffixes=("_x", "_y"))
    cornered = points[(points["value_x"] <= CORNER) & (points["value_y"] >= 1 - CORNER)]
    return bool((cornered["concept"].value_counts() >= CROWD).any())


def _set_erasure_axis(first: Axes) -> None:
    first.set_xlim(-0.05, 1.05)
    first.set_xticks([0, 0.25, 0.5, 0.75, 1])
    first.xaxis.set_major_formatter(PercentFormatter(1, symbol=None))


def _set_accuracy_axis(first: Axes, lowest: float) -> None:
    first.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    first.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=None))
    first.set_ylim(max(-0.03, lowest - 0.12), 1.03)
    first.set_ylabel("retention images with\nthe right object (%)  higher →")


def _enlarge(axes: np.ndarray) -> None:
    """Turn the second row into the framed corner of the first."""
    for whole, part in axes.T:
        side = CORNER + 2 * CORNER_MARGIN
        corner = (-CORNER_MARGIN, 1 - CORNER - CORNER_MARGIN)
        whole.add_patch(
            Rectangle(corner, side, side, fill=False, edgecolor=style.MUTED, linewidth=0.7, zorder=2)
        )
        part.set_title("upper left corner, enlarged", fontweight="normal", fontsize=7, color=style.MUTED)
        for artist in part.get_lines():
            artist.set_clip_on(True)
    first = axes[1, 0]
    first.set_xlim(-CORNER_MARGIN, CORNER + CORNER_MARGIN)
    first.set_ylim(1 - CORNER - CORNER_MARGIN, 1 + CORNER_MARGIN)
    for axis in (first.xaxis, first.yaxis):
        axis.set_major_locator(MultipleLocator(CORNER / 5))
        axis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=None))
    first.set_ylabel("retention (%)")


def _plot_method(
    ax: Axes, method: str, methods: list[str], erasure: pd.Series, retention: pd.Series, seeds: pd.DataFrame
) -> None:
    look = style.method_style(method, methods)
    x, y = erasure["value"], retention["value"]
    ax.hlines(y, erasure["ci_low"], erasure["ci_high"], color=look.colour, linewidth=1.1, alpha=0.5)
    ax.vlines(x, retention["ci_low"], retention["ci_high"], color=look.colour, linewidth=1.1, alpha=0.5)
    style.mark_seeds(ax, look, seeds["value_x"], seeds["value_y"], f"{method} seeds")
    point = _point(method, methods)
    point.set_data([x], [y])
    point.set(label=method, clip_on=False, zorder=3)
    ax.add_line(point)


def _point(method: str, methods: list[str]) -> Line2D:
    look = style.method_style(method, methods)
    return Line2D(
        [],
        [],
        color=look.colour,
        linestyle="none",
        marker=look.marker,
        markersize=look.size * 1.15,
        markeredgecolor="white",
        markeredgewidth=0.5,
        label=look.label,
    )


def _mark_good_corner(ax: Axes) -> None:
    arrow = {"arrowstyle": "-|>", "color": style.MUTED, "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0}
    ax.annotate(
        "",
        xy=(0.83, 0.22),
        xytext=(0.95, 0.1),
        xycoords="axes fraction",
        textcoords="axes fraction",
        arrowprops=arrow,
    )
    ax.text(
        0.81,
        0.16,
        "better",
        ha="right",
        color=style.MUTED,
        fontsize=7,
        style="italic",
        transform=ax.transAxes,
        va="center",
    )
