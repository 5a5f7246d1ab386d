"""One look at a results folder: what is read of it, each file once, and every mismatch found on the way."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from ear.config import Config
from ear.errors import InputError
from ear.files import read_csv, sha256_file
from ear.paths import Paths
from ear.progress import progress

NO_FILE = "no file"


@dataclass
class Inspection:
    """What a verification has seen so far.

    Attributes:
        config: the experiment that the folder should hold.
        threads: files hashed at once.
        notes: what a reader should know although nothing is wrong.
        counts: what was looked at → how many.
        unlisted_files: those that are mismatches since no table lists them.
    """

    config: Config
    threads: int = 1
    notes: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    unlisted_files: set[Path] = field(default_factory=set)
    _lines: dict[str, None] = field(default_factory=dict)
    _tables: dict[str, pd.DataFrame | None] = field(default_factory=dict)
    _hashes: dict[str, str] = field(default_factory=dict)

    @property
    def paths(self) -> Paths:
        """Paths of the experiment."""
        return Paths(self.config.experiment)

    @property
    def mismatches(self) -> list[str]:
        """A line each: file (and row or key), what was found, what is wanted."""
        return list(self._lines)

    def mismatch(self, where: str | Path, found: object, wanted: object) -> None:
        """Note a mismatch; the same one met again, in a file that several tables list, is one."""
        self._lines[f"{where}: found {found}, wanted {wanted}"] = None

    def unreadable(self, error: InputError) -> None:
        """Note a mismatch that a reader of files has put in words."""
        self._lines[str(error)] = None

    def table(self, path: str, columns: Sequence[str]) -> pd.DataFrame | None:
        """A table of the folder, its ids as text; or None where it cannot be read, which is one mismatch.

        Args:
            path: of the file.
            columns: that it must have; the same at every call.
        """
        if path not in self._tables:
            self.counts["tables"] += 1
            try:
                table = read_csv(path, columns)
                # Names stay text, also where damage left an empty cell.
                names = {str(name): table[name].astype(str) for name in table if str(name).endswith("_id")}
                self._tables[path] = table.assign(**names)
            except InputError as error:
                self.unreadable(error)
                self._tables[path] = None
        return self._tables[path]

    def there(self, path: str | Path) -> bool:
        """Whether a file is there and holds something; else that is a mismatch."""
        file = Path(path)
        size = file.stat().st_size if file.is_file() else -1
        if size > 0:
            return True
        self.mismatch(path, NO_FILE if size else "an empty file", "one of the experiment's results")
        return False

    def hashes(self, files: Iterable[str | Path], desc: str) -> list[str]:
        """Hash of each file as "sha256 <digits>", or what is there in its place; a file is read once in all.

        Args:
            files: paths.
            desc: label of the progress bar.
        """
        names = [os.path.normpath(path) for path in files]
        unknown = list(dict.fromkeys(name for name in names if name not in self._hashes))
        if unknown:
            with ThreadPoolExecutor(self.threads) as pool:
                digests = progress(pool.map(_digest, unknown), desc, unit="file", total=len(unknown))
                self._hashes.update(zip(unknown, digests, strict=True))
            self.counts["hashed files"] += len(unknown)
        return [self._hashes[name] for name in names]

    def files(self, files: Sequence[Path], wanted: Iterable[object], desc: str) -> None:
        """Compare files with the SHA-256 that is known of each."""
        for path, found, right in zip(files, self.hashes(files, desc), wanted, strict=True):
            if found != f"sha256 {right}":
                self.mismatch(os.path.normpath(path), found, f"sha256 {right}")

    def unlisted(self, folder: Path, suffix: str, listed: Iterable[Path], table: str) -> None:
        """Every file of a suffix below a folder should be listed; hidden ones are work in progress."""
        known = set(map(os.path.normpath, listed))
        for path in sorted(folder.rglob(f"*{suffix}")):
            if os.path.normpath(path) not in known and not path.name.startswith("."):
                self.unlisted_files.add(path)
                self.mismatch(
                    path, f"a file that {table} does not list", "none: damage, or of earlier settings"
                )


def _digest(path: str) -> str:
    try:
        return f"sha256 {sha256_file(path)}"
    except FileNotFoundError:
        return NO_FILE
    except OSError as error:
        return f"no file that can be read ({error.strerror})"
