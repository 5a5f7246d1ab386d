"""Two tables that should be equal, row by row."""

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import pandas as pd

from ear.integrity.inspection import Inspection

CLOSE = 1e-9
"""Relative; sums of the same numbers differ in the last digits between processors."""


def compare_rows(
    inspection: Inspection, path: str, found: pd.DataFrame, wanted: pd.DataFrame, keys: Sequence[str]
) -> None:
    """Compare tables whose rows have names.

    A mismatch each: a name that occurs twice, is missing or is too many; a row with other cells; and, where
    nothing else is, rows in another order.

    Args:
        inspection: gets the mismatches.
        path: of the table, for the mismatches.
        found: has all columns of ``wanted``, and perhaps more, which are not compared.
        wanted: what it should be.
        keys: columns that name a row together.
    """
    before = len(inspection.mismatches)
    ours, right = _named(found, keys), _named(wanted, keys)
    for name in ours.index[ours.index.duplicated()].unique():
        inspection.mismatch(f"{path}: {name}", "several rows", "one")
    ours, right = (table[~table.index.duplicated()] for table in (ours, right))
    for name in right.index[~right.index.isin(ours.index)]:
        inspection.mismatch(f"{path}: {name}", "no row", "one")
    for name in ours.index[~ours.index.isin(right.index)]:
        inspection.mismatch(f"{path}: {name}", "a row", "none")
    names = right.index[right.index.isin(ours.index)]
    _compare_cells(inspection, path, ours.loc[names, list(wanted.columns)], right.loc[names])
    if len(inspection.mismatches) == before and list(ours.index) != list(right.index):
        inspection.mismatch(path, "its rows in another order", f"{right.index[0]} first, and so on")


def _compare_cells(inspection: Inspection, path: str, ours: pd.DataFrame, right: pd.DataFrame) -> None:
    """Compare tables with the same rows and columns."""
    changed: dict[str, list[tuple[str, Any, Any]]] = {}
    for column in right.columns:
        if ours[column].equals(right[column]):
            continue
        for name, cell, wanted in zip(right.index, ours[column], right[column], strict=True):
            if not same(cell, wanted):
                changed.setdefault(name, []).append((column, cell, wanted))
    for name, cells in changed.items():
        columns, values, wanted = zip(*cells, strict=True)
        inspection.mismatch(
            f"{path}: {name}: {', '.join(columns)}",
            ", ".join(map(shown, values)),
            ", ".join(map(shown, wanted)),
        )


def same(one: Any, other: Any) -> bool:
    """Whether two cells say the same: text and whole numbers exactly, other numbers but for rounding."""
    if _missing(one) or _missing(other):
        return _missing(one) and _missing(other)
    if isinstance(one, Real) and isinstance(other, Real):
        if isinstance(one, Integral) and isinstance(other, Integral):
            return int(one) == int(other)
        return math.isclose(one, other, rel_tol=CLOSE, abs_tol=CLOSE)
    return str(one) == str(other)


def shown(cell: Any) -> str:
    """A cell in a line about it."""
    return "nothing" if _missing(cell) else repr(cell) if isinstance(cell, str) else str(cell)


def _missing(cell: Any) -> bool:
    return cell is None or cell is pd.NA or (isinstance(cell, float) and math.isnan(cell))


def _named(table: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """The table with the name of each row as its index."""
    words = [[_word(cell) for cell in table[key]] for key in keys]
    return table.set_axis(pd.Index([" ".join(row) for row in zip(*words, strict=True)], dtype=object))


def _word(cell: Any) -> str:
    """A key as text: a column with an empty cell makes floats of whole numbers."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
