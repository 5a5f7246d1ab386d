"""Loss by window over the fine-tuning of a concept, with the windows that the threshold skipped."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from matplotlib.transforms import blended_transform_factory

from ear.errors import InputError
from ear.figures import style

PANELS_PER_ROW = 3
# The median runs over about a twelfth of the windows, so that it is as smooth at 50 windows as at 3 000.
MEDIAN_SHARE, MEDIAN_LEAST = 12, 5


@style.styled
def draw(training: pd.DataFrame) -> Figure:
    """Loss of every window, its running median, μ and the skipped windows (ticks on top), a panel a method.

    Args:
        training: one row a window, columns of training.csv and ``method``; one window length a method.

    Returns:
        The figure. In each panel, Line2D artists are labelled ``loss``, ``skipped`` and ``median``.

    Raises:
        InputError: no rows, a method with several window lengths, or a loss not above zero.
    """
    if training.empty:
        raise InputError("training.csv: found no rows, wanted one a window")
    if not (training["loss"] > 0).all():
        row = training[~(training["loss"] > 0)].iloc[0]
        raise InputError(
            f"training.csv: {row['method']}: step {row['step']}: found loss {row['loss']}, wanted one above 0"
        )
    methods = style.order_methods(training["method"])
    columns = min(PANELS_PER_ROW, len(methods))
    rows = -(-len(methods) // columns)
    width = style.COLUMN_WIDTH if columns == 1 else min(style.TEXT_WIDTH, 0.5 + 2.13 * columns)
    figure, axes = style.panels(rows, columns, width, 0.55 + 1.6 * rows)
    for ax, method in zip(axes.flat, methods, strict=False):
        curve = training[training["method"] == method].sort_values("step")
        windows = curve["window_length"].unique()
        if len(windows) > 1:
            raise InputError(
                f"training.csv: {method}: found window lengths {', '.join(map(str, windows))}, wanted one"
            )
        look = style.method_style(method)
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
        threshold = curve["threshold"].astype(float).dropna().unique()
        for value in threshold:
            ax.axhline(value, color=style.INK, linewidth=0.7, linestyle=(0, (4, 2)), label="threshold")
        share = f", {skipped.mean():.0%} skipped" if len(threshold) else ""
        ax.set_title(f"{look.label} (W = {windows[0]}{share})", fontweight="normal", fontsize=7.5)
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_locator(NullLocator())
        ax.grid(axis="y")
        bottom, peak = ax.get_ylim()
        ax.set_ylim(bottom, peak * (peak / bottom) ** 0.09)  # room for the ticks of skipped windows
    spare = axes.flat[len(methods) :]
    for ax in spare:
        ax.axis("off")
    figure.supxlabel("window, in order of training", fontsize=8)
    figure.supylabel("window loss (log scale)", fontsize=8)
    if len(spare):
        spare[0].legend(handles=_legend(), loc="center", labelspacing=0.9)
    else:
        figure.legend(
            handles=_legend(), loc="outside upper center", ncols=4 if columns > 1 else 2, columnspacing=1.4
        )
    return figure


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
