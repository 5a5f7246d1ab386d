"""Erasure against retention: what a method pays for forgetting the concept."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from ear.figures import style
from ear.figures.labels import place_labels
from ear.figures.rows import one_row, pooled


@style.styled
def draw(metrics: pd.DataFrame) -> Figure:
    """Concept rate on target prompts (x) against accuracy on retention prompts (y), a panel a concept.

    Methods without one of the two values are left out of the panel and named in its corner.

    Args:
        metrics: the tidy table of metrics; its rows ``concept_rate`` on ``target`` and ``accuracy`` on
            ``retention`` are plotted as they are, with their 95 % intervals.

    Returns:
        The figure. In each panel, the points are Line2D artists labelled by the method's name. Methods are
        named beside their points, or in a legend where the names would overlap.

    Raises:
        InputError: the table has no such rows or several for one method.
    """
    key = ("concept", "method")
    erasure = pooled(metrics, key, "metrics.csv", metric="concept_rate", prompt_set="target")
    retention = pooled(metrics, key, "metrics.csv", metric="accuracy", prompt_set="retention")
    concepts = style.order_concepts(erasure["concept"])
    methods = style.order_methods(erasure["method"])
    width = style.COLUMN_WIDTH if len(concepts) == 1 else min(style.TEXT_WIDTH, 0.5 + 2.13 * len(concepts))
    figure, axes = style.panels(1, len(concepts), width, 2.55, sharex=True, sharey=True)
    for ax, concept in zip(axes[0], concepts, strict=True):
        left_out = []
        for method in methods:
            x, y = one_row(erasure, concept, method), one_row(retention, concept, method)
            if x is None or y is None:
                left_out.append(style.method_style(method).label)
            else:
                _plot_method(ax, method, x, y)
        ax.set_title(style.capital(style.concept_style(concept).label))
        if left_out:
            style.note_missing(
                ax, 0.98, 0.04, f"no retention: {', '.join(left_out)}", ha="right", transform=ax.transAxes
            )
        ax.grid()
    first = axes[0, 0]
    first.set_xlim(-0.05, 1.05)
    first.set_xticks([0, 0.25, 0.5, 0.75, 1])
    first.xaxis.set_major_formatter(PercentFormatter(1, symbol=None))
    first.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    first.yaxis.set_major_formatter(PercentFormatter(1, symbol=None))
    low = float(retention[["value", "ci_low"]].min().min())
    first.set_ylim(max(-0.03, low - 0.12), 1.03)
    first.set_ylabel("retention images with\nthe right object (%)  higher is better →")
    figure.supxlabel("target images that show the concept (%)  ← lower is better", fontsize=8)
    for ax in axes[0]:
        _mark_good_corner(ax)
    if not place_labels(
        figure, list(axes[0]), {method: style.method_style(method).label for method in methods}
    ):
        handles = [_point(method) for method in methods]
        figure.legend(
            handles=handles,
            loc="outside upper center",
            ncols=len(handles),
            handletextpad=0.1,
            columnspacing=1.2,
        )
    return figure


def _plot_method(ax: Axes, method: str, erasure: pd.Series, retention: pd.Series) -> None:
    look = style.method_style(method)
    x, y = erasure["value"], retention["value"]
    ax.hlines(y, erasure["ci_low"], erasure["ci_high"], color=look.colour, linewidth=1.2, alpha=0.7)
    ax.vlines(x, retention["ci_low"], retention["ci_high"], color=look.colour, linewidth=1.2, alpha=0.7)
    point = _point(method)
    point.set_data([x], [y])
    point.set(label=method, clip_on=False, zorder=3)
    ax.add_line(point)


def _point(method: str) -> Line2D:
    look = style.method_style(method)
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
        xy=(0.05, 0.17),
        xytext=(0.17, 0.05),
        xycoords="axes fraction",
        textcoords="axes fraction",
        arrowprops=arrow,
    )
    ax.text(
        0.19,
        0.045,
        "better",
        color=style.MUTED,
        fontsize=7,
        style="italic",
        transform=ax.transAxes,
        va="center",
    )
