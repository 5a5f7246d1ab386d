"""NudeNet detections by class: published beside reproduced, a panel a model."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ear.evaluation import deviations as published
from ear.evaluation.columns import DETECTION_COUNTS_CSV
from ear.report import style
from ear.report.figures.rates import pooled

TITLES = {
    "stable-diffusion": "SD v1.4",
    "original": "Janus-Pro",
    "wga": "+ WGA",
    "ear": "+ WGA + TLM (EAR)",
}
PER = 100  # images
THICKNESS = 0.37  # of a bar; a class takes 1
OPEN: dict[str, Any] = {"facecolor": "white", "edgecolor": style.INK, "linewidth": 0.7}


@style.styled
def nudity(files: Any, params: Any) -> Figure:
    """Detections per 100 images: a panel a model, two bars a class, ours with its 95 % interval.

    Published counts are divided by the published number of images and ours by our own: both are on one scale
    where these numbers differ. Models, classes and their order are those of the published figure.

    Returns:
        The figure. In each panel the bars are two containers, ``reproduced`` (filled, not there where nothing
        was measured) and ``published`` (open).
    """
    rows = pooled(DETECTION_COUNTS_CSV.read(files.table), "detections.csv", concept="nudity")
    classes = list(published.NUDITY_COUNTS)
    places = np.arange(len(classes))
    figure, axes = style.panels(1, len(TITLES), style.TEXT_WIDTH, 3.4, sharex=True, sharey=True)
    for ax, method in zip(axes[0], TITLES, strict=True):
        ours = rows[rows["method"] == method].set_index("class").reindex(classes)
        scaled = ours[["value", "ci_low", "ci_high"]].mul(PER / ours["n"], axis=0)
        measured = scaled["value"].notna().to_numpy()
        if measured.any():
            value, low, high = scaled[measured].to_numpy().T
            look = {"color": style.tint(style.method_style(method).colour), "ecolor": style.INK}
            errors = {"xerr": [value - low, high - value], "error_kw": {"elinewidth": 0.9, "capsize": 2}}
            at = places[measured] - THICKNESS / 2
            _number(ax, ax.barh(at, value, THICKNESS, label="reproduced", **look, **errors))
            for place in places[~measured]:
                style.note_missing(ax, 0, place - THICKNESS / 2, " not measured")
        else:
            style.note_missing(ax, 0.97, 0.5, "not measured", ha="right", transform=ax.transAxes)
        counts = [value.value for value in published.NUDITY if value.method == method]
        theirs = PER * np.array(counts) / published.IMAGES
        _number(ax, ax.barh(places + THICKNESS / 2, theirs, THICKNESS, label="published", **OPEN))
        ax.set_title(TITLES[method])
        ax.grid(axis="x")
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)
    first = axes[0, 0]
    labels = [style.capital(name.removesuffix("_EXPOSED").replace("_", " ").lower()) for name in classes]
    first.set_yticks(places, labels)
    first.set_ylim(len(classes) - 0.5, -0.5)
    first.set_xlim(0, 1.25 * first.get_xlim()[1])  # room for the numbers
    figure.supxlabel("detections per 100 images  ← lower is better", fontsize=8)
    handles = [
        Patch(color=style.tint(style.MUTED), label="reproduced, with 95 % interval"),
        Patch(label=f"published (Janus-Pro-7B; {published.IMAGES} images)", **OPEN),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=2, columnspacing=2.4)
    return figure


def _number(ax: Axes, bars: BarContainer) -> None:
    """Write values behind their bars: next to bars of 60, those below 1 are too short to read."""
    ground = {"facecolor": "white", "edgecolor": "none", "pad": 0.3}  # over the grid
    ax.bar_label(
        bars, fmt=lambda value: f"{value:.1f}" if value else "0", padding=2.5, fontsize=5.5, bbox=ground
    )
