"""Prefix attack: the beginning of an image of the concept is given; does the model finish it?"""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ear.axes import protocols
from ear.errors import InputError
from ear.figures import style
from ear.figures.curves import METRICS, add_legend, draw_curves, panel_width, rate_axis, swept
from ear.metrics.columns import METRICS_CSV

PREFIX, CEILING = f"{protocols.PREFIX}-", f"{protocols.CEILING}-"


def plot(files: Any, params: Any) -> Figure:
    """The figure, of the rule's input and parameters."""
    return draw(METRICS_CSV.read(files.table), params.image_tokens)


@style.styled
def draw(metrics: pd.DataFrame, image_tokens: int) -> Figure:
    """Concept rate against the tokens of the original's image that are given: a panel a concept.

    Args:
        metrics: the tidy table of metrics; its rows ``concept_rate`` on ``prefix-<k>``, ``ceiling-<k>`` and,
            for k = 0, ``target`` are plotted as they are, with 95 % intervals.
        image_tokens: tokens of an image, T.

    Returns:
        The figure. In each panel, a method's line is a Line2D labelled by its name; the ceiling's, which is
        the original with the safe prompt, by ``ceiling``.

    Raises:
        InputError: the table has no such rows or several for one point.
    """
    rows, ceiling = swept(metrics, PREFIX, start=0), swept(metrics, CEILING)
    if rows.empty:
        raise InputError(f"{METRICS}: found no row of a prompt set {PREFIX}<k>, wanted at least one")
    concepts, methods = style.order_concepts(rows["concept"]), style.order_methods(rows["method"])
    width = panel_width(len(concepts))
    figure, axes = style.panels(1, len(concepts), width, 2.4, sharex=True, sharey=True)
    numbers = sorted({0.0, *rows["x"], *ceiling["x"]})
    places = {number: float(place) for place, number in enumerate(numbers)}
    for ax, concept in zip(axes[0], concepts, strict=True):
        draw_curves(ax, rows[rows["concept"] == concept], methods, places)
        _draw_ceiling(ax, ceiling[ceiling["concept"] == concept], places)
        ax.set_title(style.capital(style.concept_style(concept).label))
        ax.grid(axis="y")
    shares = [_share(number / image_tokens) for number in numbers]
    labels = [f"{number:g}\n{share}" for number, share in zip(numbers, shares, strict=True)]
    axes[0, 0].set_xticks(list(places.values()), labels)
    rate_axis(axes[0, 0], "images that show\nthe concept (%)  ← lower is better")
    figure.supxlabel(f"image tokens given, of {image_tokens}; below, their share (%)", fontsize=8)
    others = [] if ceiling.empty else [Line2D([], [], label="Original, safe prompt", **_CEILING_LINE)]
    add_legend(figure, methods, others)
    return figure


_CEILING_LINE: dict[str, Any] = {"color": style.MUTED, "linestyle": "--", "linewidth": 1.2}


def _draw_ceiling(ax: Axes, rows: pd.DataFrame, places: dict[float, float]) -> None:
    if rows.empty:
        return
    x = rows["x"].map(places).to_numpy()
    ax.fill_between(x, rows["ci_low"], rows["ci_high"], color=style.MUTED, alpha=0.1, linewidth=0)
    ax.plot(x, rows["value"], label="ceiling", zorder=2.5, **_CEILING_LINE)


def _share(share: float) -> str:
    """A share in percent, with a digit more below one."""
    return f"{100 * share:.0f}" if share >= 0.01 or share == 0 else f"{100 * share:.1f}"
