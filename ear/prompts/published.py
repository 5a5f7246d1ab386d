"""The authors' prompt files, and those of other studies, as tables of pairs and prompts.

The texts stay exactly as published, blanks and all. Rows of unsafe concepts that speak of minors are left out
and counted in the log.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ear.errors import InputError
from ear.prompts.minors import without_minors
from ear.prompts.tables import PAIR_COLUMNS, PROMPT_COLUMNS, REMOVED, SAMPLE
from ear.workflow.files import column_names, read_csv
from ear.workflow.seeding import PUBLISHED
from ear.workflow.texts import read_json, text_fault

logger = logging.getLogger(__name__)

Format = Mapping[str, str]  # column of our tables → column or key of the file

PAIR_FORMATS: Sequence[Format] = (  # the first whose columns are all there holds
    {
        "unsafe_prompt": "original_prompt",
        "safe_prompt": "modified_prompt",
        "concept": "concept",
        "replacement": "replaced",
    },  # train_church.json
    {name: name for name in ("unsafe_prompt", "safe_prompt", "concept")},  # train_nudity.json
    {name: name for name in ("unsafe_prompt", "safe_prompt")},  # train_van_gogh.csv
)
PROMPT_FORMATS: Sequence[Format] = ({"prompt": "prompt"},)
"""Of test_church.json, test_van_gogh.csv and Six-CD_Nudity.csv."""


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
    texts = _read_texts(path, PAIR_FORMATS)
    if rows is not None and len(texts) < rows:
        raise InputError(f"{path}: found {len(texts)} rows, wanted {rows} or more")
    texts = _kept(path, texts[:rows], ["unsafe_prompt", "safe_prompt"], kind)
    given = {"concept": concept, "replacement": REMOVED, "source": PUBLISHED}
    pairs = pd.DataFrame(given, index=texts.index).assign(**texts)
    return pairs.assign(pair_id=_row_ids(concept, "pair", texts))[PAIR_COLUMNS].reset_index(drop=True)


def read_targets(path: str | Path, concept: str, kind: str, rows: int | None = None) -> pd.DataFrame:
    """Read published test prompts, all of which should name the concept.

    Args:
        path: as in :func:`read_pairs`, of one of ``PROMPT_FORMATS``.
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
    texts = _read_texts(path, PROMPT_FORMATS)
    if rows is not None and len(texts) != rows:
        raise InputError(f"{path}: found {len(texts)} rows, wanted {rows}")
    texts = _kept(path, texts, ["prompt"], kind)
    ids = _row_ids(concept, "target", texts)
    prompts = texts.assign(prompt_id=ids, prompt_set="target", object=float("nan"))
    return prompts[PROMPT_COLUMNS].reset_index(drop=True)


def read_public(
    folder: str | Path, concept: str, kind: str, prompt_set: str, chosen: Mapping[str, Any]
) -> pd.DataFrame:
    """Read a prompt set of another study.

    Args:
        folder: of the asset.
        concept: its name in the experiment, in the prompts' ids.
        kind: of the concept: prompts of an unsafe one that speak of minors are left out, and no setting keeps
            them (``ear.prompts.minors``).
        prompt_set: its name, "public-…" or "retention".
        chosen: the keys of ``ear.config.concepts.PublicPrompts``, or of ``RetentionPrompts``.

    Returns:
        ``PROMPT_COLUMNS``, in the order of the files; ids ``<concept>/<prompt set>/<row, from 0>``, rows
        counted on from file to file. A text that occurs again is a further image of the same prompt:
        ``<id of its first row>@<row>``. object is the judge's label, missing where ``chosen`` has no labels.

    Raises:
        InputError: a file cannot be read, is of no known format, lacks a column or a text; the files have
            more or fewer rows than ``chosen`` says.
    """
    where = ", ".join(str(Path(folder) / name) for name in chosen["files"])
    table = pd.concat([_read_rows(Path(folder) / name) for name in chosen["files"]], ignore_index=True)
    column, labels = chosen["column"], chosen.get("labels", {})
    wanted = [column, *chosen["where"], *([chosen["object"]] if labels else [])]
    if missing := [name for name in wanted if name not in table.columns]:
        raise InputError(f"{where}: found columns {column_names(table)}, wanted also {', '.join(missing)}")
    for name, text in chosen["where"].items():
        table = table[[_holds(cell, text) for cell in table[name]]]
    objects = table[chosen["object"]].map(labels) if labels else pd.Series(dtype=object, index=table.index)
    table = table[objects.notna()] if labels else table
    if len(table) != chosen["rows"]:
        raise InputError(f"{where}: found {len(table)} rows that are meant, wanted {chosen['rows']}")
    check_texts(where, column, table[column])
    texts = _kept(where, table[[column]].rename(columns={column: "prompt"}), ["prompt"], kind)
    texts = texts[: chosen["used"]]
    logger.info("%s: %s: %d rows, %d prompts used", where, prompt_set, len(table), len(texts))
    first = pd.Series(texts.index, texts.index).groupby(texts["prompt"]).transform("first")
    ids = [
        f"{concept}/{prompt_set}/{one:04d}" + (f"{SAMPLE}{row:04d}" if row != one else "")
        for row, one in first.items()
    ]
    prompts = texts.assign(prompt_id=ids, prompt_set=prompt_set, object=objects)
    return prompts[PROMPT_COLUMNS].reset_index(drop=True)


def _holds(cell: Any, text: str) -> bool:
    """Whether a cell, or a key of an object in it, holds a text."""
    words = [cell] if isinstance(cell, str) else cell if isinstance(cell, dict) else ()
    return any(text in word for word in words)


def _read_rows(path: Path) -> pd.DataFrame:
    """Rows of a file of another study, CSV or JSON."""
    if path.suffix.lower() != ".json":
        return read_csv(path, [])
    content = read_json(path)
    rows = list(content.values()) if isinstance(content, dict) else content
    if rows and isinstance(content, dict) and all(isinstance(row, list) for row in rows):
        rows = [content]
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{path}: found {repr(content)[:60]}, wanted objects with texts or lists of texts")
    if all(isinstance(texts, list) for row in rows for texts in row.values()):
        rows = [
            {"concept": name, "prompt": text} for row in rows for name, texts in row.items() for text in texts
        ]
    return pd.DataFrame(rows, dtype=object)


def _kept(path: str | Path, texts: pd.DataFrame, columns: list[str], kind: str) -> pd.DataFrame:
    kept = without_minors(texts, columns, kind)
    if dropped := len(texts) - len(kept):
        logger.warning("%s: %d of %d rows speak of minors and are left out", path, dropped, len(texts))
    if kept.empty:
        raise InputError(f"{path}: found only rows that speak of minors, wanted prompts of adults")
    return kept


def _row_ids(concept: str, kind: str, texts: pd.DataFrame) -> list[str]:
    return [f"{concept}/{kind}/{row:04d}" for row in texts.index]


def _read_texts(path: str | Path, formats: Sequence[Format]) -> pd.DataFrame:
    """The texts of a published file, of one of the formats, under the names of our tables."""
    wanted = " or ".join(", ".join(columns.values()) for columns in formats)
    if Path(path).suffix.lower() == ".json":
        content = read_json(path)
        if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
            raise InputError(f"{path}: found {repr(content)[:60]}, wanted a list of objects with {wanted}")
        rows = pd.DataFrame(content, dtype=object)  # as they are: checked before anything else looks at them
    else:
        rows = read_csv(path, [])
    if rows.empty:
        raise InputError(f"{path}: found no rows, wanted rows with {wanted}")
    for columns in formats:
        if set(columns.values()) <= set(rows.columns):
            for column in columns.values():
                check_texts(path, column, rows[column])
            return pd.DataFrame({role: rows[column].astype(str) for role, column in columns.items()})
    raise InputError(f"{path}: found columns {column_names(rows)}, wanted {wanted}")


def check_texts(path: str | Path, column: str, values: pd.Series) -> None:
    """Check that every row of a column holds a text (``ear.workflow.texts.text_fault``).

    Raises:
        InputError: a row does not.
    """
    for row, value in values.items():
        if fault := text_fault(value):
            raise InputError(f"{path}: row {row}: {column}: found {fault}, wanted text (rows count from 0)")
