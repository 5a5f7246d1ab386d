"""Repositories of the Hugging Face hub: one commit, fetched into a plain folder."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import httpx2
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from tqdm.auto import tqdm

from ear.assets.catalogue import Hub
from ear.assets.download import Unreachable, retry
from ear.assets.lock import matches
from ear.errors import InputError
from ear.files import write_json
from ear.progress import DELAY_S, FILE_INTERVAL_S, TERMINAL_INTERVAL_S

T = TypeVar("T")
MARKER = ".fetched.json"
"""Written, in the asset's folder, when all files are there: the commit, and each file's size."""


def fetched(folder: Path) -> str | None:
    """The commit that a folder holds whole, or none."""
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        whole = all((folder / path).stat().st_size == size for path, size in marker["files"].items())
    except (FileNotFoundError, ValueError, KeyError):
        return None
    return str(marker["revision"]) if whole else None


def fetch_hub(
    source: Hub, revision: str | None, folder: Path, pauses: Sequence[float]
) -> tuple[str, dict[str, str]]:
    """Fetch the files of one commit into a folder; what is whole there stays, what was begun goes on.

    Args:
        source: the repository and the files that are wanted of it.
        revision: commit; none for the newest.
        folder: where to.
        pauses: see ``download.retry``.

    Returns:
        The commit, and the hub's own SHA-256 of its large files (path → hash).

    Raises:
        Unreachable: no network, or offline mode.
        InputError: the repository or the commit is not there, or not for this user.
    """
    info = retry(
        lambda: ask(
            source, revision, lambda: HfApi().model_info(source.repo, revision=revision, files_metadata=True)
        ),
        pauses,
    )
    commit = str(info.sha)
    files = [file for file in info.siblings or [] if matches(file.rfilename, source.files)]
    if not files:
        raise InputError(f"{source.words}: found no file like {', '.join(source.files)} at commit {commit}")
    retry(
        lambda: ask(
            source,
            commit,
            lambda: snapshot_download(
                source.repo, revision=commit, local_dir=folder, allow_patterns=source.files, tqdm_class=_Bar
            ),
        ),
        pauses,
    )
    sizes = {file.rfilename: (folder / file.rfilename).stat().st_size for file in files}
    write_json(folder / MARKER, {"revision": commit, "files": sizes})
    return commit, {file.rfilename: file.lfs.sha256 for file in files if file.lfs}


def ask(source: Hub, revision: str | None, call: Callable[[], T]) -> T:
    """Call the hub; its failures become one line, or an :class:`Unreachable` where a further try may help."""
    try:
        return call()
    except GatedRepoError:
        raise InputError(
            f"{source.words}: not open to everyone, wanted a login: accept its licence at "
            f"https://huggingface.co/{source.repo}, then `hf auth login` or HF_TOKEN"
        ) from None
    except RepositoryNotFoundError:
        raise InputError(f"{source.words}: no such repository, or not for this login") from None
    except RevisionNotFoundError:
        raise InputError(
            f"{source.words}: found no commit {revision}, wanted the one that is named"
        ) from None
    except OfflineModeIsEnabled:
        raise InputError(f"{source.words}: HF_HUB_OFFLINE is set, and it is not in the store") from None
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status < 500 and status not in (408, 429):
            raise InputError(f"{source.words}: the hub answers {status}") from None
        raise Unreachable(f"{source.words}: the hub answers {status}") from error
    except (httpx2.HTTPError, LocalEntryNotFoundError, ConnectionError) as error:
        raise Unreachable(f"{source.words}: {type(error).__name__}: {error}") from error


class _Bar(tqdm):
    """The hub's progress bars in the manner of ``ear.progress``: off a terminal, a line now and then."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        self._shown = time.monotonic()
        settings |= {"mininterval": TERMINAL_INTERVAL_S, "delay": DELAY_S, "leave": False, "file": sys.stderr}
        super().__init__(*args, **settings)

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Show the state, or, off a terminal and soon after the last line, do not."""
        if sys.stderr.isatty():
            super().display(msg, pos)
        elif msg != "" and time.monotonic() - self._shown >= FILE_INTERVAL_S:
            self._shown = time.monotonic()
            sys.stderr.write(f"{str(self).strip()}\n")
