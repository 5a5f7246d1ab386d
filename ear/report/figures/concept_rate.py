"""How often the concept is still shown on target prompts, by method and concept."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ear.report import style
from ear.report.figures.multiples import KEY, METRICS, draw_rows, read_metrics
from ear.report.rows import pooled, single_seeds


def plot(files: Any, params: Any) -> Figure:
    """The figure, of the rule's input and parameters."""
    return draw(read_metrics(files))


@style.styled
def draw(metrics: pd.DataFrame) -> Figure:
    """Concept rate: a panel a concept, a row a method (see :func:`ear.report.figures.multiples.draw_rows`).

    Args:
        metrics: the tidy table of metrics; its rows ``concept_rate`` on ``target`` are plotted as they are.
    """
    plotted = {"metric": "concept_rate", "prompt_set": "target"}
    rows, seeds = pooled(metrics, KEY, METRICS, **plotted), single_seeds(metrics, KEY, **plotted)
    concepts, looks = style.order_concepts(rows["concept"]), style.looks_of(rows["method"])
    size = style.panel_width(len(concepts)), 0.78 + 0.2 * len(looks)
    figure, axes = style.panels(1, len(concepts), *size, sharex=True, sharey=True)
    for ax, concept in zip(axes[0], concepts, strict=True):
        draw_rows(ax, rows[rows["concept"] == concept], seeds[seeds["concept"] == concept], looks)
        ax.set_title(style.concept_title(concept))
    figure.supxlabel("target images with the concept (%)  ← lower is better", fontsize=8)
    return figure
