"""Relearning: the erased model is fine-tuned on images without the concept; does it come back?"""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ear.axes import protocols
from ear.errors import InputError
from ear.figures import style
from ear.figures.curves import METRICS, add_legend, draw_curves, panel_width, rate_axis, swept
from ear.metrics.columns import METRICS_CSV

RELEARNED = f"{protocols.RELEARNED}-"


def plot(files: Any, params: Any) -> Figure:
    """The figure, of the rule's input and parameters."""
    return draw(METRICS_CSV.read(files.table))


@style.styled
def draw(metrics: pd.DataFrame) -> Figure:
    """Concept rate against the steps of benign fine-tuning: a panel a concept, a line a method.

    Args:
        metrics: the tidy table of metrics; its rows ``concept_rate`` on ``relearned-<n>`` and, for 0 steps,
            ``target`` are plotted as they are, with 95 % intervals. Methods without weights have none.

    Returns:
        The figure. In each panel, a method's line is a Line2D labelled by its name.

    Raises:
        InputError: the table has no such rows or several for one point.
    """
    rows = swept(metrics, RELEARNED, start=0)
    if rows.empty:
        raise InputError(f"{METRICS}: found no row of a prompt set {RELEARNED}<n>, wanted at least one")
    concepts, methods = style.order_concepts(rows["concept"]), style.order_methods(rows["method"])
    figure, axes = style.panels(1, len(concepts), panel_width(len(concepts)), 2.25, sharex=True, sharey=True)
    numbers = sorted(set(rows["x"]))
    places = {number: float(place) for place, number in enumerate(numbers)}
    for ax, concept in zip(axes[0], concepts, strict=True):
        draw_curves(ax, rows[rows["concept"] == concept], methods, places)
        ax.set_title(style.capital(style.concept_style(concept).label))
        ax.grid(axis="y")
    axes[0, 0].set_xticks(list(places.values()), [f"{number:g}" for number in numbers])
    rate_axis(axes[0, 0], "target images that show\nthe concept (%)  ← lower is better")
    figure.supxlabel("steps of fine-tuning on images without the concept", fontsize=8)
    add_legend(figure, methods)
    return figure
