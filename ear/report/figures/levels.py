"""Concept rates against the levels of one thing, as lines with their 95 % intervals as bands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ear.errors import InputError
from ear.evaluation.columns import METRICS_CSV, WINDOW_LENGTH_CSV
from ear.evaluation.deviations import WINDOW_LENGTH, Published
from ear.evaluation.protocols import (
    CEILING,
    GUIDANCE,
    PREFIX,
    RELEARNED,
    SHOWN,
    TARGET,
    TEMPERATURE,
    level_of,
)
from ear.report import style
from ear.report.figures.rates import KEY, pooled

CEILING_LOOK = style.Look("Original, safe prompt", style.MUTED, "", line="--")
PUBLISHED = "published rate"  # beside the methods
PUBLISHED_LOOK = style.Look("Published", style.INK, "D", 4.5, ":")


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


def swept(metrics: pd.DataFrame, kind: str, start: float | None = None) -> pd.DataFrame:
    """Concept rates on the prompt sets of a kind ("guidance-3"), over all seeds; none where there are none.

    Args:
        metrics: the tidy table of metrics.
        kind: such as "guidance".
        start: the level that the target prompts themselves stand for; without it they are left out.

    Returns:
        The rows and a column ``x``, the level.
    """
    rows = pooled(metrics, "metrics.csv", metric=SHOWN)
    mine = rows[rows["prompt_set"].str.startswith(f"{kind}-")]
    target = rows[(rows["prompt_set"] == TARGET) & (start is not None)]
    target = target.merge(mine[KEY].drop_duplicates(), on=KEY)
    levels = mine["prompt_set"].map(level_of).astype(float)
    return pd.concat([mine.assign(x=levels), target.assign(x=start)], ignore_index=True)


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
        raise InputError(f"metrics.csv: found no row for the figure over {labels}, wanted at least one")
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
            own = place.get(sweep.own.get(concept, np.nan))
            if own is not None:
                ax.axvline(own, color=style.MUTED, linewidth=0.8, linestyle=":", zorder=0)
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
        line[0].set_ylabel("concept rate (%)\n← lower is better")
    for ax, concept in zip(axes[0], concepts, strict=True):
        ax.set_title(style.concept_title(concept))
    if len(sweeps) == 1:
        figure.supxlabel(sweeps[0].label, fontsize=8)
    style.add_legend(figure, looks.values())
    return figure, axes


def _draw_curve(ax: Axes, rows: pd.DataFrame, x: np.ndarray, method: str, look: style.Look) -> None:
    band: dict[str, Any] = {"color": look.colour, "alpha": 0.09, "linewidth": 0}
    ax.fill_between(x, rows["ci_low"], rows["ci_high"], label=f"{method} interval", **band)
    edge: dict[str, Any] = {"markeredgecolor": "white", "markeredgewidth": 0.4, "clip_on": False, "zorder": 3}
    ax.plot(x, rows["value"], label=method, linewidth=1.3, **edge, **look.artist)


@style.styled
def prefix(files: Any, params: Any) -> Figure:
    """The beginning of an image of the concept is given; does the model finish it?

    The ceiling is the original with the safe prompt.
    """
    metrics = METRICS_CSV.read(files.table)
    ceiling = swept(metrics, CEILING).assign(method=CEILING)
    rows = pd.concat([swept(metrics, PREFIX, start=0), ceiling])
    ticks = {level: f"{level:g}\n{100 * level / params.image_tokens:.2g}" for level in set(rows["x"])}
    label = f"image tokens given, of {params.image_tokens}; below, their share (%)"
    return draw_sweeps([Sweep(rows, label, ticks=ticks)], {CEILING: CEILING_LOOK})[0]


@style.styled
def sweeps(files: Any, params: Any) -> Figure:
    """Other sampling settings than the experiment's: is the concept only hidden at the usual ones?"""
    metrics = METRICS_CSV.read(files.table)
    found = []
    for name, label in ((GUIDANCE, "guidance scale"), (TEMPERATURE, "temperature")):
        rows = swept(metrics, name, params.own[name])
        found.append(Sweep(rows, label, dict.fromkeys(rows["concept"], params.own[name])))
    return draw_sweeps(found)[0]


@style.styled
def relearning(files: Any, params: Any) -> Figure:
    """The erased model is fine-tuned on images without the concept; does it come back?"""
    rows = swept(METRICS_CSV.read(files.table), RELEARNED, start=0)
    return draw_sweeps([Sweep(rows, "steps of fine-tuning on images without the concept")])[0]


@style.styled
def window_length(files: Any, params: Any) -> Figure:
    """The window length W of windowed gradient accumulation, of methods that train several lengths."""
    table = WINDOW_LENGTH_CSV.read(files.table)
    rows = pooled(table[table["method"].isin(params.methods)], "window-length.csv", metric=SHOWN)
    concepts = style.order_concepts(rows["concept"])
    theirs = [value for value in WINDOW_LENGTH if params.published and value.concept in concepts]
    if theirs:
        rows = pd.concat([rows, pd.DataFrame([_row(value) for value in theirs])])
    sweep = Sweep(rows.assign(x=rows["window"]), "window length W (image tokens)", params.own_windows)
    figure, axes = draw_sweeps([sweep], {PUBLISHED: PUBLISHED_LOOK})
    for ax, concept in zip(axes[0], concepts, strict=True):
        for obstacle in {one.obstacle for one in theirs if one.concept == concept and one.obstacle}:
            place = {"ha": "center", "transform": ax.transAxes, "backgroundcolor": "white"}
            style.note_missing(ax, 0.5, 0.87, fill(obstacle, 24), **place)
    return figure


def _row(value: Published) -> dict[str, object]:
    """A published rate as a row of the table; its interval is what reading it off a plot leaves open."""
    error = value.tolerance or 0.0
    ends = {"value": value.value, "ci_low": value.value - error, "ci_high": value.value + error}
    return {"concept": value.concept, "method": PUBLISHED, "window": value.window, **ends}
