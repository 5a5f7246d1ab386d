"""Files that appear whole or not at all, and tables that are checked when read."""

import csv
import glob
import hashlib
import io
import json
import os
import shutil
import socket
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from ear.errors import InputError, one_line
from ear.workflow.texts import read_text

PARTIAL = ".partial-"
REPLACED = "-replaced"


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Write a file or folder in a hidden place; it gets to ``path`` when the block ends without an error.

    Its bytes are on the disk before that: a machine that loses power leaves no empty file under a finished
    name. The hidden name carries process and machine, so two jobs never share one; what a killed job left is
    removed by the next one that writes the same path. Missing parents are made.

    Yields:
        The place to write to, on the same file system.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_partials(path.parent, path.name)
    own = _partial(path)  # a folder: libraries leave temporary files of their own beside what they write
    partial, replaced = own / path.name, path.parent / f"{own.name}{REPLACED}"
    try:
        own.mkdir()
        yield partial
        _settle(partial)
        if path.is_dir() and partial.exists():
            # Aside and whole: nothing can be put over a folder that holds something.
            os.replace(path, replaced)
        os.replace(partial, path)
    finally:
        _remove(own)
        _remove(replaced)


@contextmanager
def put_file(path: Path) -> Iterator[Path]:
    """``atomic_path`` for one of many files: the folder is there, and partial files are not looked for.

    Looking through the folder for each file would take quadratic time: call ``remove_partials`` once before.
    """
    partial = _partial(path)
    try:
        yield partial
        _settle(partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def remove_partials(folder: Path, name: str | None = None) -> None:
    """Remove what killed jobs left half-written in a folder, of all names or of one."""
    for found in folder.glob(f".{glob.escape(name) if name else '*'}{PARTIAL}*"):
        if not _at_work(found):
            _remove(found)


def _partial(path: Path) -> Path:
    """Where a file, or the folder of one, is while it is written."""
    return path.parent / f".{path.name}{PARTIAL}{os.getpid()}@{socket.gethostname()}"


def _at_work(partial: Path) -> bool:
    """Whether another process of this machine writes it: a job outlives a Snakemake that was killed."""
    process, _, machine = partial.name.rpartition(PARTIAL)[2].removesuffix(REPLACED).partition("@")
    if machine != socket.gethostname() or int(process) == os.getpid():
        return False
    try:
        os.kill(int(process), 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)
    return True


def _settle(path: Path) -> None:
    """Flush files, and give them the usual mode: safetensors writes them for their owner alone."""
    mask = os.umask(0)
    os.umask(mask)
    for file in path.rglob("*") if path.is_dir() else (path,):
        if file.is_file() and not file.is_symlink():
            file.chmod(0o666 & ~mask)
            with open(file, "rb") as handle:
                os.fsync(handle.fileno())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_csv(path: str | Path, frame: pd.DataFrame) -> None:
    """Write a table as UTF-8 CSV with a header and Unix line ends, without the index, atomically."""
    # Before Python 3.13 a lone carriage return gets no quotes, and readers take it for the end of a row.
    returns = any("\r" in str(cell) for cell in frame.select_dtypes(exclude="number").to_numpy().flat)
    quoting: Literal[0, 2] = csv.QUOTE_NONNUMERIC if returns else csv.QUOTE_MINIMAL
    with atomic_path(path) as partial:
        frame.to_csv(partial, index=False, lineterminator="\n", quoting=quoting)


def read_csv(path: str | Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a UTF-8 CSV in which only empty cells are missing values: "None" and "NA" are words.

    Args:
        path: the file.
        columns: names that must be there; further columns are kept.

    Raises:
        InputError: the file is missing, empty, not UTF-8, not CSV, names a column twice, lacks a
            column or holds a NUL.
    """
    wanted = "wanted a CSV file" + (f" with columns {', '.join(columns)}" if columns else "")
    text = read_text(path, wanted)
    before, nul, _ = text.partition("\0")
    if nul:  # pandas ends a cell there
        line = before.count("\n") + 1
        raise InputError(f"{path}:{line}: found a NUL character, {wanted}")
    try:
        names = next((row for row in csv.reader(io.StringIO(text)) if row), [])
        with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
            frame = pd.read_csv(
                io.StringIO(text.rstrip("\r\n") + "\n"),
                keep_default_na=False,
                na_values=[""],
                index_col=False,  # else a row with one cell too many moves all its cells by one column
                skip_blank_lines=False,  # else the rows below one get other numbers
            )
    except pd.errors.EmptyDataError:
        raise InputError(f"{path}: empty, {wanted}") from None
    except pd.errors.ParserWarning:
        raise InputError(f"{path}: found rows with more cells than the header, {wanted}") from None
    except (pd.errors.ParserError, csv.Error) as error:
        raise InputError(f"{path}: not CSV ({one_line(error)}), {wanted}") from None
    twice = [name for name, count in Counter(names).items() if name and count > 1]
    if twice:  # pandas would call the second one "prompt.1"
        raise InputError(f"{path}: found column {twice[0]!r} {names.count(twice[0])} times, wanted it once")
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise InputError(f"{path}: found columns {column_names(frame)}, wanted also {', '.join(missing)}")
    return frame


def column_names(frame: pd.DataFrame) -> str:
    """A table's columns in one line, for a message: a quoted name may hold a line break."""
    return one_line(", ".join(map(str, frame.columns)))


def write_json(path: str | Path, value: Any) -> None:
    """Write indented JSON with sorted keys, atomically."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text, atomically."""
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")


def sha256_file(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def sha256_lines(hashes: Mapping[str, str]) -> str:
    r"""One SHA-256 of name → SHA-256: the sorted lines "<sha256>  <name>\n" that sha256sum writes."""
    lines = sorted(f"{sha256}  {name}\n" for name, sha256 in hashes.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def load_template(
    path: Path, filters: dict[str, Callable[..., Any]] | None = None, **options: Any
) -> Template:
    """Load a template that stands beside its module, with further filters and options of jinja2's."""
    environment = Environment(
        loader=FileSystemLoader(path.parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **options,
    )
    environment.filters |= filters or {}
    return environment.get_template(path.name)
