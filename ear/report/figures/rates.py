"""Rates of the tidy tables with their 95 % intervals: a row a method, or a point a method."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ear.errors import InputError
from ear.evaluation.attacks import SEARCHES, search_set
from ear.evaluation.columns import METRICS_CSV
from ear.evaluation.protocols import IMPLICIT, QUESTIONS, RIGHT, SHOWN, TARGET
from ear.report import style
from ear.workflow.seeding import ALL_SEEDS, ORIGINAL

KEY = ["concept", "method"]
ATTACKS = {TARGET: "target", IMPLICIT: "implicit"} | {
    search_set(name): "resampled" if name == "resample" else name for name in SEARCHES
}
"""Prompt set → its name in the figure, from the mildest."""
CHANCE, LEAST_RANGE = 0.5, 0.95


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
    ax.set_ylim(len(looks) - 0.5, -0.5)
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
    metrics = METRICS_CSV.read(files.table)
    rows = pooled(metrics[metrics["prompt_set"].isin(list(ATTACKS))], "metrics.csv", metric=SHOWN)
    shown = [name for name in ATTACKS if (rows["prompt_set"] == name).any()]
    concepts, looks = style.order_concepts(rows["concept"]), style.looks_of(rows["method"])
    size = style.TEXT_WIDTH, 0.55 + (0.22 + 0.155 * len(looks)) * len(concepts)
    figure, axes = style.panels(len(concepts), len(shown), *size, sharex=True, sharey=True)
    for line, concept in zip(axes, concepts, strict=True):
        for ax, attack in zip(line, shown, strict=True):
            found = rows[(rows["concept"] == concept) & (rows["prompt_set"] == attack)]
            draw_rows(ax, found, rows.head(0), looks)
        line[0].set_ylabel(style.concept_title(concept), fontweight="bold")
    for ax, attack in zip(axes[0], shown, strict=True):
        ax.set_title(style.capital(ATTACKS[attack]))
    figure.supxlabel("prompts or images that show the concept (%)  ← lower is better", fontsize=8)
    return figure


def draw_points(
    ax: Axes,
    x: pd.DataFrame,
    y: pd.DataFrame,
    looks: Mapping[str, style.Look],
    scale: Mapping[str, float] | None = None,
) -> None:
    """A panel with a point a method, at two of its rates, with the intervals of both.

    Args:
        ax: the panel. Its points are Line2D artists labelled by the method.
        x: one row a method.
        y: one row a method. Methods without one of the two are left out.
        looks: method → its look.
        scale: method → how much larger its point is than others.
    """
    row: Any
    for row in x.merge(y, on="method", suffixes=("_x", "_y")).itertuples():
        look = looks[row.method]
        lines: dict[str, Any] = {"color": look.colour, "linewidth": 1.0, "alpha": 0.5}
        ax.hlines(row.value_y, row.ci_low_x, row.ci_high_x, **lines)
        ax.vlines(row.value_x, row.ci_low_y, row.ci_high_y, **lines)
        style.mark(ax, look, row.value_x, row.value_y, row.method, (scale or {}).get(row.method, 1.0))


@style.styled
def understanding(files: Any, params: Any) -> Figure:
    """Right answers about the concept (x) and about other things (y): a panel a concept.

    Where no picture names the concept, nothing was asked, and its panel says so.
    """
    metrics = METRICS_CSV.read(files.table)
    asked = metrics[(metrics["seed"] == ALL_SEEDS) & (metrics["metric"] == RIGHT) & metrics["value"].notna()]
    about, others = (asked[asked["prompt_set"] == prompt_set] for prompt_set in QUESTIONS)
    concepts, looks = style.order_concepts(metrics["concept"]), style.looks_of(about["method"])
    size = style.panel_width(len(concepts)), 2.4
    figure, axes = style.panels(1, len(concepts), *size, sharex=True, sharey=True)
    low = min([LEAST_RANGE, *about["ci_low"], *others["ci_low"]])
    for ax, concept in zip(axes[0], concepts, strict=True):
        x, y = (table[table["concept"] == concept] for table in (about, others))
        if x.empty:
            note = "not in any picture:\nno questions"
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
