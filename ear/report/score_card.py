"""The score card as the page shows it: a table a concept, with a column an axis."""

import math
from dataclasses import dataclass

import pandas as pd

from ear.figures.style import capital, concept_style, method_style, order_concepts, order_methods

CARD_COLUMNS = (
    *("concept", "method", "axis", "value", "ci_low", "ci_high", "n"),
    *("rank_best", "rank_worst", "prompt_set"),
)
ALL_CONCEPTS = "all"
"""Name of the rows that average the concepts; they come first."""


@dataclass(frozen=True)
class CardCell:
    """A number of the card, its interval and its ranks, all as text; no interval or rank: empty."""

    text: str
    interval: str
    rank: str
    n: str


def score_card_tables(
    card: pd.DataFrame,
) -> list[tuple[str, list[str], list[tuple[str, list[CardCell | None]]]]]:
    """Tables of the score card: concept, axes, and a line a method with a cell an axis (None: no number)."""
    concepts = order_concepts(name for name in card["concept"].unique() if name != ALL_CONCEPTS)
    if (card["concept"] == ALL_CONCEPTS).any():
        concepts = [ALL_CONCEPTS, *concepts]
    tables = []
    for concept in concepts:
        own = card[card["concept"] == concept]
        axes = list(own["axis"].unique())
        lines = [
            (method_style(method).label, [_cell(own, method, axis) for axis in axes])
            for method in order_methods(own["method"])
        ]
        title = "All concepts" if concept == ALL_CONCEPTS else capital(concept_style(concept).label)
        tables.append((title, axes, lines))
    return tables


def _cell(card: pd.DataFrame, method: str, axis: str) -> CardCell | None:
    rows = card[(card["method"] == method) & (card["axis"] == axis) & card["value"].notna()]
    if rows.empty:
        return None
    row = rows.iloc[0]
    low, high = float(row["ci_low"]), float(row["ci_high"])
    interval = "" if math.isnan(low) or math.isnan(high) else f"[{low:.3g}, {high:.3g}]"
    best, worst = row["rank_best"], row["rank_worst"]
    ranks = "" if pd.isna(best) else f"{best:g}" if best == worst else f"{best:g}–{worst:g}"
    n = "" if pd.isna(row["n"]) else f"{row['n']:g}"
    return CardCell(f"{row['value']:.3g}", interval, ranks and f"rank {ranks}", n)
