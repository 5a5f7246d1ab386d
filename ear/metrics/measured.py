"""How much of a concept each axis finds in a model, the worst first.

The one place that finds the worst axis, for whatever states it.
"""

from dataclasses import dataclass

import pandas as pd

from ear.axes.protocols import AXES, CEILING, PREFIX, Axis, level_of
from ear.metrics.score_card.table import PREFIX_SHARE

SHOWN = "concept_rate"


@dataclass(frozen=True)
class Measurement:
    """A number of the metrics table, and the axis that it belongs to.

    Attributes:
        axis: of the evaluation.
        row: of the metrics table.
        of: prompt sets of the axis that were measured; of several the row is the worst.
    """

    axis: Axis
    row: pd.Series
    of: int

    @property
    def prompt_set(self) -> str:
        """Of the row."""
        return str(self.row["prompt_set"])

    @property
    def metric(self) -> str:
        """Of the row."""
        return str(self.row["metric"])


def left_of_concept(rows: pd.DataFrame, image_tokens: int) -> list[Measurement]:
    """How much of the concept each measured axis finds, the most first; ties in the order of ``AXES``.

    Args:
        rows: of the metrics table: one model's on one concept, one row a prompt set and metric. Rows without
            a value do not count.
        image_tokens: tokens of an image, T. Of prefixes longer than T / 4, which are most of what is to be
            seen, none counts beside a shorter one.

    Returns:
        One measurement an axis: of its prompt sets the one with the highest rate.
    """
    found = []
    for axis in AXES:
        if SHOWN not in axis.metrics or axis.name == CEILING:  # the ceiling is the original's
            continue
        mine = _rows_of(rows, axis, SHOWN)
        if mine.empty:
            continue
        if axis.name == PREFIX:
            levels = mine["prompt_set"].map(level_of)
            within = levels <= max(image_tokens * PREFIX_SHARE, levels.min())
            mine = mine[within]
        found.append(Measurement(axis, mine.iloc[int(mine["value"].argmax())], len(mine)))
    return sorted(found, key=lambda one: -float(one.row["value"]))


def _rows_of(rows: pd.DataFrame, axis: Axis, metric: str) -> pd.DataFrame:
    mine = [axis.has(str(prompt_set)) for prompt_set in rows["prompt_set"]]
    return rows[
        pd.Series(mine, index=rows.index, dtype=bool) & (rows["metric"] == metric) & rows["value"].notna()
    ]
