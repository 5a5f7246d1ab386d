"""The score card as a figure: methods × axes, of a concept or of all."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ear.errors import InputError
from ear.figures import style
from ear.files import read_csv
from ear.metrics.ranks import Front
from ear.metrics.score_card.axes import Axis
from ear.metrics.score_card.table import ALL_CONCEPTS, CARD_COLUMNS, FRONTS, fronts
from ear.metrics.score_card.text import FEWER, FRONT_HEADINGS, card_rows, measured_axes, rank_text, value_text

# Bad to good; all of them light enough for dark text, and told apart by the colour-blind.
COLOURS = LinearSegmentedColormap.from_list("card", ["#F4BC8C", "#FBF1E6", "#F1F6FA", "#A3C9E6"])
ROW, HEAD = 0.255, 0.85  # inches
RANK_SIZE, RANK_INK = 6.5, "#4a4a4a"
# The least difference that takes all of the colours, of rates; of other scores, this share of the best one.
LEAST_SPAN = 0.2
MARKS: dict[Front, dict[str, Any]] = {
    Front.CERTAIN: {"markerfacecolor": style.INK},
    Front.POSSIBLE: {"markerfacecolor": "white"},
}


def plot(files: Any, params: Any) -> Figure:
    """The figure, of the rule's input and parameters."""
    return draw(read_csv(files.table, CARD_COLUMNS), params.concept)


@style.styled
def draw(card: pd.DataFrame, concept: str | None = None) -> Figure:
    """A concept's values in cells, coloured from bad to good, with ranks below; then the fronts.

    Args:
        card: the score card (``ear.metrics.score_card.table.score_card``). A column has one scale of colours
            for all concepts.
        concept: whose; without it the mean over concepts, or the only concept.

    Returns:
        The figure. A cell is a Rectangle labelled "<method>|<axis>", its value a Text with that as ``gid``; a
        mark of a front is a Line2D labelled "<method>|<front>", filled where the method is on it for certain.

    Raises:
        InputError: the card has no rows of the concept.
    """
    names = set(card["concept"])
    shown_concept = concept or (ALL_CONCEPTS if ALL_CONCEPTS in names else min(names, default=""))
    if shown_concept not in names:
        raise InputError(f"score-card.csv: found no row of {shown_concept or 'any concept'}, wanted one")
    axes, cells, places = (
        measured_axes(card),
        dict(card_rows(card, shown_concept)),
        fronts(card, shown_concept),
    )
    methods = style.order_methods(cells)
    front_names = [front for front, axis in FRONTS.items() if (card["axis"] == axis).any()]
    columns = len(axes) + len(front_names)
    width = min(style.TEXT_WIDTH, max(style.COLUMN_WIDTH, 1.5 + 0.4 * columns))
    figure, panels = style.panels(1, 1, width, HEAD + ROW * len(methods))
    ax = panels[0, 0]
    for x, axis in enumerate(axes):
        scale = _scale(card, axis)
        for y, method in enumerate(methods):
            _draw_cell(ax, x, y, method, axis, cells[method].get(axis.name), scale)
    for x, front in enumerate(front_names, start=len(axes)):
        for y, method in enumerate(methods):
            _draw_mark(ax, x, y, f"{method}|{front}", places.get(method, {}).get(front))
    look = "All concepts" if shown_concept == ALL_CONCEPTS else style.concept_style(shown_concept).label
    ax.text(-0.08, -0.3, style.capital(look), ha="right", va="bottom", fontweight="bold", fontsize=8)
    ax.set_xlim(0, columns)
    ax.set_ylim(len(methods), 0)
    ax.set_yticks(
        np.arange(len(methods)) + 0.5, [style.method_style(name, methods).label for name in methods]
    )
    ax.tick_params(length=0, pad=3, bottom=False, labelbottom=False)
    ax.spines[:].set_visible(False)
    _add_headings(ax, axes, front_names)
    return figure


def _add_headings(ax: Axes, axes: Sequence[Axis], front_names: Sequence[str]) -> None:
    headings = [f"{axis.heading}, {axis.unit} {'↓' if axis.lower else '↑'}" for axis in axes]
    for x, heading in enumerate([*headings, *(FRONT_HEADINGS[front] for front in front_names)]):
        ax.text(
            x + 0.45, -0.2, heading, rotation=45, rotation_mode="anchor", ha="left", va="bottom", fontsize=7
        )


def _scale(card: pd.DataFrame, axis: Axis) -> tuple[float, float]:
    """The values that are quite bad and quite good: the worst and best of all, or further apart."""
    values = card.loc[card["axis"] == axis.name, "value"]
    best, worst = (values.min(), values.max()) if axis.lower else (values.max(), values.min())
    least = LEAST_SPAN * (1.0 if axis.unit == "%" else abs(float(best)))
    span = max(abs(float(worst) - float(best)), least) or 1.0
    return float(best) + (span if axis.lower else -span), float(best)


def _draw_cell(
    ax: Axes, x: int, y: int, method: str, axis: Axis, row: dict[str, Any] | None, scale: tuple[float, float]
) -> None:
    if row is None:
        style.note_missing(ax, x + 0.5, y + 0.5, "–", ha="center")
        return
    bad, good = scale
    colour = COLOURS(float(np.clip((row["value"] - bad) / (good - bad), 0, 1)))
    name = f"{method}|{axis.name}"
    ax.add_patch(Rectangle((x, y), 1, 1, facecolor=colour, edgecolor="white", linewidth=1, label=name))
    text = value_text(row, axis) + (FEWER if row["measured"] < row["of"] else "")
    rank = rank_text(row)
    ax.text(x + 0.5, y + (0.34 if rank else 0.5), text, ha="center", va="center", fontsize=7.5, gid=name)
    ax.text(x + 0.5, y + 0.76, rank, ha="center", va="center", fontsize=RANK_SIZE, color=RANK_INK)


def _draw_mark(ax: Axes, x: int, y: int, name: str, place: Front | None) -> None:
    if place is None or place == Front.NOT:
        return
    ax.plot(
        x + 0.5,
        y + 0.5,
        marker="o",
        markersize=4.5,
        color=style.INK,
        markeredgewidth=0.8,
        label=name,
        **MARKS[place],
    )
