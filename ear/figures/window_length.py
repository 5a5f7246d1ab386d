"""The window length W of windowed gradient accumulation against the concept rate."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator, PercentFormatter

from ear.figures import style
from ear.figures.rows import pooled, single_seeds


@style.styled
def draw(window_length: pd.DataFrame, own_window: Mapping[str, int]) -> Figure:
    """Concept rate by W: a panel a method, a line a concept, 95 % intervals, faint marks for single seeds.

    Args:
        window_length: the tidy table by window; its rows ``concept_rate`` are plotted as they are.
        own_window: concept → the W that the experiment uses in all other results; ringed where measured.

    Returns:
        The figure. In each panel, a concept's line is a Line2D labelled by the concept's name, and its single
        seeds by that and ``seeds``.

    Raises:
        InputError: the table has no such rows or several for one point.
    """
    key = ("concept", "method", "window")
    rows = pooled(window_length, key, "window-length.csv", metric="concept_rate")
    seeds = single_seeds(window_length, key, metric="concept_rate")
    concepts, methods = style.order_concepts(rows["concept"]), style.order_methods(rows["method"])
    windows = sorted(int(window) for window in rows["window"].unique())
    width = style.COLUMN_WIDTH if len(methods) == 1 else min(style.TEXT_WIDTH, 0.6 + 2.3 * len(methods))
    figure, axes = style.panels(1, len(methods), width, 2.75, sharex=True, sharey=True)
    for ax, method in zip(axes[0], methods, strict=True):
        for concept in concepts:
            line = rows[(rows["method"] == method) & (rows["concept"] == concept)].sort_values("window")
            if line.empty:
                continue
            look = style.concept_style(concept, concepts)
            ax.vlines(
                line["window"], line["ci_low"], line["ci_high"], color=look.colour, linewidth=2.6, alpha=0.35
            )
            ax.plot(
                line["window"],
                line["value"],
                color=look.colour,
                linestyle=look.line,
                linewidth=1.2,
                marker=look.marker,
                markersize=4,
                markeredgecolor="white",
                markeredgewidth=0.4,
                label=concept,
                clip_on=False,
                zorder=3,
            )
            of_seeds = seeds[(seeds["method"] == method) & (seeds["concept"] == concept)]
            style.mark_seeds(ax, look, of_seeds["window"], of_seeds["value"], f"{concept} seeds")
            own = line[line["window"] == own_window.get(concept)]
            ax.plot(own["window"], own["value"], label=f"{concept} own", **_ring(look.colour))
        ax.set_xscale("log", base=2)
        ax.set_xticks(windows, [str(window) for window in windows])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.grid(axis="y")
        if len(methods) > 1:
            ax.set_title(style.method_style(method).label)
    axes[0, 0].set_ylim(-0.04, 1.04)
    axes[0, 0].yaxis.set_major_formatter(PercentFormatter(1, symbol=None))
    axes[0, 0].set_ylabel("target images that show\nthe concept (%)  ← lower is better")
    figure.supxlabel("window length W (image tokens)", fontsize=8)
    _add_legend(figure, concepts)
    return figure


def _ring(colour: str) -> dict[str, object]:
    return {
        "color": colour,
        "linestyle": "none",
        "marker": "o",
        "markersize": 9.5,
        "markerfacecolor": "none",
        "markeredgewidth": 1.1,
        "clip_on": False,
        "zorder": 4,
    }


def _add_legend(figure: Figure, concepts: list[str]) -> None:
    looks = [style.concept_style(concept, concepts) for concept in concepts]
    handles = [
        Line2D(
            [],
            [],
            color=look.colour,
            linestyle=look.line,
            marker=look.marker,
            markersize=4,
            linewidth=1.2,
            label=look.label,
        )
        for look in looks
    ]
    handles.append(Line2D([], [], label="W of the experiment", **_ring(style.MUTED)))  # type: ignore[arg-type]
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=2 if len(handles) > 3 and figure.get_figwidth() < 4 else len(handles),
        handlelength=2.4,
        columnspacing=1.4,
    )
