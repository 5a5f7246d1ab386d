"""Files of the web: retried, resumed, checked before they take their names; zip archives unpacked safely."""

import logging
import os
import re
import shutil
import stat
import time
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TypeVar

import requests

from ear.assets.catalogue import Download
from ear.errors import InputError
from ear.files import sha256_file
from ear.progress import progress
from ear.weights import fault

T = TypeVar("T")
logger = logging.getLogger(__name__)

PAUSES_S = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Waiting times before a transfer is tried again: a minute in all."""
TIMEOUT_S = (15, 60)
"""To connect, and between two pieces."""
CHUNK = 1 << 20
HIDDEN = ".downloads"
"""Folder, in the asset's own, of what is not whole yet."""
UNFINISHED = (requests.codes.request_timeout, requests.codes.too_many_requests)


class Unreachable(Exception):
    """The network or the server failed, this time."""


def retry(call: Callable[[], T], pauses: Sequence[float], grown: Callable[[], bool] = lambda: False) -> T:
    """Call again, after a pause, as long as the network fails.

    Args:
        call: what to do; a passing failure is an :class:`Unreachable`.
        pauses: seconds before each further try; after the last the failure is passed on.
        grown: whether the failed call got further than the one before: then the count of tries starts anew.
    """
    left = list(pauses)
    while True:
        try:
            return call()
        except Unreachable as error:
            left = list(pauses) if grown() else left
            if not left:
                raise
            logger.warning("%s; trying again in %g s", error, left[0])
            time.sleep(left.pop(0))


def download(source: Download, folder: Path, wanted: str | None, pauses: Sequence[float]) -> tuple[Path, str]:
    """Fetch one file to the hidden folder of an asset, going on from what an earlier try left there.

    Args:
        source: address and, where known, size.
        folder: the asset's folder.
        wanted: SHA-256, where known.
        pauses: see :func:`retry`.

    Returns:
        The whole file, not yet at its place (see :func:`put_in_place`), and its SHA-256.

    Raises:
        Unreachable: the network failed, at every try.
        InputError: the server refuses, or what it sent is not what is wanted.
    """
    part = folder / HIDDEN / f"{source.file}.part"
    part.parent.mkdir(parents=True, exist_ok=True)
    largest = 0

    def grown() -> bool:
        nonlocal largest
        before, largest = largest, max(largest, part.stat().st_size if part.exists() else 0)
        return largest > before

    retry(lambda: _receive(source.url, part), pauses, grown)
    if kind := fault(part, Path(source.file).suffix.lower()):
        _discard(part)
        raise InputError(
            f"{source.url}: found {kind}, wanted {source.file}; what came was removed: "
            "open the address in a browser to see what it says now"
        )
    size, found = part.stat().st_size, sha256_file(part)
    if (source.size or size) != size or (wanted or found) != found:
        _discard(part)
        right = f"sha256 {wanted}" if wanted else f"{source.size} bytes"
        raise InputError(
            f"{source.url}: found {size} bytes with sha256 {found}, wanted {right}; what came was removed: "
            "run again, and if it is the same then, the source has changed"
        )
    return part, found


def _receive(url: str, part: Path) -> None:
    """Append what is left of a file to ``part``. An ETag beside it tells whether both are of one version."""
    tag = _tag(part)
    have = part.stat().st_size if part.exists() and tag.exists() else 0
    headers = {"Accept-Encoding": "identity"}  # sizes and ranges are those of the file itself
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": tag.read_text(encoding="utf-8")}
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
            total = re.fullmatch(r"bytes (?:\d+-\d+|\*)/(\d+)", response.headers.get("Content-Range", ""))
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                if total and int(total[1]) == have:
                    return
                part.unlink()
                raise Unreachable(f"{url}: the server has no such range")
            if response.status_code in UNFINISHED or response.status_code >= 500:
                raise Unreachable(f"{url}: {response.status_code} {response.reason}")
            if not response.ok:
                raise InputError(f"{url}: found {response.status_code} {response.reason}, wanted the file")
            resumed = response.status_code == requests.codes.partial_content
            start = have if resumed else 0
            length = int(response.headers["Content-Length"]) if "Content-Length" in response.headers else None
            if not resumed:
                _keep(tag, response.headers.get("ETag", ""))
            with part.open("ab" if resumed else "wb") as file:
                chunks = response.iter_content(CHUNK)
                pieces = None if length is None else -(-length // CHUNK)
                for chunk in progress(chunks, f"fetching {part.stem}", unit="MiB", total=pieces):
                    file.write(chunk)
            if length is not None and part.stat().st_size != start + length:
                raise Unreachable(f"{url}: {part.stat().st_size} of {start + length} bytes came")
    except requests.RequestException as error:
        raise Unreachable(f"{url}: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """The end of the innermost message: the libraries wrap theirs in several others."""
    while inner := next((one for one in error.args if isinstance(one, BaseException)), None):
        error = getattr(inner, "reason", None) or inner
    return str(error).rsplit(": ", 1)[-1]


def _discard(part: Path) -> None:
    """Keep nothing of a transfer that brought something else."""
    part.unlink()
    _tag(part).unlink(missing_ok=True)


def _tag(part: Path) -> Path:
    return part.with_suffix(".etag")


def _keep(tag: Path, value: str) -> None:
    """Remember a strong ETag; without one a transfer begins anew, since two versions could be mixed."""
    if value and not value.startswith("W/"):
        tag.write_text(value, encoding="utf-8")
    else:
        tag.unlink(missing_ok=True)


def put_in_place(source: Download, whole: Path, folder: Path) -> None:
    """Give a whole file its name, or unpack an archive: all of what is kept, or nothing of it.

    Raises:
        InputError: no whole zip archive, a member outside of the archive's folder, or none that is wanted.
    """
    if source.unpack:
        _unpack(source, whole, folder)
        whole.unlink()
    else:
        os.replace(whole, folder / source.file)
    _tag(whole).unlink(missing_ok=True)
    with suppress(OSError):  # another file is on its way
        whole.parent.rmdir()


def _unpack(source: Download, archive: Path, folder: Path) -> None:
    unpacked = folder / ".unpacked"
    shutil.rmtree(unpacked, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as content:
            for member in progress(_kept(source, content), f"unpacking {source.file}", unit="file"):
                target = unpacked / (PurePosixPath(member.filename).name if source.flat else member.filename)
                target.parent.mkdir(parents=True, exist_ok=True)
                with content.open(member) as packed, target.open("wb") as file:
                    shutil.copyfileobj(packed, file, CHUNK)
    except zipfile.BadZipFile as error:
        archive.unlink()
        raise InputError(f"{source.url}: not a whole zip archive ({error}), wanted {source.file}") from None
    for entry in sorted(unpacked.iterdir()):
        if (folder / entry.name).is_dir():
            shutil.rmtree(folder / entry.name)
        os.replace(entry, folder / entry.name)
    unpacked.rmdir()


def _kept(source: Download, content: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The wanted members of an archive all of whose members are plain files inside of its folder."""
    kept: dict[str, zipfile.ZipInfo] = {}
    for member in content.infolist():
        path = PurePosixPath(member.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in member.filename:
            raise InputError(
                f"{source.url}: found member {member.filename}, wanted none outside of the archive"
            )
        if stat.S_ISLNK(member.external_attr >> 16):
            raise InputError(f"{source.url}: found link {member.filename}, wanted plain files")
        name = path.name if source.flat else member.filename
        if member.is_dir() or not any(fnmatchcase(name, pattern) for pattern in source.unpack or ()):
            continue
        if name in kept:
            raise InputError(
                f"{source.url}: found {name} twice ({kept[name].filename}, {path}), wanted it once"
            )
        kept[name] = member
    if not kept:
        raise InputError(
            f"{source.url}: found no member like {', '.join(source.unpack or ())} in the archive"
        )
    return list(kept.values())
