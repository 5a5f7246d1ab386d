"""Attacks by the prompt: other words for the concept, and words that are searched for."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ear.errors import InputError
from ear.evaluation.attacks import SEARCHES, search_set
from ear.evaluation.protocols import IMPLICIT, SHOWN, TARGET
from ear.report import style
from ear.report.figures.multiples import KEY, METRICS, draw_rows, read_metrics
from ear.report.rows import pooled

NAMES = {"resample": "resampled"}
ATTACKS = {name: name for name in (TARGET, IMPLICIT)} | {
    search_set(name): NAMES.get(name, name) for name in SEARCHES
}
"""Prompt set → its name in the figure, from the mildest."""


def plot(files: Any, params: Any) -> Figure:
    """The figure, of the rule's input and parameters."""
    return draw(read_metrics(files))


@style.styled
def draw(metrics: pd.DataFrame) -> Figure:
    """Concept rate, by :func:`ear.report.figures.multiples.draw_rows`: a row a concept, a panel an attack.

    Args:
        metrics: the tidy table of metrics; its rows ``concept_rate`` on the prompt sets of ATTACKS are
            plotted as they are.

    Raises:
        InputError: the table has no such rows beside ``target`` or several for one point.
    """
    mine = metrics[metrics["prompt_set"].isin(list(ATTACKS)) & (metrics["metric"] == SHOWN)]
    if set(mine["prompt_set"]) <= {TARGET}:
        raise InputError(f"{METRICS}: found no row of a prompt set implicit or search-…, wanted at least one")
    rows = pooled(mine, (*KEY, "prompt_set"), METRICS)
    attacks = [name for name in ATTACKS if (rows["prompt_set"] == name).any()]
    concepts, looks = style.order_concepts(rows["concept"]), style.looks_of(rows["method"])
    size = style.TEXT_WIDTH, 0.55 + (0.22 + 0.155 * len(looks)) * len(concepts)
    figure, axes = style.panels(len(concepts), len(attacks), *size, sharex=True, sharey=True)
    for line, concept in zip(axes, concepts, strict=True):
        for ax, attack in zip(line, attacks, strict=True):
            found = rows[(rows["concept"] == concept) & (rows["prompt_set"] == attack)]
            draw_rows(ax, found, rows.head(0), looks)
        line[0].set_ylabel(style.concept_title(concept), fontweight="bold")
    for ax, attack in zip(axes[0], attacks, strict=True):
        ax.set_title(style.capital(ATTACKS[attack]))
    figure.supxlabel("prompts or images that show the concept (%)  ← lower is better", fontsize=8)
    return figure
