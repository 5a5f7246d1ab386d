"""Fetch an asset, check every file of it, and link it into an experiment with a record of what it is.

pooch and huggingface_hub download; they are imported where something is fetched, and nowhere else. The hub's
client goes on with a broken transfer, pooch begins it anew.
"""

import importlib.metadata
import importlib.util
import os
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from ear.errors import InputError, one_line
from ear.models.catalogue import Asset, Download, Hub, Package, Repository, Urls
from ear.models.lock import (
    MARKER,
    Entry,
    Measured,
    fetched,
    files_of,
    guard,
    matches,
    measure,
    missing,
    read_lock,
    record,
)
from ear.models.weights import fault
from ear.workflow.files import put_file, remove_partials, sha256_file, write_json
from ear.workflow.progress import Bar, progress

RECORD = "asset.json"
ATTEMPTS = 4  # of a download, with pauses of 1, 2 and 3 seconds
TIMEOUT_S = 60  # without a byte
CHUNK = 1 << 20  # bytes
HIDDEN = ".downloads"
"""Folder, in the asset's own, of what is not whole yet."""
SOURCES = CATALOGUE, HUB = "catalogue", "hub"
"""Who else than the lock knows a hash."""


def fetch_asset(
    name: str,
    asset: Asset,
    link_folder: str | Path,
    *,
    root: str | None,
    store: str,
    lock: str,
    stand_ins: bool = False,
) -> Path:
    """Put an asset at the disposal of an experiment.

    With ``root`` it is used from there, in place. Otherwise it is taken from the store, and downloaded to it
    if it is not there yet; of several jobs that want it at once, one downloads and the others wait. What this
    repository or an installed package holds is used from there, in place.

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
        stand_ins: root holds stand-ins for the real files, whose hashes the lock knows.

    Returns:
        The path of ``asset.json``.

    Raises:
        InputError: the asset is neither in root nor to be had, or a file is not what it was. One line.
    """
    source = asset.source
    own = isinstance(source, Repository)
    packaged = isinstance(source, Package) and not (root and (Path(root) / name).is_dir())
    stand_in = stand_ins and not own and not packaged
    entry = (None if own else read_lock(lock).get(name)) or Entry(revision=None, files={})
    wanted = {path: (digest, lock) for path, digest in entry.files.items()}
    if not (stand_in or (own and root)):
        wanted |= {path: (digest, CATALOGUE) for path, digest in asset.sha256.items() if digest}
    revision, archives = entry.revision, dict[str, str]()
    if isinstance(source, Hub) and source.revision and not stand_in:
        if revision not in (None, source.revision):
            raise InputError(
                f"{lock}: {name}: found revision {revision}, wanted {source.revision} as in the catalogue; "
                f"remove {name} from the lock if the catalogue's is meant"
            )
        revision = source.revision
    if isinstance(source, Package) and packaged:
        folder, revision = _in_package(name, source)
    elif isinstance(source, Repository) and not root:
        folder = source.path
    elif root:
        folder = Path(root) / name
    else:
        folder = Path(store) / name
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with guard(folder):
                if isinstance(source, Hub):
                    revision, stated = _from_hub(source, asset, folder, revision)
                    wanted = {path: (digest, HUB) for path, digest in stated.items()} | wanted
                elif isinstance(source, Urls):
                    known = {path: digest for path, (digest, _) in wanted.items()}
                    archives = _from_web(source, asset, folder, known)
        except (InputError, OSError) as error:
            raise InputError(
                f"{name}: {one_line(error, 600)}; or put {', '.join(asset.needed)} into <folder>/{name}/ and "
                "name that folder in assets.root"
            ) from None
    _check_kinds(asset, folder)
    found = measure(asset, folder, f"checking {name}")
    _check_hashes(name, asset, folder, found, wanted)
    if not (own or stand_ins):
        record(lock, name, revision, archives | {path: one.sha256 for path, one in found.items()})
    origin = f"assets.root, in place of {asset.origin}" if own and root else asset.origin
    facts = {"asset": name, "source": origin, "revision": revision, "licence": asset.licence}
    return _link(folder, found, Path(link_folder), facts | {"stand_in": stand_in})


def _in_package(name: str, source: Package) -> tuple[Path, str]:
    """The folder, inside of an installed package, that holds an asset; and the package's version."""
    spec = importlib.util.find_spec(source.package)
    for location in (spec and spec.submodule_search_locations) or ():
        if (file := Path(location) / source.file).is_file():
            return file.parent, importlib.metadata.version(source.package)
    raise InputError(f"{name}: found no {source.file}, wanted its package: pip install {source.package}")


def _from_hub(source: Hub, asset: Asset, folder: Path, revision: str | None) -> tuple[str, dict[str, str]]:
    """Have the files of one commit, or of the newest one, in a folder.

    Returns:
        The commit, and the hub's own SHA-256 of its large files (path → hash).
    """
    if (held := fetched(folder)) and not missing(asset, folder):
        if revision not in (None, held):
            raise InputError(
                f"{folder}: found commit {held}, wanted {revision}: remove the folder and run again"
            )
        return held, {}
    from huggingface_hub import HfApi, snapshot_download

    with hub_errors(source):
        info = HfApi().model_info(source.repo, revision=revision, files_metadata=True)
        commit = str(info.sha)
        files = [file for file in info.siblings or [] if matches(file.rfilename, source.files)]
        snapshot_download(
            source.repo, revision=commit, local_dir=folder, allow_patterns=source.files, tqdm_class=Bar
        )
    sizes = {file.rfilename: (folder / file.rfilename).stat().st_size for file in files}
    write_json(folder / MARKER, {"revision": commit, "files": sizes})
    return commit, {file.rfilename: file.lfs.sha256 for file in files if file.lfs}


@contextmanager
def hub_errors(source: Hub) -> Iterator[None]:
    """Turn what the hub's client raises into one line."""
    import httpx2
    from huggingface_hub.errors import GatedRepoError

    where = f"Hugging Face hub, {source.repo}"
    try:
        yield
    except GatedRepoError:
        raise InputError(
            f"{where}: access is restricted, wanted a login: accept the licence at "
            f"https://huggingface.co/{source.repo}, then run `hf auth login` or set HF_TOKEN"
        ) from None
    except (OSError, httpx2.HTTPError) as error:
        raise InputError(
            f"{where}: found {type(error).__name__} ({one_line(error)}), wanted its files"
        ) from None


def _from_web(source: Urls, asset: Asset, folder: Path, known: Mapping[str, str]) -> dict[str, str]:
    """Have the downloads in a folder, archives unpacked; the SHA-256 of archives that came now."""
    archives = {}
    for one in source.downloads:
        if one.unpack and missing(asset, folder):
            whole = _download(one, folder / HIDDEN, known.get(one.file))
            archives[one.file] = sha256_file(whole)
            _unpack(one, whole, folder)
        elif not one.unpack and not (folder / one.file).exists():
            os.replace(_download(one, folder / HIDDEN, known.get(one.file)), folder / one.file)
    shutil.rmtree(folder / HIDDEN, ignore_errors=True)
    return archives


def _download(source: Download, folder: Path, wanted: str | None) -> Path:
    """Fetch one file, of a hash where that is known, to a folder of what is not whole yet."""
    import pooch
    import requests

    shutil.rmtree(folder, ignore_errors=True)
    pooch.get_logger().setLevel("WARNING")  # it writes to the terminal
    fetcher = pooch.create(
        path=folder,
        base_url="",
        registry={source.file: wanted and f"sha256:{wanted}"},
        urls={source.file: source.url},
        retry_if_failed=ATTEMPTS - 1,
    )
    try:
        # pooch sets the total.
        with Bar(total=1, desc=f"fetching {source.file}", unit="B", unit_scale=True) as bar:
            downloader = pooch.HTTPDownloader(progressbar=bar, chunk_size=CHUNK, timeout=TIMEOUT_S)
            whole = Path(fetcher.fetch(source.file, downloader=downloader))
    except (requests.RequestException, ValueError) as error:  # the latter: another hash
        raise InputError(f"{source.url}: {one_line(error)}") from None
    if found := fault(whole):
        raise InputError(f"{source.url}: found {found}, wanted {source.file}")
    return whole


def _unpack(source: Download, archive: Path, folder: Path) -> None:
    """Unpack what is wanted of an archive: all or nothing. zipfile keeps members inside of the folder."""
    unpacked, patterns = archive.with_suffix(".unpacked"), source.unpack or []
    try:
        with zipfile.ZipFile(archive) as content:
            members = [name for name in content.namelist() if matches(name, patterns) and name[-1] != "/"]
            for member in progress(members, f"unpacking {source.file}", unit="file"):
                content.extract(member, unpacked)
    except zipfile.BadZipFile as error:
        raise InputError(f"{source.url}: not a whole zip archive ({error}), wanted {source.file}") from None
    if not members:
        raise InputError(f"{source.url}: found no file like it in the archive, wanted {', '.join(patterns)}")
    for entry in unpacked.iterdir():
        shutil.rmtree(folder / entry.name, ignore_errors=True)
        os.replace(entry, folder / entry.name)


def _check_kinds(asset: Asset, folder: Path) -> None:
    """Refuse a folder that lacks files, or has some that are not what their names say.

    Otherwise the lock would take their hashes for right.
    """
    if lacking := missing(asset, folder):
        found = f"found no {', '.join(lacking)}" if folder.is_dir() else "not found"
        raise InputError(
            f"{folder}: {found}, wanted {asset.title}: {', '.join(asset.needed)}: {_remedy(asset)}"
        )
    for path in files_of(asset, folder):
        plain = (folder / path).is_file()  # no pipe, no link to nothing or to itself
        if kind := fault(folder / path) if plain else "no plain file":
            raise InputError(
                f"{folder / path}: found {kind}, wanted that of {asset.title}; remove it and run again, or "
                f"{_remedy(asset)}"
            )


def _check_hashes(
    name: str,
    asset: Asset,
    folder: Path,
    found: Mapping[str, Measured],
    wanted: Mapping[str, tuple[str, str]],
) -> None:
    """Compare hashes: what is known of a file, path → (hash, who says so), must be true of the one found."""
    for path, (digest, origin) in wanted.items():
        if path in asset.archives or (path in found and found[path].sha256 == digest):
            continue
        there = f"found sha256 {found[path].sha256}" if path in found else "not found"
        meant = f"; if the change is meant, remove {name} from {origin}" if origin not in SOURCES else ""
        raise InputError(
            f"{folder / path}: {there}, wanted sha256 {digest} ({origin}): changed or damaged; "
            f"remove it and run again, or {_remedy(asset)}{meant}"
        )


def _remedy(asset: Asset) -> str:
    """How its files come back."""
    if isinstance(asset.source, Repository):
        return f"git checkout {asset.source.folder}"
    return f"get it from {asset.origin}"


def _link(folder: Path, found: Mapping[str, Measured], links: Path, facts: Mapping[str, object]) -> Path:
    """Link the top-level entries into the experiment, then write the record.

    The record says nothing of where the files are, so that an experiment does not depend on it.
    """
    links.mkdir(parents=True, exist_ok=True)
    remove_partials(links)
    entries = {path.split("/", 1)[0] for path in found}
    for link in links.iterdir():
        if link.is_symlink() and link.name not in entries:
            link.unlink()
    here, link_from, link_to = Path.cwd().resolve(), links.resolve(), folder.resolve()
    for entry in sorted(entries):
        target = link_to / entry
        inside = target.is_relative_to(here) and link_from.is_relative_to(here)
        with put_file(links / entry) as partial:
            partial.symlink_to(os.path.relpath(target, link_from) if inside else target)
    files = {
        path: {key: value for key, value in asdict(one).items() if value is not None}
        for path, one in found.items()
    }
    write_json(links / RECORD, {**facts, "files": files})
    return links / RECORD
