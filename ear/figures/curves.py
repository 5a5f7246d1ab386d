"""Concept rate against something that an attacker turns up: a line a method, with its interval as a band."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from ear.figures import style
from ear.figures.rows import pooled

METRICS = "metrics.csv"
KEY = ("concept", "method", "prompt_set")
LEGEND_COLUMN, LEGEND_ROW = 1.3, 0.155  # inches


def swept(metrics: pd.DataFrame, prefix: str, start: float | None = None) -> pd.DataFrame:
    """Concept rates on the prompt sets named by a prefix and a number, over all seeds.

    Args:
        metrics: the tidy table of metrics.
        prefix: such as "guidance-".
        start: the number that the target prompts themselves stand for, which are added; without it they are
            left out.

    Returns:
        The rows and a column ``x``, the number, in its order. Without any row of the prefix it is empty.

    Raises:
        InputError: several rows for one prompt set.
    """
    named = metrics["prompt_set"].str.startswith(prefix) & (metrics["metric"] == "concept_rate")
    if not named.any():
        return metrics[named].assign(x=np.array([], dtype=float))
    rows = pooled(metrics[named], KEY, METRICS)
    rows = rows.assign(x=rows["prompt_set"].str.removeprefix(prefix).astype(float))
    if start is not None:
        target = pooled(metrics, KEY, METRICS, metric="concept_rate", prompt_set="target")
        measured = pd.MultiIndex.from_frame(rows[["concept", "method"]])
        mine = pd.MultiIndex.from_frame(target[["concept", "method"]]).isin(measured)
        rows = pd.concat([rows, target[mine].assign(x=float(start))], ignore_index=True)
    return rows.sort_values("x", kind="stable")


def draw_curves(ax: Axes, rows: pd.DataFrame, methods: Sequence[str], places: Mapping[float, float]) -> None:
    """Draw a line a method and its interval as a band, the numbers at the places that they have on the axis.

    The lines are Line2D artists labelled by the method's name, the bands PolyCollections labelled by that and
    ``interval``.
    """
    for method in methods:
        line = rows[rows["method"] == method]
        if line.empty:
            continue
        look, x = style.method_style(method, methods), line["x"].map(places).to_numpy()
        ax.fill_between(
            x,
            line["ci_low"],
            line["ci_high"],
            color=look.colour,
            alpha=0.09,
            linewidth=0,
            label=f"{method} interval",
        )
        ax.plot(
            x,
            line["value"],
            color=look.colour,
            linewidth=1.3,
            marker=look.marker,
            markersize=0.8 * look.size,
            markeredgecolor="white",
            markeredgewidth=0.4,
            label=method,
            clip_on=False,
            zorder=3,
        )


def rate_axis(ax: Axes, label: str) -> None:
    """A vertical axis of rates in percent."""
    ax.set_ylim(-0.03, 1.03)
    ax.set_yticks([0, 0.25, 0.5, 0.75, 1])
    ax.yaxis.set_major_formatter(PercentFormatter(1, symbol=None))
    ax.set_ylabel(label)


def add_legend(figure: Figure, methods: Sequence[str], others: Sequence[Line2D] = ()) -> None:
    """A legend of methods above the panels, for which the figure is made higher."""
    handles = []
    for method in methods:
        look = style.method_style(method, methods)
        handles.append(
            Line2D(
                [],
                [],
                color=look.colour,
                linewidth=1.3,
                marker=look.marker,
                markersize=0.8 * look.size,
                label=look.label,
            )
        )
    handles += others
    rows = legend_rows(len(handles), figure.get_figwidth())
    figure.set_figheight(figure.get_figheight() + LEGEND_ROW * rows)
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=-(-len(handles) // rows),  # rows of like length
        handlelength=1.8,
        handletextpad=0.5,
        columnspacing=1.2,
    )


def legend_rows(entries: int, width: float) -> int:
    """Rows of a legend above a figure of so many inches."""
    return -(-entries // max(2, int(width / LEGEND_COLUMN)))


def panel_width(columns: int) -> float:
    """Inches of a figure with a row of so many panels."""
    return style.COLUMN_WIDTH if columns == 1 else min(style.TEXT_WIDTH, 0.6 + 2.1 * columns)
