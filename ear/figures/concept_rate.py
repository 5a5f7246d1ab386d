"""How often the concept is still shown on target prompts, by method and concept."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ear.figures import style
from ear.figures.rows import one_row, pooled, single_seeds
from ear.metrics.columns import METRICS_CSV


def plot(files: Any, params: Any) -> Figure:
    """The figure, of the rule's input and parameters."""
    return draw(METRICS_CSV.read(files.table))


@style.styled
def draw(metrics: pd.DataFrame) -> Figure:
    """Concept rate with its 95 % interval: a panel a concept, a row a method. Below it, the single seeds.

    Args:
        metrics: the tidy table of metrics; its rows ``concept_rate`` on ``target`` are plotted as they are.

    Returns:
        The figure. In each panel, the points are Line2D artists labelled by the method's name, their
        intervals Line2D artists labelled by that and ``interval``, and the single seeds, of which there are
        none or several, by that and ``seeds``.

    Raises:
        InputError: the table has no such rows or several for one method.
    """
    key, plotted = ("concept", "method"), {"metric": "concept_rate", "prompt_set": "target"}
    rows, seeds = pooled(metrics, key, "metrics.csv", **plotted), single_seeds(metrics, key, **plotted)
    concepts, methods = style.order_concepts(rows["concept"]), style.order_methods(rows["method"])
    width = max(style.COLUMN_WIDTH, min(style.TEXT_WIDTH, 0.9 + 2.0 * len(concepts)))
    figure, axes = style.panels(1, len(concepts), width, 0.78 + 0.2 * len(methods), sharex=True, sharey=True)
    for ax, concept in zip(axes[0], concepts, strict=True):
        for y, method in enumerate(methods):
            row = one_row(rows, concept, method)
            if row is None:
                style.note_missing(ax, 0.5, y, "not measured", ha="center")
                continue
            look = style.method_style(method, methods)
            of_seeds = seeds.loc[(seeds["concept"] == concept) & (seeds["method"] == method), "value"]
            style.mark_seeds(ax, look, of_seeds, [y + 0.3] * len(of_seeds), f"{method} seeds")
            ends = [row["ci_low"], row["ci_high"]]
            ax.plot(
                ends,
                [y, y],
                color=look.colour,
                linewidth=1.3,
                marker="|",
                markersize=5.5,
                label=f"{method} interval",
                clip_on=False,
            )
            style.mark(ax, look, row["value"], y, method)
        ax.set_title(style.capital(style.concept_style(concept).label))
        ax.grid(axis="x")
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)
    first = axes[0, 0]
    first.set_xlim(-0.03, 1.03)
    first.set_xticks([0, 0.25, 0.5, 0.75, 1])
    first.xaxis.set_major_formatter(PercentFormatter(1, symbol=None))
    first.set_yticks(range(len(methods)), [style.method_style(method).label for method in methods])
    first.set_ylim(len(methods) - 0.5, -0.5)
    figure.supxlabel("target images that show the concept (%)  ← lower is better", fontsize=8)
    return figure
