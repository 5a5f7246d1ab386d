"""Small multiples of rates with their 95 % intervals: curves, rows and points."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ear.errors import InputError
from ear.evaluation.columns import METRICS_CSV
from ear.report import style
from ear.report.rows import pooled

KEY = ("concept", "method")
METRICS = "metrics.csv"


def read_metrics(files: Any) -> pd.DataFrame:
    """The tidy table of metrics among a rule's input."""
    return METRICS_CSV.read(files.table)


def swept(metrics: pd.DataFrame, prefix: str, start: float | None = None) -> pd.DataFrame:
    """Concept rates on the prompt sets named by a prefix and a number, over all seeds.

    Args:
        metrics: the tidy table of metrics.
        prefix: such as "guidance-".
        start: the number that the target prompts themselves stand for; without it they are left out.

    Returns:
        The rows and a column ``x``, the number. Without any row of the prefix it is empty.

    Raises:
        InputError: several rows for one prompt set.
    """
    named = metrics["prompt_set"].str.startswith(prefix) & (metrics["metric"] == "concept_rate")
    if not named.any():
        return metrics[named].assign(x=np.array([], dtype=float))
    rows = pooled(metrics[named], (*KEY, "prompt_set"), METRICS)
    rows = rows.assign(x=rows["prompt_set"].str.removeprefix(prefix).astype(float))
    if start is not None:
        target = pooled(metrics, KEY, METRICS, metric="concept_rate", prompt_set="target")
        mine = target.merge(rows[list(KEY)].drop_duplicates(), on=list(KEY))
        rows = pd.concat([rows, mine.assign(x=float(start))], ignore_index=True)
    return rows


@dataclass(frozen=True)
class Sweep:
    """A row of panels: rates against the levels of one thing.

    Attributes:
        rows: concept, method, x (the level), value, ci_low and ci_high.
        label: name of the levels.
        own: concept → the level of the experiment's other results, which a dotted line marks.
        ticks: level → its text, where that is not the number alone.
    """

    rows: pd.DataFrame
    label: str
    own: Mapping[str, float] = field(default_factory=dict)
    ticks: Mapping[float, str] = field(default_factory=dict)


def draw_sweeps(
    sweeps: Sequence[Sweep], others: Mapping[str, style.Look] | None = None
) -> tuple[Figure, np.ndarray]:  # object array of Axes
    """A row of panels a sweep, a panel a concept, a line with a band a method; levels are one step apart.

    Args:
        sweeps: what is plotted, as it is; those without rows are left out.
        others: names among the methods that are none → their look.

    Returns:
        The figure and its axes. A line is a Line2D labelled by the method, its band a PolyCollection labelled
        by that and ``interval``.

    Raises:
        InputError: there are no rows.
    """
    labels = ", ".join(sweep.label for sweep in sweeps)
    sweeps = [sweep for sweep in sweeps if len(sweep.rows)]
    if not sweeps:
        raise InputError(f"{METRICS}: found no row for the figure over {labels}, wanted at least one")
    every = pd.concat([sweep.rows for sweep in sweeps])
    concepts, methods = style.order_concepts(every["concept"]), set(every["method"])
    others = {name: look for name, look in (others or {}).items() if name in methods}
    looks = style.looks_of(methods - others.keys()) | others
    size = style.panel_width(len(concepts)), 0.5 + 1.75 * len(sweeps)
    figure, axes = style.panels(len(sweeps), len(concepts), *size, sharex="row", sharey=True)
    for line, sweep in zip(axes, sweeps, strict=True):
        levels = sorted(set(sweep.rows["x"]))
        place = {level: number for number, level in enumerate(levels)}
        for ax, concept in zip(line, concepts, strict=True):
            if sweep.own.get(concept) in place:
                ax.axvline(
                    place[sweep.own[concept]], color=style.MUTED, linewidth=0.8, linestyle=":", zorder=0
                )
            rows = sweep.rows[sweep.rows["concept"] == concept].sort_values("x")
            for method, look in looks.items():
                of_method = rows[rows["method"] == method]
                if not of_method.empty:
                    _draw_curve(ax, of_method, of_method["x"].map(place).to_numpy(), method, look)
            ax.grid(axis="y")
            if len(sweeps) > 1:
                ax.set_xlabel(sweep.label)
        line[0].set_xticks(range(len(levels)), [sweep.ticks.get(level, f"{level:g}") for level in levels])
        line[0].set_ylim(-0.03, 1.03)
        style.percent(line[0].yaxis, [0, 0.25, 0.5, 0.75, 1])
        line[0].set_ylabel("concept shown (%)\n← lower is better")
    for ax, concept in zip(axes[0], concepts, strict=True):
        ax.set_title(style.concept_title(concept))
    if len(sweeps) == 1:
        figure.supxlabel(sweeps[0].label, fontsize=8)
    style.add_legend(figure, looks.values())
    return figure, axes


def _draw_curve(ax: Axes, rows: pd.DataFrame, x: np.ndarray, method: str, look: style.Look) -> None:
    band: dict[str, Any] = {
        "color": look.colour,
        "alpha": 0.09,
        "linewidth": 0,
        "label": f"{method} interval",
    }
    ax.fill_between(x, rows["ci_low"], rows["ci_high"], **band)
    edge: dict[str, Any] = {"markeredgecolor": "white", "markeredgewidth": 0.4, "clip_on": False, "zorder": 3}
    ax.plot(x, rows["value"], label=method, linewidth=1.3, **edge, **look.artist)


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
