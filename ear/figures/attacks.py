"""Attacks by the prompt: other words for the concept, and words that are searched for."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ear.attacks.budget import SEARCHES, search_set
from ear.axes.protocols import IMPLICIT, SHOWN, TARGET
from ear.errors import InputError
from ear.figures import style
from ear.figures.curves import KEY, METRICS
from ear.figures.rows import one_row, pooled
from ear.metrics.columns import METRICS_CSV

NAMES = {"resample": "resampled"}
ATTACKS = {name: name for name in (TARGET, IMPLICIT)} | {
    search_set(name): NAMES.get(name, name) for name in SEARCHES
}
"""Prompt set → its name in the figure, from the mildest."""


def plot(files: Any, params: Any) -> Figure:
    """The figure, of the rule's input and parameters."""
    return draw(METRICS_CSV.read(files.table))


@style.styled
def draw(metrics: pd.DataFrame) -> Figure:
    """Concept rate by method, with its 95 % interval: a row of panels a concept, a panel an attack.

    Args:
        metrics: the tidy table of metrics; its rows ``concept_rate`` on the prompt sets of ATTACKS are
            plotted as they are.

    Returns:
        The figure. In each panel, the points are Line2D artists labelled by the method's name, their
        intervals by that and ``interval``.

    Raises:
        InputError: the table has no such rows beside ``target`` or several for one point.
    """
    mine = metrics[metrics["prompt_set"].isin(list(ATTACKS)) & (metrics["metric"] == SHOWN)]
    if set(mine["prompt_set"]) <= {TARGET}:
        raise InputError(f"{METRICS}: found no row of a prompt set implicit or search-…, wanted at least one")
    rows = pooled(mine, KEY, METRICS)
    attacks = [name for name in ATTACKS if (rows["prompt_set"] == name).any()]
    concepts, methods = style.order_concepts(rows["concept"]), style.order_methods(rows["method"])
    height = 0.55 + (0.22 + 0.155 * len(methods)) * len(concepts)
    figure, axes = style.panels(
        len(concepts), len(attacks), style.TEXT_WIDTH, height, sharex=True, sharey=True
    )
    for line, concept in zip(axes, concepts, strict=True):
        for ax, attack in zip(line, attacks, strict=True):
            of_attack = rows[rows["prompt_set"] == attack]
            for y, method in enumerate(methods):
                row = one_row(of_attack, concept, method)
                if row is None:
                    style.note_missing(ax, 0.5, y, "not measured", ha="center")
                    continue
                look = style.method_style(method, methods)
                ends = [row["ci_low"], row["ci_high"]]
                ax.plot(
                    ends, [y, y], color=look.colour, linewidth=1.2, label=f"{method} interval", clip_on=False
                )
                style.mark(ax, look, row["value"], y, method, 0.9)
            ax.grid(axis="x")
            ax.spines["left"].set_visible(False)
            ax.tick_params(axis="y", length=0)
        line[0].set_ylabel(style.capital(style.concept_style(concept).label), fontweight="bold")
    for ax, attack in zip(axes[0], attacks, strict=True):
        ax.set_title(style.capital(ATTACKS[attack]))
    first = axes[0, 0]
    first.set_xlim(-0.04, 1.04)
    first.set_xticks([0, 0.5, 1])
    first.xaxis.set_major_formatter(PercentFormatter(1, symbol=None))
    first.set_yticks(range(len(methods)), [style.method_style(name, methods).label for name in methods])
    first.set_ylim(len(methods) - 0.4, -0.6)
    figure.supxlabel("prompts or images that show the concept (%)  ← lower is better", fontsize=8)
    return figure
