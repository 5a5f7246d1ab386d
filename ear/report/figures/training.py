"""Loss by window over the fine-tuning of a concept, with the windows that the threshold skipped."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ear.erasure.variants import LOG_COLUMNS
from ear.errors import InputError
from ear.report import style
from ear.workflow.files import read_csv

# The median runs over about a twelfth of the windows, so that it is as smooth at 50 windows as at 3 000.
MEDIAN_SHARE, MEDIAN_LEAST = 12, 5
LOSSES: dict[str, str] = {
    "mse": "squared error",
    "kl": "KL divergence",
    "ascent": "log-likelihood",
    "redirect": "KL divergences",
}
LEGEND = {"loss": "one window", "median": "running median", "threshold": "threshold μ", "skipped": "skipped"}
"""Label of an artist → what it is, for readers."""


@style.styled
def training(files: Any, params: Any) -> Figure:
    """Loss of every window, its running median, μ and the skipped windows (ticks on top), a panel a method.

    Each method is shown at its own window length; one that had nothing to train has no panel. The scale is
    logarithmic where all losses of a method are above zero, linear where they are not (a log-likelihood never
    is). The line μ is there where the threshold looks at what is plotted, the window's sum.

    Returns:
        The figure. In each panel, Line2D artists are labelled ``loss``, ``skipped``, ``median`` and, where μ
        is shown, ``threshold``.

    Raises:
        InputError: a loss is no finite number.
    """
    parts = []
    for (method, window), path in zip(params.windows.items(), files.logs, strict=True):
        log = read_csv(path, LOG_COLUMNS)
        parts.append(log[log["window_length"] == window].assign(method=method))
    table = pd.concat(parts)
    for row in table[~np.isfinite(table["loss"])].itertuples():
        raise InputError(
            f"training.csv: {row.method}: step {row.step}: found loss {row.loss}, wanted a number"
        )
    looks = style.looks_of(table["method"])
    columns = min(3, len(looks))
    rows = -(-len(looks) // columns)
    figure, axes = style.panels(rows, columns, style.panel_width(columns), 0.55 + 1.7 * rows)
    marks: dict[str, Any] = {}
    for ax, (method, look) in zip(axes.flat, looks.items(), strict=False):
        curve = table[table["method"] == method].sort_values("step")
        _draw_curve(ax, curve, look.colour)
        ax.set_title(look.label, fontsize=7.5, pad=13)
        above: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "fontsize": 6.5}
        ax.annotate(
            _heading(curve, LOSSES[params.objectives[method]]), (0.5, 1), (0, 4), ha="center", **above
        )
        marks |= {str(line.get_label()): line for line in ax.get_lines()}
    for ax in axes.flat[len(looks) :]:
        ax.axis("off")
    figure.supxlabel("window, in order of training", fontsize=8)
    linear = ", linear for negative losses" if (table["loss"] <= 0).any() else ""
    figure.supylabel(f"window loss (log scale{linear})", fontsize=8)
    shown = {text: marks[label] for label, text in LEGEND.items() if label in marks}
    place: dict[str, Any] = {"loc": "outside upper center", "ncols": 4 if columns > 1 else 2}
    figure.legend(list(shown.values()), list(shown), columnspacing=1.4, markerscale=1.6, **place)
    return figure


def _draw_curve(ax: Axes, curve: pd.DataFrame, colour: str) -> None:
    skipped = curve["skipped"].astype(bool)
    dots: dict[str, Any] = {"color": colour, "alpha": 0.45, "markersize": 3.2 if len(curve) < 1000 else 2}
    ax.plot(curve["step"], curve["loss"], ".", markeredgewidth=0, label="loss", rasterized=True, **dots)
    ticks: dict[str, Any] = {"color": style.INK, "markersize": 4, "markeredgewidth": 0.6, "rasterized": True}
    top = ax.get_xaxis_transform()
    ax.plot(curve["step"][skipped], [0.97] * skipped.sum(), "|", transform=top, label="skipped", **ticks)
    span = max(MEDIAN_LEAST, len(curve) // MEDIAN_SHARE)
    median = curve["loss"].rolling(span, center=True, min_periods=1).median()
    ax.plot(curve["step"], median, color=colour, linewidth=1.4, label="median")
    threshold = curve["threshold"].astype(float)
    if ((curve["loss"] > threshold) == ~skipped).all():
        for value in threshold.unique():
            ax.axhline(value, color=style.INK, linewidth=0.7, linestyle=(0, (4, 2)), label="threshold")
    ax.grid(axis="y")
    if (curve["loss"] > 0).all():
        ax.set_yscale("log")
        style.plain_log(ax.yaxis)
    else:
        ax.yaxis.set_major_locator(MaxNLocator(5))
    ax.margins(y=0.12)  # above, room for the ticks of skipped windows


def _heading(curve: pd.DataFrame, loss: str) -> str:
    """What the loss is, W, and what the threshold left out: whole windows, or tokens of windows."""
    parts = [loss, f"W = {curve['window_length'].iloc[0]}"]
    kept = curve["kept"].astype(float)
    if ((kept > 0) & (kept < 1)).any():
        parts.append(f"{kept.mean():.0%} of tokens kept")
    elif curve["threshold"].notna().any():
        parts.append(f"{curve['skipped'].sum()} of {len(curve)} skipped")
    return ", ".join(parts)
