"""The tables of the evaluation, each defined once: writers take the columns from here, readers check.

Tables name a seed as text: "0", "1", … or "all" for the seeds taken together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ear.errors import InputError
from ear.workflow.files import read_csv


class Cells(Enum):
    """What the cells of a column are."""

    NAME = "a name"
    TEXT = "any text, or nothing"
    NUMBER = "a finite number, or nothing"
    COUNT = "a whole number from 0"
    FLAG = "True, False or nothing"


@dataclass(frozen=True)
class Table:
    """A table: column → what its cells are. A file may have further columns."""

    columns: Mapping[str, Cells]

    def frame(self, rows: Sequence[Any] = ()) -> pd.DataFrame:
        """A frame of these rows, with the table's columns also where there are none."""
        return pd.DataFrame(rows, columns=list(self.columns))

    def read(self, path: str | Path) -> pd.DataFrame:
        """Read and check a file.

        Raises:
            InputError: it is missing or no such table, or a cell is none of its column's.
        """
        frame = read_csv(path, list(self.columns))
        for name, cells in self.columns.items():
            wrong = np.flatnonzero(~_right(frame[name], cells))
            if len(wrong):
                found = frame[name].iloc[wrong[0]]
                shown = "nothing" if pd.isna(found) else repr(str(found))
                raise InputError(f"{path}:{wrong[0] + 2}: {name}: found {shown}, wanted {cells.value}")
        return frame


def _right(column: pd.Series, cells: Cells) -> np.ndarray:
    there = column.notna().to_numpy()
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    return {
        Cells.NAME: there,
        Cells.TEXT: np.ones(len(column), bool),
        Cells.NUMBER: ~there | np.isfinite(numbers),
        Cells.COUNT: np.isfinite(numbers) & (numbers >= 0) & (numbers == np.round(numbers)),
        Cells.FLAG: ~there | column.isin([True, False]).to_numpy(),
    }[cells]


_NAME, _TEXT, _NUMBER, _COUNT, _FLAG = Cells
_ENDS = {"ci_low": _NUMBER, "ci_high": _NUMBER}
_MEASURED = {"value": _NUMBER, **_ENDS, "n": _COUNT}
_RUN = {"concept": _NAME, "method": _NAME, "seed": _NAME}
_IMAGE = {"prompt_id": _NAME, "prompt_set": _NAME, "window": _NUMBER}

# What one run writes. ``protocol`` is the judge's; general images have a CLIP score and no verdict.
VERDICTS_CSV = Table(
    {"prompt_id": _NAME, "prompt_set": _NAME, "prompt": _TEXT, "object": _TEXT, "window": _NUMBER}
    | {"shown": _FLAG, "score": _NUMBER, "rank": _NUMBER, "top1_object": _TEXT}
    | {"clip_score": _NUMBER, "clip_protocol": _TEXT, "protocol": _TEXT}
)
DETECTIONS_CSV = Table(
    _IMAGE | {"class": _NAME} | dict.fromkeys(("score", "left", "top", "width", "height"), _NUMBER)
)
SCORES_CSV = Table({"metric": _NAME, "prompt_set": _NAME, **_MEASURED, "protocol": _NAME})

# What is made of all runs.
METRICS_CSV = Table({**_RUN, "prompt_set": _NAME, "metric": _NAME, **_MEASURED})
JUDGE_RULES_CSV = Table({**_RUN, **dict.fromkeys(("prompt_set", "metric", "protocol"), _NAME), **_MEASURED})
WINDOW_LENGTH_CSV = Table({**_RUN, "window": _COUNT, "metric": _NAME, **_MEASURED})
TOP_K_CSV = Table({**_RUN, "k": _COUNT, **_MEASURED})
DETECTION_COUNTS_CSV = Table({**_RUN, "class": _NAME, **_MEASURED})
COMPARISONS_CSV = Table(
    dict.fromkeys(("concept", "prompt_set", "metric", "method", "reference"), _NAME)
    | {"difference": _NUMBER, **_ENDS, "p": _NUMBER, "p_holm": _NUMBER, "smallest_shown": _NUMBER}
    | {"n_prompts": _COUNT, "seeds": _COUNT, "verdict": _NAME}
)
DEVIATIONS_CSV = Table(
    {"figure": _NAME, "concept": _NAME, "method": _NAME, "quantity": _NAME}
    | {"published": _NUMBER, "tolerance": _NUMBER, "reproduced": _NUMBER, **_ENDS, "n": _COUNT}
    | {"verdict": _NAME, "note": _TEXT}
)
SCORE_CARD_CSV = Table(
    {"concept": _NAME, "method": _NAME, "seeds": _COUNT, "axis": _NAME, "prompt_set": _NAME}
    | {**_MEASURED, "measured": _COUNT, "of": _COUNT, "front": _FLAG}
)
