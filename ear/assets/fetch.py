"""Fetch an asset, check every file of it, and link it into an experiment with a record of what it is."""

import importlib.metadata
import importlib.util
import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ear.assets.catalogue import Asset, Download, Hub, Package, Repository, Urls
from ear.assets.download import PAUSES_S, Unreachable, download, put_in_place
from ear.assets.hub import fetch_hub, fetched
from ear.assets.lock import Entry, Measured, files_of, guard, measure, missing, read_lock, record
from ear.errors import InputError
from ear.files import put_file, remove_partials, write_json
from ear.weights import fault, one_line

RECORD = "asset.json"
CARD = "README.md"
"""Of a model of this repository, for people: not part of the asset, and free to be edited."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """A folder that holds an asset, and what is known of its files from having fetched them just now."""

    folder: Path
    revision: str | None
    hashed: Mapping[str, str] = field(default_factory=dict)
    """Path, or archive → its SHA-256, computed during the download."""
    stated: Mapping[str, str] = field(default_factory=dict)
    """Path → SHA-256 as the source states it."""
    source: str | None = None
    """Where the files are from, in words, where that is not the asset's source."""


def fetch_asset(
    name: str,
    asset: Asset,
    link_folder: str | Path,
    *,
    root: str | None,
    store: str,
    lock: str,
    stand_ins: bool = False,
    pauses: Sequence[float] = PAUSES_S,
) -> Path:
    """Put an asset at the disposal of an experiment.

    With ``root`` it is used from there, in place. Otherwise it is taken from the store, and downloaded to it
    if it is not there yet; of several jobs that want it at once, one downloads and the others wait. What this
    repository holds is used from there, in place.

    Every file is hashed and compared: with the catalogue's hash, else with the lock's, else with what the hub
    states; what the lock did not know is recorded in it. Of an asset of this repository the catalogue alone
    decides; another training of it, in ``root``, may have any hashes.

    Args:
        name: the asset's name.
        asset: its entry in the catalogue.
        link_folder: gets a link to each top-level entry, and last ``asset.json``.
        root: folder that holds assets, each in a folder of its name; in place of the network.
        store: folder of downloads, shared by experiments.
        lock: file of hashes and revisions.
        stand_ins: root holds stand-ins for the real files: the lock alone decides, and must know them all.
        pauses: seconds between tries of a download.

    Returns:
        The path of ``asset.json``.

    Raises:
        InputError: the asset is neither in root nor to be had, or a file is not what it was. One line.
    """
    if isinstance(asset.source, Repository):
        own = _retrained(name, asset, root) if root else _in_repository(asset)
        _check_kinds(asset, own)
        found = measure(asset, own.folder, f"checking {name}")
        if not root:
            _check_own(name, asset, own, found)
        return _link(name, asset, own, found, Path(link_folder), stand_in=False)
    entry = read_lock(lock).get(name, Entry())
    packaged = isinstance(asset.source, Package) and not (root and (Path(root) / name).is_dir())
    stand_in = stand_ins and not packaged
    downloads = not (packaged or root)
    wanted = dict(entry.files) | ({} if stand_in else {p: h for p, h in asset.sha256.items() if h})
    with guard(_made(Path(store)) / name) if downloads else nullcontext():
        if packaged:
            place = _in_package(name, asset)
        elif root:
            place = Place(_in_root(name, asset, root), _revision(name, asset, entry, lock, stand_in))
        else:
            place = _in_store(name, asset, store, _revision(name, asset, entry, lock), wanted, pauses)
        _check_kinds(asset, place)
        found = measure(asset, place.folder, f"checking {name}", place.hashed)
    archives = {path: place.hashed[path] for path in asset.archives if path in place.hashed}
    _check(name, asset, place, found, wanted, lock, stand_in)
    if not stand_ins:
        record(lock, name, place.revision, archives | {path: one.sha256 for path, one in found.items()})
    return _link(name, asset, place, found, Path(link_folder), stand_in)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _revision(name: str, asset: Asset, entry: Entry, lock: str, stand_in: bool = False) -> str | None:
    """The commit that is wanted of a hub's repository: the catalogue's, else the lock's."""
    pinned = asset.source.revision if isinstance(asset.source, Hub) and not stand_in else None
    if pinned and entry.revision not in (None, pinned):
        raise InputError(
            f"{lock}: {name}: found revision {entry.revision}, wanted {pinned} as in the catalogue; "
            f"remove {name} from the lock if the catalogue's is meant"
        )
    return pinned or entry.revision


def _in_package(name: str, asset: Asset) -> Place:
    """The folder, inside of an installed package, that holds a packaged asset."""
    assert isinstance(asset.source, Package)
    spec = importlib.util.find_spec(asset.source.package)
    for location in (spec and spec.submodule_search_locations) or ():
        if (file := Path(location) / asset.source.file).is_file():
            return Place(file.parent, importlib.metadata.version(asset.source.package))
    raise InputError(f"{name}: found no {asset.source.words}, wanted it: pip install {asset.source.package}")


def _in_repository(asset: Asset) -> Place:
    """The folder of this repository that holds an asset: all files of the catalogue, and no others."""
    assert isinstance(asset.source, Repository)
    folder, shown = asset.source.path, asset.source.folder
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    if lacking := missing(asset, there):
        found = f"found no {', '.join(lacking)}" if folder.is_dir() else "not found"
        raise InputError(f"{shown}: {found}, wanted {asset.title}: git checkout {shown}")
    if further := sorted(there - asset.sha256.keys() - {CARD}):
        raise InputError(f"{shown}/{further[0]}: found no sha256 in the catalogue, wanted one")
    return Place(folder, None)


def _retrained(name: str, asset: Asset, root: str) -> Place:
    """A folder with another training of what this repository holds."""
    return Place(_in_root(name, asset, root), None, source=f"assets.root, in place of {asset.source.words}")


def _check_own(name: str, asset: Asset, place: Place, found: Mapping[str, Measured]) -> None:
    """Files of this repository are those that the catalogue says."""
    assert isinstance(asset.source, Repository)
    folder = asset.source.folder
    for path, one in found.items():
        if one.sha256 != (right := asset.sha256[path]):
            raise InputError(
                f"{folder}/{path}: found sha256 {one.sha256}, wanted {right} (catalogue): "
                f"git checkout {folder}; if the change is meant, set {name}.sha256 in the catalogue"
            )


def _in_root(name: str, asset: Asset, root: str) -> Path:
    folder = Path(root) / name
    if lacking := missing(asset, files_of(asset, folder)):
        found = f"found no {', '.join(lacking)}" if folder.is_dir() else "not found"
        raise InputError(
            f"{folder}: {found}, wanted {asset.title}: {', '.join(asset.needed)}, from {asset.source.words}"
        )
    return folder


def _in_store(
    name: str,
    asset: Asset,
    store: str,
    revision: str | None,
    wanted: Mapping[str, str],
    pauses: Sequence[float],
) -> Place:
    """The asset's folder in the store, filled if it is not whole."""
    folder = _made(Path(store) / name)
    try:
        if isinstance(asset.source, Hub):
            place = _from_hub(asset.source, folder, revision, pauses)
        else:
            place = _from_web(asset, folder, wanted, pauses)
    except (Unreachable, InputError, OSError) as error:
        raise InputError(
            f"{name}: {one_line(error)}; or put {', '.join(asset.needed)} into "
            f"<folder>/{name}/ and name that folder in assets.root"
        ) from None
    if lacking := missing(asset, files_of(asset, folder)):
        raise InputError(f"{folder}: found no {', '.join(lacking)}, wanted it from {asset.source.words}")
    return place


def _from_hub(source: Hub, folder: Path, revision: str | None, pauses: Sequence[float]) -> Place:
    held = fetched(folder)
    if held and revision not in (None, held):
        raise InputError(
            f"{folder}: found commit {held}, wanted {revision}: remove the folder to fetch that one"
        )
    if held:
        return Place(folder, held)
    commit, stated = fetch_hub(source, revision, folder, pauses)
    return Place(folder, commit, stated=stated)


def _from_web(asset: Asset, folder: Path, wanted: Mapping[str, str], pauses: Sequence[float]) -> Place:
    assert isinstance(asset.source, Urls)
    try:
        return _downloaded(asset, asset.source.downloads, folder, wanted, pauses)
    except (Unreachable, InputError) as error:
        if not asset.source.fallback:
            raise
        first = one_line(error)
        logger.warning("%s; trying %s", first, asset.source.fallback[0].url)
    try:
        return _downloaded(asset, asset.source.fallback, folder, wanted, pauses)
    except (Unreachable, InputError) as error:
        raise InputError(f"{first}; and then {one_line(error)}") from None


def _downloaded(
    asset: Asset,
    downloads: Sequence[Download],
    folder: Path,
    wanted: Mapping[str, str],
    pauses: Sequence[float],
) -> Place:
    hashed = {}
    for source in downloads:
        there = (
            not missing(asset, files_of(asset, folder)) if source.unpack else (folder / source.file).exists()
        )
        if not there:
            whole, hashed[source.file] = download(source, folder, wanted.get(source.file), pauses)
            put_in_place(source, whole, folder)
    return Place(folder, None, hashed)


def _check_kinds(asset: Asset, place: Place) -> None:
    """Refuse files that are not what their names say, before the lock would take their hashes for right."""
    for path in files_of(asset, place.folder):
        plain = (place.folder / path).is_file()  # no pipe, no link to nothing or to itself
        if found := fault(place.folder / path) if plain else "no plain file":
            raise InputError(
                f"{place.folder / path}: found {found}, wanted that of {asset.title}; remove it, and run "
                f"again or put the file of {asset.source.words} there"
            )


def _check(
    name: str,
    asset: Asset,
    place: Place,
    found: Mapping[str, Measured],
    wanted: Mapping[str, str],
    lock: str,
    stand_in: bool,
) -> None:
    """Compare hashes: all that is known of a file must agree with it, and no known file may be missing."""
    known = (path for path in wanted if path not in asset.archives)
    if absent := next((path for path in known if not (place.folder / path).exists()), None):
        raise InputError(
            f"{place.folder / absent}: not found, wanted it with sha256 {wanted[absent]} ({lock})"
        )
    for path, one in found.items():
        if stand_in and path not in wanted:
            raise InputError(
                f"{lock}: {name}: found no {path}, wanted its sha256: stand-ins are all in the lock"
            )
        right = wanted.get(path) or place.stated.get(path, one.sha256)
        if one.sha256 != right:
            by_catalogue = not stand_in and asset.sha256.get(path)
            origin = "catalogue" if by_catalogue else lock if path in wanted else "hub"
            meant = f"; if the change is meant, remove {name} from {lock}" if origin == lock else ""
            raise InputError(
                f"{place.folder / path}: found sha256 {one.sha256}, wanted {right} ({origin}): changed or "
                f"damaged; remove it, and run again or put back that of {asset.source.words}{meant}"
            )


def _link(
    name: str, asset: Asset, place: Place, found: Mapping[str, Measured], folder: Path, stand_in: bool
) -> Path:
    """Link the top-level entries into the experiment, then write the record.

    The record says nothing of where the files are, so that an experiment does not depend on it.
    """
    _made(folder)
    remove_partials(folder)
    entries = {path.split("/", 1)[0] for path in found}
    for link in folder.iterdir():
        if link.is_symlink() and link.name not in entries:
            link.unlink()
    here, link_from, link_to = Path.cwd().resolve(), folder.resolve(), place.folder.resolve()
    for entry in sorted(entries):
        target = link_to / entry
        inside = target.is_relative_to(here) and link_from.is_relative_to(here)
        with put_file(folder / entry) as partial:
            partial.symlink_to(os.path.relpath(target, link_from) if inside else target)
    files = {
        path: {key: value for key, value in asdict(one).items() if value is not None}
        for path, one in found.items()
    }
    write_json(
        folder / RECORD,
        {
            "asset": name,
            "source": place.source or asset.source.words,
            "revision": place.revision,
            "licence": asset.licence,
            "stand_in": stand_in,
            "files": files,
        },
    )
    return folder / RECORD
