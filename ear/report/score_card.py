"""The score card as the page shows it: a table a concept, with a column an axis."""

from dataclasses import dataclass

import pandas as pd

from ear.figures.style import capital, concept_style, method_style, order_concepts, order_methods
from ear.metrics.score_card.axes import Axis
from ear.metrics.score_card.table import ALL_CONCEPTS
from ear.metrics.score_card.text import (
    Row,
    card_rows,
    fewer_mark,
    heading,
    interval_text,
    measured_axes,
    rank_text,
    value_text,
)


@dataclass(frozen=True)
class CardCell:
    """A number of the card, its interval, its ranks and what it counts, as text; empty: none."""

    text: str
    interval: str
    rank: str
    counts: str


def score_card_tables(
    card: pd.DataFrame,
) -> list[tuple[str, list[str], list[tuple[str, list[CardCell | None]]]]]:
    """Tables of the score card: concept, axes, and a line a method with a cell an axis (None: no number).

    The mean over concepts comes first.
    """
    axes = measured_axes(card)
    concepts = order_concepts(name for name in card["concept"].unique() if name != ALL_CONCEPTS)
    if (card["concept"] == ALL_CONCEPTS).any():
        concepts = [ALL_CONCEPTS, *concepts]
    tables = []
    for concept in concepts:
        rows = dict(card_rows(card, concept))
        lines = [
            (method_style(method).label, [_cell(rows[method].get(axis.name), axis) for axis in axes])
            for method in order_methods(rows)
        ]
        title = "Mean over concepts" if concept == ALL_CONCEPTS else capital(concept_style(concept).label)
        tables.append((title, [heading(axis) for axis in axes], lines))
    return tables


def _cell(row: Row | None, axis: Axis) -> CardCell | None:
    if row is None or pd.isna(row["value"]):
        return None
    rank = rank_text(row)
    counts = "" if pd.isna(row["n"]) else f"{row['prompt_set']}, n = {row['n']:g}"
    return CardCell(
        value_text(row, axis) + fewer_mark(row), interval_text(row, axis), rank and f"rank {rank}", counts
    )
