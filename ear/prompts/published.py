"""The authors' prompt files as tables of pairs and prompts.

The texts stay exactly as published, blanks and all. Rows of unsafe concepts that speak of minors are left out
and counted in the log.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ear.errors import InputError
from ear.prompts.minors import without_minors
from ear.prompts.tables import PAIR_COLUMNS, PROMPT_COLUMNS, REMOVED
from ear.workflow.files import column_names, read_csv
from ear.workflow.seeding import PUBLISHED
from ear.workflow.texts import read_json, text_fault

logger = logging.getLogger(__name__)

Format = Mapping[str, str]  # column of our tables → column or key of the file

PAIR_FORMATS: Sequence[Format] = (  # the first whose columns are all there holds
    {  # train_church.json
        "unsafe_prompt": "original_prompt",
        "safe_prompt": "modified_prompt",
        "concept": "concept",
        "replacement": "replaced",
    },
    {
        "unsafe_prompt": "unsafe_prompt",
        "safe_prompt": "safe_prompt",
        "concept": "concept",
    },  # train_nudity.json
    {"unsafe_prompt": "unsafe_prompt", "safe_prompt": "safe_prompt"},  # train_van_gogh.csv
)
PROMPT_FORMATS: Sequence[Format] = (
    {"prompt": "prompt"},  # test_church.json, test_van_gogh.csv, Six-CD_Nudity.csv, coco_30k.csv
)


def read_pairs(path: str | Path, concept: str, kind: str, rows: int | None = None) -> pd.DataFrame:
    """Read published training pairs.

    Args:
        path: a CSV file, or a JSON file (by its suffix) that lists objects, of one of ``PAIR_FORMATS``.
        concept: its name in the experiment: in the pairs' ids, and in column concept where the file has none.
        kind: of the concept: pairs of an unsafe one that speak of minors are left out
            (``ear.prompts.minors``).
        rows: how many, from the first on; None: all of them. The paper uses 49 of 55 for the church.

    Returns:
        ``PAIR_COLUMNS``, in the order of the file; ids ``<concept>/pair/<row of the file, from 0>``.

    Raises:
        InputError: the file cannot be read, is of no known format, has fewer rows or lacks a text.
    """
    texts, _ = read_texts(path, PAIR_FORMATS)
    if rows is not None and len(texts) < rows:
        raise InputError(f"{path}: found {len(texts)} rows, wanted {rows} or more")
    texts = _drawn(path, texts[:rows], ["unsafe_prompt", "safe_prompt"], kind)
    given = {"concept": concept, "replacement": REMOVED, "source": PUBLISHED}
    pairs = pd.DataFrame(given, index=texts.index).assign(**texts)
    return pairs.assign(pair_id=_row_ids(concept, "pair", texts))[PAIR_COLUMNS].reset_index(drop=True)


def read_targets(path: str | Path, concept: str, kind: str, rows: int | None = None) -> pd.DataFrame:
    """Read published test prompts, all of which should name the concept.

    Args:
        path: a CSV file, or a JSON file (by its suffix) that lists objects, of one of ``PROMPT_FORMATS``.
        concept: its name in the experiment, in the prompts' ids.
        kind: of the concept: prompts of an unsafe one that speak of minors are left out, and no setting keeps
            them (``ear.prompts.minors``).
        rows: how many the file must have, those left out among them; None: any number.

    Returns:
        ``PROMPT_COLUMNS``, in the order of the file; ids ``<concept>/target/<row of the file, from 0>``;
        object is missing, since the files do not say what else a picture should show.

    Raises:
        InputError: the file cannot be read, is of no known format, has more or fewer rows or lacks a text.
    """
    texts, _ = read_texts(path, PROMPT_FORMATS)
    if rows is not None and len(texts) != rows:
        raise InputError(f"{path}: found {len(texts)} rows, wanted {rows}")
    texts = _drawn(path, texts, ["prompt"], kind)
    prompts = texts.assign(
        prompt_id=_row_ids(concept, "target", texts), prompt_set="target", object=float("nan")
    )
    return prompts[PROMPT_COLUMNS].reset_index(drop=True)


def _drawn(path: str | Path, texts: pd.DataFrame, columns: list[str], kind: str) -> pd.DataFrame:
    kept = without_minors(texts, columns, kind)
    if dropped := len(texts) - len(kept):
        logger.warning("%s: %d of %d rows speak of minors: left out", path, dropped, len(texts))
    if kept.empty:
        raise InputError(f"{path}: found only rows that speak of minors, wanted others")
    return kept


def _row_ids(concept: str, kind: str, texts: pd.DataFrame) -> list[str]:
    return [f"{concept}/{kind}/{row:04d}" for row in texts.index]


def read_texts(path: str | Path, formats: Sequence[Format]) -> tuple[pd.DataFrame, Format]:
    """Read a published file and find out which of its columns is which.

    Returns:
        (texts, format): the texts under the names of our tables, indexed by row from 0, and the format found.

    Raises:
        InputError: the file cannot be read, has no rows, is of none of the formats or lacks a text.
    """
    wanted = " or ".join(", ".join(columns.values()) for columns in formats)
    rows = _read_rows(path, wanted)
    if rows.empty:
        raise InputError(f"{path}: found no rows, wanted rows with {wanted}")
    for columns in formats:
        if set(columns.values()) <= set(rows.columns):
            for column in columns.values():
                check_texts(path, column, rows[column])
            texts = {role: rows[column].astype(str) for role, column in columns.items()}
            return pd.DataFrame(texts), columns
    raise InputError(f"{path}: found columns {column_names(rows)}, wanted {wanted}")


def check_texts(path: str | Path, column: str, values: Iterable[Any]) -> None:
    """Check that every row of a column holds a text (``ear.workflow.texts.text_fault``).

    Raises:
        InputError: a row does not.
    """
    for row, value in enumerate(values):
        if fault := text_fault(value):
            raise InputError(f"{path}: row {row}: {column}: found {fault}, wanted text (rows count from 0)")


def _read_rows(path: str | Path, wanted: str) -> pd.DataFrame:
    if Path(path).suffix.lower() != ".json":
        return read_csv(path, [])
    rows = read_json(path)
    if not isinstance(rows, list):
        raise InputError(
            f"{path}: found a JSON {type(rows).__name__}, wanted a list of objects with {wanted}"
        )
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise InputError(f"{path}: row {number}: found {row!r}, wanted an object with {wanted}")
    return pd.DataFrame(rows, dtype=object)  # as they are: checked before anything else looks at them
