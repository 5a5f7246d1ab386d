"""The score card as a figure: methods × axes, concept by concept."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ear.evaluation.columns import SCORE_CARD_CSV
from ear.evaluation.protocols import Axis
from ear.evaluation.score_card import card_rows, columns_of, fewer_mark, on_front
from ear.report import style

# Bad to good; all of them light enough for dark text, and told apart by the colour-blind.
COLOURS = LinearSegmentedColormap.from_list("card", ["#F4BC8C", "#FBF1E6", "#F1F6FA", "#A3C9E6"])
ROW, HEAD = 0.225, 0.85  # inches
MARGIN = 0.1  # of a cell, on either side of an interval's scale
# The least difference that takes all of the colours, of rates; of other scores, this share of the best one.
LEAST_SPAN = 0.2


@style.styled
def score_card(files: Any, params: Any) -> Figure:
    """Values in cells, coloured from bad to good, with the interval as a line below; then the Pareto front.

    A column has one scale of colours, and one of intervals, for all concepts.

    Returns:
        The figure. A cell is a Rectangle labelled "<concept>|<method>|<axis>", its value a Text with that as
        ``gid``, its interval a Line2D labelled by that and ``interval``; the mark of a method on the front is
        a Line2D labelled "<concept>|<method>|front".
    """
    card = SCORE_CARD_CSV.read(files.table)
    axes, concepts = columns_of(card), style.order_concepts(card["concept"])
    blocks = {concept: dict(card_rows(card, concept)) for concept in concepts}
    methods = style.order_methods(card["method"])
    width = min(style.TEXT_WIDTH, max(style.COLUMN_WIDTH, 1.5 + 0.4 * len(axes)))
    rows = sum(1 + len(cells) for cells in blocks.values())
    figure, panels = style.panels(1, 1, width, HEAD + ROW * rows)
    ax, top, ticks = panels[0, 0], 0, {}
    for concept, cells in blocks.items():
        title = style.concept_title(concept)
        ax.text(-0.08, top + 0.6, title, ha="right", va="center", fontweight="bold", fontsize=8)
        for y, method in enumerate(style.order_methods(cells), start=top + 1):
            ticks[y + 0.5] = style.method_style(method, methods).label
            for x, axis in enumerate(axes):
                name = f"{concept}|{method}|{axis.name}"
                column = card[card["axis"] == axis.name]
                _draw_cell(ax, x, y, name, axis, cells[method].get(axis.name), column)
            if on_front(cells[method]):
                mark = {"marker": "o", "markersize": 4.5, "color": style.INK}
                ax.plot(len(axes) + 0.5, y + 0.5, label=f"{concept}|{method}|front", **mark)
        top += 1 + len(cells)
    for x, heading in enumerate([*map(_heading, axes), "Front"]):
        place = {"rotation": 45, "rotation_mode": "anchor", "ha": "left", "va": "bottom"}
        ax.text(x + 0.45, 0.75, heading, fontsize=7, **place)
    ax.set_xlim(0, len(axes) + 1)
    ax.set_ylim(rows, 0.6)
    ax.set_yticks(list(ticks), list(ticks.values()))
    ax.tick_params(length=0, pad=3, bottom=False, labelbottom=False)
    ax.spines[:].set_visible(False)
    return figure


def _draw_cell(
    ax: Axes, x: int, y: int, name: str, axis: Axis, row: Mapping[str, Any] | None, column: pd.DataFrame
) -> None:
    """A cell; ``column`` holds the rows of its axis, of all concepts and methods."""
    if row is None:
        style.note_missing(ax, x + 0.5, y + 0.5, "–", ha="center")
        return
    colour = cell_colour(axis, row["value"], column["value"])
    ax.add_patch(Rectangle((x, y), 1, 1, facecolor=colour, edgecolor="white", linewidth=1, label=name))
    decimals = 0 if axis.form.unit else axis.form.decimals
    text = f"{row['value'] * axis.form.scale:.{decimals}f}{fewer_mark(row)}"
    ax.text(x + 0.5, y + 0.42, text, ha="center", va="center", fontsize=6.5, gid=name)
    if pd.notna(row["ci_low"]):
        least, most = axis.form.bounds or (column["ci_low"].min(), column["ci_high"].max())
        ends = (np.array([row["ci_low"], row["ci_high"]]) - least) / ((most - least) or 1)
        places = x + MARGIN + (1 - 2 * MARGIN) * ends
        ax.plot(places, [y + 0.82] * 2, color=style.INK, linewidth=1, label=f"{name} interval")


def _heading(axis: Axis) -> str:
    unit = axis.form.unit.strip()
    return f"{axis.label} ({unit}) {axis.form.arrow}" if unit else axis.heading


def cell_colour(axis: Axis, value: float, values: pd.Series) -> str:
    """Colour of a value among the values of its axis, as hexadecimal digits."""
    bad, good = _scale(axis, values)
    return to_hex(COLOURS(float(np.clip((value - bad) / (good - bad), 0, 1))))


def _scale(axis: Axis, values: pd.Series) -> tuple[float, float]:
    """The values that are quite bad and quite good: the worst and best of all, or further apart."""
    best, worst = (values.min(), values.max()) if axis.form.lower else (values.max(), values.min())
    least = LEAST_SPAN * (1.0 if axis.form.unit else abs(float(best)))
    span = max(abs(float(worst) - float(best)), least) or 1.0
    return float(best) + (span if axis.form.lower else -span), float(best)
