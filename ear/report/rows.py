"""Rows of the tidy tables that a figure plots."""

from collections.abc import Sequence

import pandas as pd

from ear.errors import InputError

TRAINING_COLUMNS = (
    "window_length",
    "step",
    "pair",
    "window",
    "loss",
    "threshold",
    "skipped",
    "kept",
    "grad_norm",
)


def pooled(table: pd.DataFrame, key: Sequence[str], source: str, **conditions: str) -> pd.DataFrame:
    """The rows that meet the conditions, one for each key: over all seeds where there are several.

    Args:
        table: tidy table with the columns of ``key`` and ``conditions``, ``seed`` and ``value``. Rows
            without a value count as missing.
        key: columns that name a row, without the seed.
        source: name of the table, for errors.
        conditions: column = wanted value.

    Returns:
        The rows, unchanged, in the order of the table.

    Raises:
        InputError: no row meets the conditions, or a key has several seeds and no row ``all``.
    """
    rows = table[table["value"].notna()]
    for column, wanted in conditions.items():
        rows = rows[rows[column] == wanted]
    if rows.empty:
        sought = ", ".join(f"{column} = {wanted}" for column, wanted in conditions.items())
        raise InputError(f"{source}: found no row with {sought} and a value, wanted at least one")
    names = list(key)
    repeated = rows.duplicated(names, keep=False)
    chosen = rows[~repeated | (rows["seed"].astype(str) == "all")]
    keys, kept = (pd.MultiIndex.from_frame(part[names]) for part in (rows, chosen))
    wrong = keys.difference(kept).union(kept[kept.duplicated()])
    if len(wrong):
        one = "/".join(map(str, wrong[0]))
        raise InputError(f"{source}: {one}: found several rows, wanted one, or one of them with seed = all")
    return chosen.reset_index(drop=True)


def single_seeds(table: pd.DataFrame, key: Sequence[str], **conditions: str) -> pd.DataFrame:
    """The rows of single seeds that meet the conditions, for each key that has several; others have none.

    Args:
        table: as for :func:`pooled`.
        key: columns that name a row, without the seed.
        conditions: column = wanted value.
    """
    rows = table[table["value"].notna() & (table["seed"].astype(str) != "all")]
    for column, wanted in conditions.items():
        rows = rows[rows[column] == wanted]
    return rows[rows.duplicated(list(key), keep=False)].reset_index(drop=True)


def one_row(rows: pd.DataFrame, concept: str, method: str) -> pd.Series | None:
    """The row of a concept and a method, None where there is none."""
    found = rows[(rows["concept"] == concept) & (rows["method"] == method)]
    return None if found.empty else found.iloc[0]
