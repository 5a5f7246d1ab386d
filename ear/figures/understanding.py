"""Understanding: does the model that no longer draws the concept still see it?"""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ear.axes.protocols import QUESTIONS
from ear.figures import style
from ear.figures.curves import METRICS, add_legend
from ear.figures.labels import place_labels
from ear.figures.rows import one_row, pooled
from ear.metrics.columns import METRICS_CSV
from ear.names import ORIGINAL

KEY = ("concept", "method")
CHANCE = 0.5
LEAST_RANGE, UNDER_OTHERS = 0.95, 1.8
NEAR_CHANCE = 0.75
"""Answers that are all better leave chance out of the figure."""


def plot(files: Any, params: Any) -> Figure:
    """The figure, of the rule's input and parameters."""
    return draw(METRICS_CSV.read(files.table))


@style.styled
def draw(metrics: pd.DataFrame) -> Figure:
    """Accuracy of yes or no on questions about the concept (x) and about others (y): a panel a concept.

    Args:
        metrics: the tidy table of metrics; its rows ``accuracy`` on ``questions-concept`` and
            ``questions-others`` are plotted as they are, with 95 % intervals.

    Returns:
        The figure, with a panel for each concept of the table: where no picture names it, nothing was asked,
        and the panel says so. The points are Line2D artists labelled by the method's name. Methods are named
        beside their points, or in a legend where the names would overlap.

    Raises:
        InputError: the table has several rows for one method.
    """
    about, others = (_answers(metrics, prompt_set) for prompt_set in QUESTIONS)
    concepts, methods = style.order_concepts(metrics["concept"]), style.order_methods(about["method"])
    width = style.COLUMN_WIDTH if len(concepts) == 1 else min(style.TEXT_WIDTH, 0.5 + 2.1 * len(concepts))
    figure, axes = style.panels(1, len(concepts), width, 2.4, sharex=True, sharey=True)
    for ax, concept in zip(axes[0], concepts, strict=True):
        if not (about["concept"] == concept).any():
            note = "no picture names it:\nnothing was asked"
            style.note_missing(ax, 0.5, 0.5, note, ha="center", transform=ax.transAxes)
        for method in methods:
            x, y = one_row(about, concept, method), one_row(others, concept, method)
            if x is None or y is None:
                continue
            look = style.method_style(method, methods)
            lines = {"color": look.colour, "linewidth": 0.9, "alpha": 0.6}
            ax.hlines(y["value"], x["ci_low"], x["ci_high"], **lines)
            ax.vlines(x["value"], y["ci_low"], y["ci_high"], **lines)
            # Erased models see as the original does: it has to show from under their marks.
            scale = UNDER_OTHERS if method == ORIGINAL else 1.0
            style.mark(ax, look, x["value"], y["value"], method, scale)
        ax.set_title(style.capital(style.concept_style(concept).label))
        ax.grid()
    low = min([LEAST_RANGE, *about["ci_low"], *others["ci_low"]])
    near = low < NEAR_CHANCE  # else most of the figure would be empty
    low = min(low, CHANCE) if near else low
    for guide in [guide for ax in axes[0] for guide in (ax.axvline, ax.axhline)] if near else []:
        guide(CHANCE, color=style.MUTED, linewidth=0.8, linestyle=":", zorder=0)
    for limit in (axes[0, 0].set_xlim, axes[0, 0].set_ylim):
        limit(max(-0.03, low - 0.1 * (1 - low)), 1 + 0.06 * (1 - low))
    for axis in (axes[0, 0].xaxis, axes[0, 0].yaxis):
        axis.set_major_formatter(PercentFormatter(1, symbol=None))
    axes[0, 0].set_ylabel("right answers about\nother things (%)")
    chance = "dotted: chance" if near else "chance, 50 %, lies outside"
    figure.supxlabel(f"right answers about the concept (%); {chance}", fontsize=8)
    labels = {method: style.method_style(method, methods).label for method in methods}
    if methods and not place_labels(figure, list(axes[0]), labels):
        add_legend(figure, methods)
    return figure


def _answers(metrics: pd.DataFrame, prompt_set: str) -> pd.DataFrame:
    """The rows of one kind of question, none where nothing was asked."""
    asked = metrics[(metrics["prompt_set"] == prompt_set) & metrics["value"].notna()]
    return asked if asked.empty else pooled(asked, KEY, METRICS, metric="accuracy")
