"""Understanding: does the model that no longer draws the concept still see it?"""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ear.evaluation.protocols import QUESTIONS
from ear.report import style
from ear.report.figures.multiples import KEY, METRICS, draw_points, read_metrics
from ear.report.rows import pooled
from ear.workflow.seeding import ORIGINAL

CHANCE, LEAST_RANGE = 0.5, 0.95


def plot(files: Any, params: Any) -> Figure:
    """The figure, of the rule's input and parameters."""
    return draw(read_metrics(files))


@style.styled
def draw(metrics: pd.DataFrame) -> Figure:
    """Accuracy of yes or no on questions about the concept (x) and about others (y): a panel a concept.

    Args:
        metrics: the tidy table of metrics; its rows ``accuracy`` on ``questions-concept`` and
            ``questions-others`` are plotted as they are.

    Returns:
        The figure, with a panel for each concept of the table, by
        :func:`ear.report.figures.multiples.draw_points`: where no picture names it, nothing was asked, and
        the panel says so.

    Raises:
        InputError: the table has several rows for one method.
    """
    about, others = (_answers(metrics, prompt_set) for prompt_set in QUESTIONS)
    concepts, looks = style.order_concepts(metrics["concept"]), style.looks_of(about["method"])
    figure, axes = style.panels(
        1, len(concepts), style.panel_width(len(concepts)), 2.4, sharex=True, sharey=True
    )
    low = min([LEAST_RANGE, *about["ci_low"], *others["ci_low"]])
    for ax, concept in zip(axes[0], concepts, strict=True):
        x, y = (table[table["concept"] == concept] for table in (about, others))
        if x.empty:
            note = "no picture names it:\nnothing was asked"
            style.note_missing(ax, 0.5, 0.5, note, ha="center", transform=ax.transAxes)
        draw_points(ax, x, y, looks, {ORIGINAL: 1.8})  # it shows from under models that see as it does
        for guide in (ax.axvline, ax.axhline):
            guide(CHANCE, color=style.MUTED, linewidth=0.8, linestyle=":", zorder=0)
        ax.set_title(style.concept_title(concept))
        ax.grid()
    limits = low - 0.1 * (1 - low), 1 + 0.06 * (1 - low)
    axes[0, 0].set(xlim=limits, ylim=limits, ylabel="right answers about\nother things (%)")
    for axis in (axes[0, 0].xaxis, axes[0, 0].yaxis):
        style.percent(axis)
    figure.supxlabel("right answers about the concept (%); dotted: chance", fontsize=8)
    if looks:
        style.add_legend(figure, looks.values())
    return figure


def _answers(metrics: pd.DataFrame, prompt_set: str) -> pd.DataFrame:
    """The rows of one kind of question, none where nothing was asked."""
    asked = metrics[(metrics["prompt_set"] == prompt_set) & metrics["value"].notna()]
    return asked if asked.empty else pooled(asked, KEY, METRICS, metric="accuracy")
