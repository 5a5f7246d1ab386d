"""Hashes of an asset's files, and the lock file that remembers them from the first fetch on."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, StringConstraints, TypeAdapter, ValidationError

from ear.assets.catalogue import Asset
from ear.errors import InputError
from ear.files import sha256_file, write_json
from ear.progress import progress
from ear.texts import read_json


@dataclass(frozen=True)
class Measured:
    """Hash and size of a file, or of all files of a tree."""

    sha256: str
    bytes: int
    count: int | None = None
    """Number of files of a tree; none for a file."""


@dataclass(frozen=True)
class Entry:
    """What the lock knows of an asset."""

    revision: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    """Path inside of the asset's folder, "<folder>/" of a tree, or an archive's name → SHA-256."""


def files_of(asset: Asset, folder: Path) -> list[str]:
    """Paths, inside of an asset's folder, of the files that belong to it; hidden ones never do."""
    paths = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        at = Path(parent).relative_to(folder)
        paths += [(at / name).as_posix() for name in names if not name.startswith(".")]
    return sorted(path for path in paths if matches(path, asset.patterns))


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Whether a path fits one of the shell patterns."""
    return any(fnmatchcase(path, pattern) for pattern in patterns)


def missing(asset: Asset, paths: Iterable[str]) -> list[str]:
    """Those of an asset's needs that no path meets."""
    paths = list(paths)
    return [need for need in asset.needed if not any(matches(path, need.split("|")) for path in paths)]


def measure(
    asset: Asset, folder: Path, desc: str, hashed: Mapping[str, str] | None = None
) -> dict[str, Measured]:
    r"""Hash the files of an asset, each once.

    Args:
        asset: what to look for.
        folder: where its files are.
        desc: what the progress bar says.
        hashed: path → SHA-256 of files that were hashed a moment ago.

    Returns:
        Path → hash and size; the files of a tree stand under "<folder>/" with one digest: the SHA-256 over
        the sorted lines "<sha256>  <path>\n", the path as seen from the asset's folder.
    """
    known = hashed or {}
    found: dict[str, Measured] = {}
    trees: dict[str, dict[str, Measured]] = {tree: {} for tree in asset.trees}
    for path in progress(files_of(asset, folder), desc, unit="file"):
        one = Measured(known.get(path) or sha256_file(folder / path), (folder / path).stat().st_size)
        trees.get(path.split("/", 1)[0] + "/", found)[path] = one
    for tree, members in trees.items():
        if members:
            lines = sorted(f"{one.sha256}  {path}\n" for path, one in members.items())
            digest = hashlib.sha256("".join(lines).encode()).hexdigest()
            found[tree] = Measured(digest, sum(one.bytes for one in members.values()), len(members))
    return found


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    revision: str | None
    files: dict[str, Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]]


def read_lock(path: str | Path) -> dict[str, Entry]:
    """Read the lock; one that is not there yet knows nothing.

    Raises:
        InputError: it is not JSON of the form {asset: {"revision": …, "files": {path: sha256}}}.
    """
    if not Path(path).exists():
        return {}
    raw = read_json(path, "wanted the lock of assets")
    try:
        entries = TypeAdapter(dict[str, _Entry]).validate_python(raw)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise InputError(f"{path}: {key}: found {str(first['input'])[:60]}, wanted: {first['msg']}") from None
    return {name: Entry(entry.revision, entry.files) for name, entry in entries.items()}


def record(path: str | Path, name: str, revision: str | None, files: Mapping[str, str]) -> None:
    """Add to what the lock knows of an asset; jobs that do so at once do not lose each other's entries.

    A lock that knows all of it already is not written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with guard(path):
        lock = read_lock(path)
        before = lock.get(name)
        known = before or Entry()
        after = Entry(revision or known.revision, {**known.files, **files})
        if after != before:
            lock[name] = after
            write_json(
                path, {key: {"revision": e.revision, "files": dict(e.files)} for key, e in lock.items()}
            )


def guard(path: Path) -> FileLock:
    """A lock between processes, also of other machines on a shared file system, around changes of a path."""
    return FileLock(path.with_name(f".{path.name}.guard"))
