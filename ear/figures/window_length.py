"""The window length W of windowed gradient accumulation against the concept rate."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator, PercentFormatter

from ear.figures import style
from ear.figures.rows import pooled, single_seeds
from ear.metrics.columns import WINDOW_LENGTH_CSV
from ear.published import WINDOW_LENGTH, Published

# Published values are told from reproduced ones without colour.
OPEN_DIAMONDS: dict[str, Any] = {
    "color": style.INK,
    "linestyle": (0, (1, 1.6)),  # dotted
    "linewidth": 0.8,
    "marker": "D",
    "markersize": 4.5,
    "markerfacecolor": "none",
    "markeredgewidth": 0.8,
    "clip_on": False,
    "zorder": 4,
}


def plot(files: Any, params: Any) -> Figure:
    """The figure, of the rule's input and parameters: of methods that train all lengths."""
    table = WINDOW_LENGTH_CSV.read(files.table)
    swept = table[table["method"].isin(params.methods)]
    return draw(swept, params.own_windows, WINDOW_LENGTH if params.published else ())


@style.styled
def draw(
    window_length: pd.DataFrame, own_window: Mapping[str, int], published: Sequence[Published] = ()
) -> Figure:
    """Concept rate by W, with 95 % intervals and faint marks for single seeds.

    A panel a method, a line a concept; beside published values, a panel a concept, a line a method.

    Args:
        window_length: the tidy table by window; its rows ``concept_rate`` are plotted as they are.
        own_window: concept → the W that the experiment uses in all other results; ringed where measured.
        published: published rates of single window lengths; those of measured concepts are plotted.

    Returns:
        The figure. In each panel, a line is a Line2D labelled by the name of its concept or method, its
        single seeds by that and ``seeds``, its ring by that and ``own``; the published values are a Line2D
        labelled ``published``.

    Raises:
        InputError: the table has no such rows or several for one point.
    """
    key = ("concept", "method", "window")
    rows = pooled(window_length, key, "window-length.csv", metric="concept_rate")
    seeds = single_seeds(window_length, key, metric="concept_rate")
    panel_key, line_key = ("concept", "method") if published else ("method", "concept")
    names = {"concept": style.order_concepts(rows["concept"]), "method": style.order_methods(rows["method"])}
    looks = {name: _look(line_key, name, names[line_key]) for name in names[line_key]}
    theirs = {name: [value for value in published if value.concept == name] for name in names["concept"]}
    windows = {int(window) for window in rows["window"].unique()}
    windows |= {value.window for values in theirs.values() for value in values if value.window}
    columns = len(names[panel_key])
    width = style.COLUMN_WIDTH if columns == 1 else min(style.TEXT_WIDTH, 0.6 + 2.3 * columns)
    figure, axes = style.panels(1, columns, width, 2.75, sharex=True, sharey=True)
    for ax, panel in zip(axes[0], names[panel_key], strict=True):
        for name, look in looks.items():
            ours, of_seeds = (
                table[(table[panel_key] == panel) & (table[line_key] == name)] for table in (rows, seeds)
            )
            if not ours.empty:
                concept = name if line_key == "concept" else panel
                _draw_line(ax, name, look, ours.sort_values("window"), of_seeds, own_window.get(concept))
        if published:
            _draw_published(ax, theirs[panel])
        ax.set_xscale("log", base=2)
        ax.set_xticks(sorted(windows), [str(window) for window in sorted(windows)])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.grid(axis="y")
        if published:
            ax.set_title(style.capital(style.concept_style(panel).label))
        elif columns > 1:
            ax.set_title(style.method_style(panel).label)
    axes[0, 0].set_ylim(-0.04, 1.04)
    axes[0, 0].yaxis.set_major_formatter(PercentFormatter(1, symbol=None))
    axes[0, 0].set_ylabel("target images that show\nthe concept (%)  ← lower is better")
    figure.supxlabel("window length W (image tokens)", fontsize=8)
    _add_legend(figure, list(looks.values()), bool(published))
    return figure


def _look(kind: str, name: str, names: list[str]) -> style.ConceptStyle:
    """Label, colour, marker and line of a concept or of a method."""
    if kind == "concept":
        return style.concept_style(name, names)
    look = style.method_style(name, names)
    return style.ConceptStyle(look.label, look.colour, look.marker, "-", look.size)


def _draw_line(
    ax: Axes,
    name: str,
    look: style.ConceptStyle,
    line: pd.DataFrame,
    seeds: pd.DataFrame,
    own_window: int | None,
) -> None:
    """Points joined by a line, their intervals, single seeds, and a ring around the experiment's own W."""
    ax.vlines(line["window"], line["ci_low"], line["ci_high"], color=look.colour, linewidth=2.6, alpha=0.35)
    ax.plot(
        line["window"],
        line["value"],
        color=look.colour,
        linestyle=look.line,
        linewidth=1.2,
        marker=look.marker,
        markersize=look.size,
        markeredgecolor="white",
        markeredgewidth=0.4,
        label=name,
        clip_on=False,
        zorder=3,
    )
    style.mark_seeds(ax, look, seeds["window"], seeds["value"], f"{name} seeds")
    own = line[line["window"] == own_window]
    ax.plot(own["window"], own["value"], label=f"{name} own", **_ring(look.colour))


def _draw_published(ax: Axes, values: Sequence[Published]) -> None:
    """Open diamonds joined by a thin dotted line, with what reading them off a plot leaves open."""
    for value in values:
        if value.tolerance:
            ends = value.value - value.tolerance, value.value + value.tolerance
            ax.vlines(value.window, *ends, color=style.INK, linewidth=0.8)
    points = [value.window for value in values], [value.value for value in values]
    ax.plot(*points, label="published", **OPEN_DIAMONDS)
    for obstacle in {value.obstacle for value in values if value.obstacle}:
        style.note_missing(ax, 0.5, 0.87, fill(obstacle, 24), ha="center", transform=ax.transAxes)


def _ring(colour: str) -> dict[str, Any]:
    return {
        "color": colour,
        "linestyle": "none",
        "marker": "o",
        "markersize": 9.5,
        "markerfacecolor": "none",
        "markeredgewidth": 1.1,
        "clip_on": False,
        "zorder": 4,
    }


def _add_legend(figure: Figure, looks: list[style.ConceptStyle], published: bool) -> None:
    handles = [
        Line2D(
            [],
            [],
            color=look.colour,
            linestyle=look.line,
            marker=look.marker,
            markersize=look.size,
            linewidth=1.2,
            label=f"{look.label}, reproduced" if published else look.label,
        )
        for look in looks
    ]
    handles.append(Line2D([], [], label="W of the experiment", **_ring(style.MUTED)))
    if published:
        handles.append(Line2D([], [], label="published", **OPEN_DIAMONDS))
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=2 if len(handles) > 3 and figure.get_figwidth() < 4 else len(handles),
        handlelength=2.4,
        columnspacing=1.4,
    )
