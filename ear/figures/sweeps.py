"""Other sampling settings than the experiment's: is the concept only hidden at the usual ones?"""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ear.axes.protocols import GUIDANCE, TEMPERATURE
from ear.errors import InputError
from ear.figures import style
from ear.figures.curves import METRICS, add_legend, draw_curves, panel_width, rate_axis, swept
from ear.metrics.columns import METRICS_CSV

SWEEPS = {GUIDANCE: "guidance scale", TEMPERATURE: "temperature"}


def plot(files: Any, params: Any) -> Figure:
    """The figure, of the rule's input and parameters."""
    return draw(METRICS_CSV.read(files.table), params.own)


@style.styled
def draw(metrics: pd.DataFrame, own: Mapping[str, float]) -> Figure:
    """Concept rate against guidance scale and temperature: a row a sweep, a panel a concept.

    Args:
        metrics: the tidy table of metrics; its rows ``concept_rate`` on ``guidance-<g>``, ``temperature-<t>``
            and, for the experiment's own setting, ``target`` are plotted as they are.
        own: sweep → the experiment's own setting; a dotted line marks it.

    Returns:
        The figure. In each panel, a method's line is a Line2D labelled by its name.

    Raises:
        InputError: the table has no such rows or several for one point.
    """
    found = {name: swept(metrics, f"{name}-", own[name]) for name in SWEEPS}
    found = {name: rows for name, rows in found.items() if not rows.empty}
    if not found:
        raise InputError(
            f"{METRICS}: found no row of a prompt set guidance-<g> or temperature-<t>, wanted one"
        )
    every = pd.concat(found.values())
    concepts, methods = style.order_concepts(every["concept"]), style.order_methods(every["method"])
    width, height = panel_width(len(concepts)), 0.5 + 1.75 * len(found)
    figure, axes = style.panels(len(found), len(concepts), width, height, sharex="row", sharey=True)
    for line, (name, rows) in zip(axes, found.items(), strict=True):
        numbers = sorted(set(rows["x"]))
        places = {number: float(place) for place, number in enumerate(numbers)}
        for ax, concept in zip(line, concepts, strict=True):
            ax.axvline(places[own[name]], color=style.MUTED, linewidth=0.8, linestyle=":", zorder=0)
            draw_curves(ax, rows[rows["concept"] == concept], methods, places)
            ax.grid(axis="y")
            ax.set_xlabel(SWEEPS[name])
        line[0].set_xticks(list(places.values()), [f"{number:g}" for number in numbers])
        rate_axis(line[0], "shows the concept (%)\n← lower is better")
    for ax, concept in zip(axes[0], concepts, strict=True):
        ax.set_title(style.capital(style.concept_style(concept).label))
    add_legend(figure, methods)
    return figure
