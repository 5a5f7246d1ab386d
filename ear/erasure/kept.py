"""A finished training, kept beside its adapter: a job that is asked for other windows trains none twice."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ear.erasure.checkpoint import key_of
from ear.files import atomic_path, sha256_file, write_text


class Kept:
    """The training of one window length: its adapter under a hidden name, and a note of its log.

    The adapter under its own name is a hard link to it, and takes no more room.

    Args:
        folder: of the job.
        window: W.
        of: all that the training depends on, the code among it; one of anything else is not taken.
    """

    def __init__(self, folder: Path, window: int, of: Mapping[str, Any]) -> None:
        self.adapter = folder / f".W{window}.safetensors"
        self._note = folder / f".W{window}.json"
        self._key = key_of(of)

    def load(self) -> pd.DataFrame | None:
        """The log of the training, or None where it was not finished, was of something else or is damaged."""
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            if note["of"] != self._key or sha256_file(self.adapter) != note["sha256"]:
                return None
            return pd.DataFrame(note["records"], columns=note["columns"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def save(self, log: pd.DataFrame) -> None:
        """Note the log of the training whose adapter is there now."""
        records = [list(row) for row in log.itertuples(index=False, name=None)]
        note = {"of": self._key, "sha256": sha256_file(self.adapter)}
        write_text(self._note, json.dumps(note | {"columns": list(log.columns), "records": records}))

    def put(self, path: Path) -> None:
        """Let a path be the adapter."""
        path.unlink(missing_ok=True)  # a link cannot take the place of another one to the same file
        with atomic_path(path) as partial:
            try:
                os.link(self.adapter, partial)
            except OSError:  # a file system without links
                shutil.copyfile(self.adapter, partial)
