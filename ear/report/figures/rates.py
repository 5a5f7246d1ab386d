"""Rates of the tidy tables with their 95 % intervals: a row a method, or a point a method."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ear.errors import InputError
from ear.evaluation.attacks import SEARCHES, search_set
from ear.evaluation.columns import METRICS_CSV
from ear.evaluation.protocols import (
    IMPLICIT,
    INVERSION,
    INVERSION_CONTROL,
    QUESTIONS,
    RIGHT,
    SHOWN,
    TARGET,
)
from ear.report import style
from ear.workflow.seeding import ALL_SEEDS

KEY = ["concept", "method"]
ATTACKS = (
    {TARGET: "target", IMPLICIT: "implicit"}
    | {search_set(name): "resampled" if name == "resample" else name for name in SEARCHES}
    | {INVERSION_CONTROL: "random\nvector", INVERSION: "learned\nvector"}
)
"""Prompt set → its name in the figure, from the mildest."""
QUESTION_TITLES = ("about the concept", "about other things")
CHANCE = 0.5


def pooled(table: pd.DataFrame, source: str, **conditions: str) -> pd.DataFrame:
    """The rows over all seeds that have a value and meet the conditions, in the order of the table.

    Args:
        table: tidy table with the columns of ``conditions``, ``seed`` and ``value``.
        source: name of the table, for the error.
        conditions: column = wanted value.

    Raises:
        InputError: there is no such row.
    """
    rows = _meeting(table[table["seed"] == ALL_SEEDS], conditions)
    if rows.empty:
        sought = "".join(f"{column} = {wanted}, " for column, wanted in conditions.items())
        raise InputError(f"{source}: found no row with {sought}seed = all and a value, wanted at least one")
    return rows


def single_seeds(metrics: pd.DataFrame, **conditions: str) -> pd.DataFrame:
    """The rows of single seeds that meet the conditions, of methods that have several."""
    rows = _meeting(metrics[metrics["seed"] != ALL_SEEDS], conditions)
    return rows[rows.duplicated(KEY, keep=False)]


def _meeting(rows: pd.DataFrame, conditions: Mapping[str, str]) -> pd.DataFrame:
    for column, wanted in conditions.items():
        rows = rows[rows[column] == wanted]
    return rows[rows["value"].notna()].reset_index(drop=True)


def draw_rows(ax: Axes, rows: pd.DataFrame, seeds: pd.DataFrame, looks: Mapping[str, style.Look]) -> None:
    """A panel with a row a method: its rate with the interval, and below it the rates of single seeds.

    Args:
        ax: the panel. Its points are Line2D artists labelled by the method, their intervals by that and
            ``interval``, single seeds by that and ``seeds``.
        rows: one row a method; where there is none, the panel says so.
        seeds: rows of single seeds.
        looks: method → its look, from top to bottom.
    """
    for y, (method, look) in enumerate(looks.items()):
        found = rows[rows["method"] == method]
        if found.empty:
            style.note_missing(ax, 0.5, y, "not measured", ha="center")
            continue
        row: Any = next(found.itertuples())
        line: dict[str, Any] = {"color": look.colour, "linewidth": 1.3, "clip_on": False}
        ax.plot([row.ci_low, row.ci_high], [y, y], label=f"{method} interval", **line)
        of_seeds = seeds.loc[seeds["method"] == method, "value"]
        style.mark_seeds(ax, look, of_seeds, [y + 0.3] * len(of_seeds), f"{method} seeds")
        style.mark(ax, look, row.value, y, method, 0.9)
    ax.set_xlim(-0.04, 1.04)
    style.percent(ax.xaxis, [0, 0.5, 1])
    ax.set_yticks(range(len(looks)), [look.label for look in looks.values()])
    ax.set_ylim(max(len(looks), 1) - 0.5, -0.5)
    ax.grid(axis="x")
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)


@style.styled
def concept_rate(files: Any, params: Any) -> Figure:
    """How often the concept is still shown on target prompts: a panel a concept, a row a method."""
    metrics = METRICS_CSV.read(files.table)
    plotted = {"metric": SHOWN, "prompt_set": TARGET}
    rows, seeds = pooled(metrics, "metrics.csv", **plotted), single_seeds(metrics, **plotted)
    concepts, looks = style.order_concepts(rows["concept"]), style.looks_of(rows["method"])
    size = style.panel_width(len(concepts)), 0.78 + 0.2 * len(looks)
    figure, axes = style.panels(1, len(concepts), *size, sharex=True, sharey=True)
    for ax, concept in zip(axes[0], concepts, strict=True):
        draw_rows(ax, rows[rows["concept"] == concept], seeds[seeds["concept"] == concept], looks)
        ax.set_title(style.concept_title(concept))
    figure.supxlabel("target images with the concept (%)  ← lower is better", fontsize=8)
    return figure


@style.styled
def attacks(files: Any, params: Any) -> Figure:
    """Concept rate when other words ask for it, given or searched for: a row a concept, a panel an attack."""
    rows = pooled(METRICS_CSV.read(files.table), "metrics.csv", metric=SHOWN)
    figure, _ = draw_table(rows, ATTACKS)
    figure.supxlabel("prompts or images that show the concept (%)  ← lower is better", fontsize=8)
    return figure


def draw_table(
    rows: pd.DataFrame, sets: Mapping[str, str], concepts: Collection[str] = ()
) -> tuple[Figure, np.ndarray]:  # object array of Axes
    """Rates: a row of panels a concept, a panel a prompt set, as of :func:`draw_rows`.

    Args:
        rows: of one metric, over all seeds.
        sets: prompt set → title of its panels; those without rows have none.
        concepts: concepts that have panels also where they have no rows.

    Returns:
        The figure and its axes.
    """
    rows = rows[rows["prompt_set"].isin(list(sets))]
    shown = [name for name in sets if (rows["prompt_set"] == name).any() or concepts]
    ordered, looks = style.order_concepts({*rows["concept"], *concepts}), style.looks_of(rows["method"])
    size = style.panel_width(len(shown)), 0.55 + (0.22 + 0.155 * max(2, len(looks))) * len(ordered)
    figure, axes = style.panels(len(ordered), len(shown), *size, sharex=True, sharey=True)
    for line, concept in zip(axes, ordered, strict=True):
        for ax, name in zip(line, shown, strict=True):
            found = rows[(rows["concept"] == concept) & (rows["prompt_set"] == name)]
            draw_rows(ax, found, rows.head(0), looks)
        line[0].set_ylabel(style.concept_title(concept), fontweight="bold")
    for ax, name in zip(axes[0], shown, strict=True):
        ax.set_title(style.capital(sets[name]))
    return figure, axes


@style.styled
def understanding(files: Any, params: Any) -> Figure:
    """Right answers about the concept and about other things: a row of panels a concept, a row a method.

    Where no picture names the concept, nothing was asked, and its panels say so.
    """
    metrics = METRICS_CSV.read(files.table)
    asked = metrics[(metrics["seed"] == ALL_SEEDS) & (metrics["metric"] == RIGHT) & metrics["value"].notna()]
    asked = asked[asked["prompt_set"].isin(QUESTIONS)]
    concepts = style.order_concepts(metrics["concept"])
    figure, axes = draw_table(asked, dict(zip(QUESTIONS, QUESTION_TITLES, strict=True)), concepts)
    for line, concept in zip(axes, concepts, strict=True):
        for ax in line:
            ax.axvline(CHANCE, color=style.MUTED, linewidth=0.8, linestyle=":", zorder=0)
            if concept not in set(asked["concept"]):
                note = "no picture shows it: no questions"
                style.note_missing(ax, 0.5, 0.5, note, ha="center", transform=ax.transAxes)
    style.percent(axes[0, 0].xaxis, [0, 0.25, 0.5, 0.75, 1])
    axes[0, 0].set_xlim(min(0.46, asked["ci_low"].min() - 0.04), 1.04)
    figure.supxlabel("right answers (%)  higher is better →; dotted: guessing", fontsize=8)
    return figure
