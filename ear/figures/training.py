"""Loss by window over the fine-tuning of a concept, with the windows that the threshold skipped."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import blended_transform_factory

from ear.errors import InputError
from ear.figures import style
from ear.figures.rows import TRAINING_COLUMNS
from ear.files import read_csv

PANELS_PER_ROW = 3
# The median runs over about a twelfth of the windows, so that it is as smooth at 50 windows as at 3 000.
MEDIAN_SHARE, MEDIAN_LEAST = 12, 5
LOSSES: dict[str, str] = {
    "mse": "squared error",
    "kl": "KL divergence",
    "ascent": "log-likelihood",
    "redirect": "KL divergences",
}


def plot(files: Any, params: Any) -> Figure:
    """The figure, of the rule's input and parameters: each method at its own window length."""
    parts = []
    for (method, window), path in zip(params.windows.items(), files.logs, strict=True):
        table = read_csv(path, TRAINING_COLUMNS)
        parts.append(table[table["window_length"] == window].assign(method=method))
    return draw(pd.concat(parts), params.objectives)


@style.styled
def draw(training: pd.DataFrame, objectives: Mapping[str, str] | None = None) -> Figure:
    """Loss of every window, its running median, μ and the skipped windows (ticks on top), a panel a method.

    The scale is logarithmic where all losses of a method are above zero, linear where they are not (a
    log-likelihood never is). The line μ is there where the threshold looks at what is plotted, the window's
    sum.

    Args:
        training: one row a window, columns of training.csv and ``method``; one window length a method. A
            method without rows, having nothing to train, has no panel.
        objectives: method → its objective, of LOSSES, named in the panel's heading.

    Returns:
        The figure. In each panel, Line2D artists are labelled ``loss``, ``skipped``, ``median`` and, where μ
        is shown, ``threshold``.

    Raises:
        InputError: no rows, a method with several window lengths, or a loss that is no finite number.
    """
    if training.empty:
        raise InputError("training.csv: found no rows, wanted one a window")
    if not np.isfinite(training["loss"]).all():
        row = training[~np.isfinite(training["loss"])].iloc[0]
        raise InputError(
            f"training.csv: {row['method']}: step {row['step']}: found loss {row['loss']}, wanted a number"
        )
    methods = style.order_methods(training["method"])
    columns = min(PANELS_PER_ROW, len(methods))
    rows = -(-len(methods) // columns)
    width = style.COLUMN_WIDTH if columns == 1 else min(style.TEXT_WIDTH, 0.5 + 2.13 * columns)
    figure, axes = style.panels(rows, columns, width, 0.55 + 1.7 * rows)
    for ax, method in zip(axes.flat, methods, strict=False):
        curve = training[training["method"] == method].sort_values("step")
        windows = curve["window_length"].unique()
        if len(windows) > 1:
            raise InputError(
                f"training.csv: {method}: found window lengths {', '.join(map(str, windows))}, wanted one"
            )
        look = style.method_style(method, methods)
        skipped = curve["skipped"].astype(bool)
        size = 3.2 if len(curve) < 500 else 1.2
        ax.plot(
            curve["step"],
            curve["loss"],
            ".",
            color=look.colour,
            alpha=0.45,
            markersize=size,
            markeredgewidth=0,
            label="loss",
            rasterized=True,
        )
        top = blended_transform_factory(ax.transData, ax.transAxes)
        ax.plot(
            curve["step"][skipped],
            [0.97] * skipped.sum(),
            "|",
            color=style.INK,
            markersize=4,
            markeredgewidth=0.6,
            transform=top,
            label="skipped",
            rasterized=True,
        )
        span = max(MEDIAN_LEAST, len(curve) // MEDIAN_SHARE)
        median = curve["loss"].rolling(span, center=True, min_periods=1).median()
        ax.plot(curve["step"], median, color=look.colour, linewidth=1.4, label="median")
        threshold = curve["threshold"].astype(float)
        if ((curve["loss"] > threshold) == ~skipped).all():
            for value in threshold.unique():
                ax.axhline(value, color=style.INK, linewidth=0.7, linestyle=(0, (4, 2)), label="threshold")
        ax.set_title(look.label, fontsize=7.5, pad=13)
        heading = _heading(curve, (objectives or {}).get(method))
        ax.annotate(
            heading,
            (0.5, 1),
            (0, 4),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="center",
            fontsize=6.5,
        )
        _scale(ax, logarithmic=bool((curve["loss"] > 0).all()))
        ax.grid(axis="y")
    spare = axes.flat[len(methods) :]
    for ax in spare:
        ax.axis("off")
    figure.supxlabel("window, in order of training", fontsize=8)
    linear = any(ax.get_yscale() == "linear" for ax in axes.flat[: len(methods)])
    figure.supylabel(f"window loss (log scale{', linear for negative losses' if linear else ''})", fontsize=8)
    if len(spare):
        spare[0].legend(handles=_legend(), loc="center", labelspacing=0.9)
    else:
        figure.legend(
            handles=_legend(), loc="outside upper center", ncols=4 if columns > 1 else 2, columnspacing=1.4
        )
    return figure


def _heading(curve: pd.DataFrame, objective: str | None) -> str:
    """Objective, W and what the threshold left out: whole windows, or tokens of windows."""
    parts = [LOSSES[objective]] if objective else []
    parts.append(f"W = {curve['window_length'].iloc[0]}")
    kept = curve["kept"].astype(float)
    if ((kept > 0) & (kept < 1)).any():
        parts.append(f"{kept.mean():.0%} of tokens kept")
    elif curve["threshold"].notna().any():
        parts.append(f"{curve['skipped'].mean():.0%} skipped")
    return ", ".join(parts)


def _scale(ax: Axes, logarithmic: bool) -> None:
    """Log or linear scale, with room above for the ticks of skipped windows."""
    if not logarithmic:
        bottom, peak = ax.get_ylim()
        ax.set_ylim(bottom, peak + 0.09 * (peak - bottom))
        ax.yaxis.set_major_locator(MaxNLocator(5))
        return
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_locator(NullLocator())
    bottom, peak = ax.get_ylim()
    ax.set_ylim(bottom, peak * (peak / bottom) ** 0.09)


def _legend() -> list[Line2D]:
    return [
        Line2D(
            [],
            [],
            marker=".",
            linestyle="none",
            color=style.MUTED,
            markersize=4,
            alpha=0.6,
            label="one window",
        ),
        Line2D([], [], color=style.MUTED, linewidth=1.4, label="running median"),
        Line2D([], [], color=style.INK, linewidth=0.7, linestyle=(0, (4, 2)), label="threshold μ"),
        Line2D([], [], marker="|", linestyle="none", color=style.INK, markersize=5, label="skipped window"),
    ]
