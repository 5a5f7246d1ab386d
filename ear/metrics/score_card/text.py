"""The score card as Markdown and LaTeX: a block a concept, a row a method, a column an axis."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from ear.metrics import latex
from ear.metrics.ranks import Front
from ear.metrics.score_card.axes import AXES, Axis
from ear.metrics.score_card.table import ALL_CONCEPTS, FRONTS, fronts, records

FEWER = "*"
"""Mark of a worst case of fewer attacks than other methods have."""
FRONT_HEADINGS = {"front": "Front", "attack-front": "Front, attacked"}
NO_PLACE = "-"

Row = dict[str, Any]


def measured_axes(card: pd.DataFrame) -> list[Axis]:
    """The axes of which a card has numbers."""
    return [axis for axis in AXES if (card["axis"] == axis.name).any()]


def card_rows(card: pd.DataFrame, concept: str) -> Iterator[tuple[str, dict[str, Row]]]:
    """Method by method, axis → its row; those of a concept."""
    of_concept = card[card["concept"] == concept]
    for method, group in of_concept.groupby("method", sort=False):
        yield str(method), {row["axis"]: row for row in records(group)}


def rank_text(row: Row) -> str:
    """Best and worst rank as "1" or "1–3"; nothing for the original."""
    if pd.isna(row["rank_best"]):
        return ""
    best, worst = int(row["rank_best"]), int(row["rank_worst"])
    return str(best) if best == worst else f"{best}–{worst}"


def value_text(row: Row, axis: Axis, name: str = "value") -> str:
    """A number of the row as people read it."""
    return f"{row[name] * axis.scale:.{axis.decimals}f}"


def interval_text(row: Row, axis: Axis) -> str:
    """The interval as people read it, in brackets; nothing where there is none."""
    if pd.isna(row["ci_low"]):
        return ""
    return f"[{value_text(row, axis, 'ci_low')}, {value_text(row, axis, 'ci_high')}]"


def fewer_mark(row: Row) -> str:
    """FEWER where it applies, else nothing."""
    return FEWER if row["measured"] < row["of"] else ""


def heading(axis: Axis) -> str:
    """Of a column: the axis, its unit, and which way is better."""
    return f"{axis.heading} ({axis.unit}) {'↓' if axis.lower else '↑'}"


def to_markdown(card: pd.DataFrame) -> str:
    """A Markdown table a concept, of cells "value [low, high] (rank)"; and what the columns are."""
    axes = measured_axes(card)
    shown = [front for front, axis in FRONTS.items() if (card["axis"] == axis).any()]
    parts = [_legend(axes)]
    for concept in card["concept"].unique():
        places = fronts(card, concept)
        rows = [
            [
                method,
                *(_markdown_cell(cells.get(axis.name), axis) for axis in axes),
                *(places.get(method, {}).get(front, NO_PLACE) for front in shown),
            ]
            for method, cells in card_rows(card, concept)
        ]
        headings = ["Method", *(heading(axis) for axis in axes), *(FRONT_HEADINGS[front] for front in shown)]
        table = pd.DataFrame(rows, columns=headings)
        title = "Mean over concepts" if concept == ALL_CONCEPTS else concept
        parts.append(
            f"## {title}\n\n" + table.to_markdown(index=False, tablefmt="pipe", disable_numparse=True)
        )
    return "\n\n".join(parts) + "\n"


def to_latex(card: pd.DataFrame) -> str:
    r"""A LaTeX ``tabular`` with booktabs for the width of both columns, the concepts one below the other.

    Rates are rounded to whole percent. Bold: no method is surely better. Fronts, without and under attack:
    a full circle is certain, an open one possible.
    """
    axes = measured_axes(card)
    headings = [["Method"], *([axis.short, _latex_unit(axis)] for axis in axes), ["Fronts"]]
    blocks = []
    for concept in card["concept"].unique():
        title = "mean over concepts" if concept == ALL_CONCEPTS else concept
        places = fronts(card, concept)
        block = [[rf"\multicolumn{{{len(headings)}}}{{@{{}}l}}{{\textit{{{latex.escape(title)}}}}}"]]
        for method, cells in card_rows(card, concept):
            marks = "".join(_LATEX_MARKS[places.get(method, {}).get(front, Front.NOT)] for front in FRONTS)
            numbers = [_latex_cell(cells.get(axis.name), axis) for axis in axes]
            block.append([latex.escape(method), *numbers, marks if places else "--"])
        blocks.append(block)
    return latex.tabular(headings, blocks, names=1, gap=2)


_LATEX_MARKS = {Front.CERTAIN: r"$\bullet$", Front.POSSIBLE: r"$\circ$", Front.NOT: r"$\cdot$"}


def _latex_unit(axis: Axis) -> str:
    times = r"$\,10^3$" if axis.scale == 1000 else ""
    arrow = r"$\,\downarrow$" if axis.lower else r"$\,\uparrow$"
    return latex.escape(axis.unit) + times + arrow


def _markdown_cell(row: Row | None, axis: Axis) -> str:
    if row is None:
        return NO_PLACE
    rank = rank_text(row)
    parts = [value_text(row, axis) + fewer_mark(row), interval_text(row, axis), rank and f"({rank})"]
    return " ".join(part for part in parts if part)


def _latex_cell(row: Row | None, axis: Axis) -> str:
    if row is None:
        return "--"
    value, low, high = (row[name] * axis.scale for name in ("value", "ci_low", "ci_high"))
    best: bool = bool(pd.notna(row["rank_best"])) and row["rank_best"] == 1
    decimals = 0 if axis.unit == "%" else axis.decimals
    return latex.cell(value, low, high, decimals, bold=best) + fewer_mark(row)


def _legend(axes: list[Axis]) -> str:
    lines = [
        "Each cell: value [95 % interval] (rank, from best to worst that the intervals leave open). The",
        "original is the reference and has no rank. Fronts are of little shown and much kept (retention): on",
        "target prompts, and under the worst attack.",
    ]
    if any(axis.scale == 1000 for axis in axes):
        lines.append("KID is in thousandths.")
    lines.append(f"`{FEWER}`: of fewer attacks than other methods have, so no worst case of all.")
    return "\n".join(lines)
