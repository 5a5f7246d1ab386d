"""The authors' published weights as a method of their own: found in a download, written as an adapter.

What the files of the download are called is not known beforehand, so each concept names one by a pattern.
"""

import os
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pandas as pd

from ear.erasure.authors import import_authors_weights
from ear.erasure.windows import WINDOW_COLUMNS
from ear.errors import InputError
from ear.files import sha256_file, write_csv
from ear.janus import Backbone
from ear.weights import PICKLE_STARTS

LAST_WEIGHTS = ("ft_model_ear_church.pt", "ft_model_ear_nudity.pt", "ft_model_ear_van_gogh.pt")
LISTED = 8  # files that an error names; it counts the others


def import_published(
    folder: str | Path,
    pattern: str,
    backbone: Backbone,
    window: int,
    facts: Mapping[str, Any],
    out_folder: str | Path,
) -> None:
    """Make an adapter of one of the authors' files, and the list of windows that rendering reads.

    Writes adapter.safetensors, in the backbone's dtype, and, last, windows.csv.

    Args:
        folder: where the download is.
        pattern: of the file, as :func:`find_weights` takes it.
        backbone: the frozen model that the weights belong to.
        window: W that the paper names for the concept; the files do not hold it.
        facts: what the adapter's metadata should say: ``concept`` and ``method`` at least.
        out_folder: where the files go.

    Raises:
        InputError: the pattern fits no file or several, or the file is not of the authors' format or does not
            fit the backbone.
    """
    adapter = Path(out_folder) / "adapter.safetensors"
    source = find_weights(folder, pattern)
    import_authors_weights(source, backbone, {**facts, "window": window}, adapter, convert=True)
    row = {"window": window, "own": True, "file": adapter.name, "sha256": sha256_file(adapter)}
    write_csv(adapter.with_name("windows.csv"), pd.DataFrame([row], columns=WINDOW_COLUMNS))


def find_weights(folder: str | Path, pattern: str) -> Path:
    """The one file of torch.save in a folder, at any depth, whose path fits a pattern.

    Where several fit and one of them has a name that the release gives to its last weights, that one is
    taken: it writes those of training's middle beside it (`ft_model_ear_church_d5_i286.pt`).

    Args:
        folder: its symbolic links are followed.
        pattern: a shell pattern ("*church*") for the path inside of the folder, compared without case; ``*``
            stands for slashes too.

    Raises:
        InputError: none fits, or several do.
    """
    saved = sorted(_saved_files(Path(folder)))
    fitting = [name for name in saved if fnmatchcase(name.lower(), pattern.lower())]
    if len(fitting) > 1:
        fitting = [name for name in fitting if name.rsplit("/", 1)[-1] in LAST_WEIGHTS] or fitting
    if len(fitting) == 1:
        return Path(folder) / fitting[0]
    found = f"{len(fitting)} files of torch.save that fit: " if fitting else "none among "
    raise InputError(
        f"{folder}: pattern {pattern!r}: found {found}{_listed(fitting or saved)}, wanted one that fits"
    )


def _saved_files(folder: Path) -> Iterator[str]:
    """Files that begin as torch.save's do, relative to the folder; hidden ones are left out."""
    for place, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(place, name)
            if not name.startswith(".") and path.is_file() and _starts_as_saved(path):
                yield path.relative_to(folder).as_posix()


def _starts_as_saved(path: Path) -> bool:
    with path.open("rb") as handle:
        return handle.read(4).startswith(PICKLE_STARTS)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"{', '.join(names[:LISTED])}{more}" if names else "no files of torch.save"
