"""What the page says in numbers: score card, window lengths, published values beside ours, the summary."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ear.evaluation.protocols import METRICS, SHOWN, Axis, axis
from ear.evaluation.score_card import WORST, card_rows, columns_of, fewer_mark
from ear.report.rows import one_row, pooled
from ear.report.style import concept_title, method_style, order_concepts, order_methods
from ear.workflow.seeding import ORIGINAL

HEADLINE_METHOD = "ear"
NO_BREAK = "\u00a0"


@dataclass(frozen=True)
class Cell:
    """A number of a table.

    Attributes:
        text: as people read it.
        interval: likewise, empty without one.
        value: as it is in the table.
        n: number of items.
        prompt_set: that it was measured on.
    """

    text: str
    interval: str
    value: float
    n: int
    prompt_set: str = ""


@dataclass(frozen=True)
class Line:
    """A line of a table: who, a cell for each column (None: no number in the table), number of seeds."""

    concept: str
    concept_label: str
    method: str
    method_label: str
    cells: list[Cell | None]
    seeds: int = 1


def make_cell(row: Mapping[str, Any] | pd.Series, metric: str, mark: str = "") -> Cell:
    """The cell of a row of a tidy table; a mark stands behind the number."""
    low, high = float(row["ci_low"]), float(row["ci_high"])
    form = METRICS[metric]
    interval = "" if math.isnan(low) or math.isnan(high) else f"[{form.text(low)}, {form.text(high)}]"
    text = form.text(row["value"]) + mark + form.unit
    return Cell(text, interval, float(row["value"]), int(row["n"]), str(row.get("prompt_set", "")))


def results_table(card: pd.DataFrame) -> tuple[list[Axis], list[Line]]:
    """The score card: its columns, and lines (concept and method).

    Args:
        card: ``ear.evaluation.score_card.score_card``.
    """
    columns, lines = columns_of(card), []
    for concept in order_concepts(card["concept"]):
        rows = dict(card_rows(card, concept))
        for method in order_methods(rows):
            found = [rows[method].get(column.name) for column in columns]
            cells = [
                None if row is None else make_cell(row, column.metric, fewer_mark(row))
                for row, column in zip(found, columns, strict=True)
            ]
            label = concept_title(concept)
            seeds = next(int(row["seeds"]) for row in rows[method].values())
            lines.append(Line(concept, label, method, method_style(method).label, cells, seeds))
    return columns, lines


def window_table(window_length: pd.DataFrame) -> tuple[list[int], list[Line]]:
    """Window lengths and lines (concept and method) of the table of concept rates by window length."""
    key = ("concept", "method", "window")
    rows = pooled(window_length, key, "window-length.csv", metric=SHOWN)
    windows = sorted(int(window) for window in rows["window"].unique())
    lines = []
    for concept in order_concepts(rows["concept"]):
        for method in order_methods(rows.loc[rows["concept"] == concept, "method"]):
            found = [one_row(rows[rows["window"] == window], concept, method) for window in windows]
            cells = [None if row is None else make_cell(row, SHOWN) for row in found]
            label = concept_title(concept)
            lines.append(Line(concept, label, method, method_style(method).label, cells))
    return windows, lines


@dataclass(frozen=True)
class Summary:
    """The page's first words: a lead, and a sentence for each concept."""

    lead: str
    sentences: list[str]


def summary(columns: list[Axis], lines: list[Line]) -> Summary:
    """Concept rate and accuracy of each concept before and after the headline method, and the worst axes.

    The headline method is EAR, or the last one where the table has no EAR. Nothing is said that is not a
    number of the table.

    Args:
        columns: of :func:`results_table`.
        lines: of :func:`results_table`.
    """
    erased = [line.method for line in lines if line.method != ORIGINAL]
    if not erased:
        return Summary("The table holds no erased model.", [])
    headline = HEADLINE_METHOD if HEADLINE_METHOD in erased else order_methods(erased)[-1]
    sentences = []
    for concept in order_concepts(line.concept for line in lines):
        before, after = (
            _cells(columns, [line for line in lines if (line.concept, line.method) == (concept, method)])
            for method in (ORIGINAL, headline)
        )
        parts = [
            f"{found} in {_phrase(before[name])} of the {axis(name).measures.partition(',')[0]} before and "
            f"{_phrase(after[name])} after"
            for name, found in (("erasure", "the concept is found"), ("retention", "the right object"))
            if name in before and name in after
        ]
        parts += _worst([column for column in columns if column.metric == SHOWN], after)
        if parts:
            sentences.append(f"{concept_title(concept)}: {'; '.join(parts)}.")
    label = method_style(headline).label
    return Summary(f"Before and after erasure with {label}, with 95 % intervals in brackets:", sentences)


def _cells(columns: list[Axis], lines: list[Line]) -> dict[str, Cell]:
    """Axis → cell, of at most one line."""
    cells = [zip(columns, line.cells, strict=True) for line in lines]
    return {column.name: cell for pairs in cells for column, cell in pairs if cell is not None}


def _worst(columns: list[Axis], cells: Mapping[str, Cell]) -> list[str]:
    """What each axis but the plain request finds of the concept after erasure, the worst first."""
    found = [one for one in columns if one.name in cells and one.name not in ("erasure", WORST.name)]
    found.sort(key=lambda one: -cells[one.name].value)
    if not found:
        return []
    worst, *others = [f"{cells[one.name].prompt_set}" for one in found]
    first, *rest = [_phrase(cells[one.name]) for one in found]
    told = f"at worst, by {worst} ({found[0].measures}), {first} after"
    listed = ", ".join(f"{name} {cell}" for name, cell in zip(others, rest, strict=True))
    return [f"{told}, then {listed}" if listed else told]


def _phrase(cell: Cell) -> str:
    return f"{cell.text} {cell.interval}".strip().replace(" ", NO_BREAK)


@dataclass(frozen=True)
class PublishedLine:
    """A published value and ours: all texts but the verdict's name, which the page also colours by."""

    concept: str
    method: str
    quantity: str
    published: str
    reproduced: str
    interval: str
    verdict: str
    note: str


def published_lines(deviations: pd.DataFrame) -> list[PublishedLine]:
    """The rows of tables/deviations.csv, in their order."""
    return [
        PublishedLine(
            concept=concept_title(str(row["concept"])),
            method=method_style(str(row["method"])).label,
            quantity=str(row["quantity"]).replace("_", " "),
            published=("< " if math.isnan(row["tolerance"]) else "") + _short(row["published"]),
            reproduced=_short(row["reproduced"]),
            interval=""
            if math.isnan(row["ci_low"])
            else f"[{_short(row['ci_low'])}, {_short(row['ci_high'])}]",
            verdict=str(row["verdict"]),
            note="" if pd.isna(row["note"]) else str(row["note"]),
        )
        for row in deviations.to_dict(orient="records")
    ]


def _short(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
