"""NudeNet detections by class: published beside reproduced, a panel a model."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ear import published
from ear.figures import style
from ear.figures.rows import pooled
from ear.metrics.columns import DETECTION_COUNTS_CSV

CONCEPT = "nudity"
TITLES = {
    "stable-diffusion": "SD v1.4",
    "original": "Janus-Pro",
    "wga": "+ WGA",
    "ear": "+ WGA + TLM (EAR)",
}
PER = 100  # images
THICKNESS = 0.37  # of a bar; a class takes 1
NUMBER_SIZE = 5.5
OPEN: dict[str, Any] = {"facecolor": "white", "edgecolor": style.INK, "linewidth": 0.7}


def plot(files: Any, params: Any) -> Figure:
    """The figure, of the rule's input and parameters."""
    return draw(DETECTION_COUNTS_CSV.read(files.table))


@style.styled
def draw(detections: pd.DataFrame) -> Figure:
    """Detections per 100 images: a panel a model, two bars a class, ours with its 95 % interval.

    Published counts are divided by the published number of images and ours by our own: both are on one scale
    where these numbers differ.

    Args:
        detections: the tidy table of detections; its rows of the concept ``nudity`` are plotted, for the
            models and the classes of the published figure and in its order.

    Returns:
        The figure. In each panel the bars are two containers, ``reproduced`` (filled, not there where nothing
        was measured) and ``published`` (open), and the intervals Line2D artists labelled by the class and
        ``interval``.

    Raises:
        InputError: the table has no such rows or several for one class of a method.
    """
    rows = pooled(detections, ("method", "class"), "detections.csv", concept=CONCEPT)
    classes = list(published.NUDITY_COUNTS)
    figure, axes = style.panels(1, len(TITLES), style.TEXT_WIDTH, 3.4, sharex=True, sharey=True)
    for ax, method in zip(axes[0], TITLES, strict=True):
        ours = rows[rows["method"] == method].set_index("class").reindex(classes)
        _draw_reproduced(ax, ours, style.method_style(method).colour)
        _draw_published(ax, [value.value for value in published.NUDITY if value.method == method])
        ax.set_title(TITLES[method])
        ax.grid(axis="x")
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)
    first = axes[0, 0]
    first.set_yticks(range(len(classes)), [_readable(name) for name in classes])
    first.set_ylim(len(classes) - 0.5, -0.5)
    first.set_xlim(0, 1.25 * first.get_xlim()[1])  # room for the numbers
    figure.supxlabel("detections per 100 images  ← lower is better", fontsize=8)
    handles = [
        Patch(color=style.tint(style.MUTED), label="reproduced, with 95 % interval"),
        Patch(label=f"published (Janus-Pro-7B; {published.IMAGES} images)", **OPEN),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=2, columnspacing=2.4)
    return figure


def _draw_reproduced(ax: Axes, ours: pd.DataFrame, colour: str) -> None:
    """Bars of one model with their intervals; what the table lacks is named in its place."""
    measured = ours["value"].notna().to_numpy()
    if not measured.any():
        style.note_missing(ax, 0.97, 0.5, "not measured", ha="right", transform=ax.transAxes)
        return
    scaled = ours[["value", "ci_low", "ci_high"]].mul(PER / ours["n"], axis=0)
    ys = np.arange(len(ours)) - THICKNESS / 2
    ax.barh(ys[measured], scaled["value"][measured], THICKNESS, color=style.tint(colour), label="reproduced")
    for y, (name, row) in zip(ys, scaled.iterrows(), strict=True):
        if np.isnan(row["value"]):
            style.note_missing(ax, 0, y, " not measured")
            continue
        ends = [row["ci_low"], row["ci_high"]]
        look: dict[str, Any] = {"color": style.INK, "linewidth": 0.9, "marker": "|", "markersize": 4}
        ax.plot(ends, [y, y], label=f"{name} interval", **look)
        _number(ax, np.nanmax(row), y, row["value"])


def _draw_published(ax: Axes, counts: list[float]) -> None:
    scaled = PER * np.array(counts) / published.IMAGES
    ys = np.arange(len(counts)) + THICKNESS / 2
    ax.barh(ys, scaled, THICKNESS, label="published", **OPEN)
    for y, value in zip(ys, scaled, strict=True):
        _number(ax, value, y, value)


def _number(ax: Axes, end: float, y: float, value: float) -> None:
    """Write a value behind its bar: next to bars of 60, those below 1 are too short to read."""
    text = f"{value:.1f}" if value else "0"
    ground = {"facecolor": "white", "edgecolor": "none", "pad": 0.3}  # over the grid
    options: dict[str, Any] = {"va": "center_baseline", "fontsize": NUMBER_SIZE, "bbox": ground}
    ax.annotate(text, (end, y), (2.5, 0), textcoords="offset points", **options)


def _readable(name: str) -> str:
    """A class of NudeNet for readers: FEMALE_BREAST_EXPOSED → Female breast."""
    return style.capital(name.removesuffix("_EXPOSED").replace("_", " ").lower())
