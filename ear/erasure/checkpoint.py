"""Where a fine-tuning stands, on disk.

Killed at any moment, it goes on from its checkpoint to the same bytes. Once finished, it is kept beside its
adapter: a job that is asked for other windows trains none twice.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ear.files import atomic_path, sha256_file, write_text

SECONDS_BETWEEN = 60.0
"""A checkpoint of Janus-Pro-7B holds 2 GB (five layers' attention and two Adam moments): seconds to write."""


def _key(parts: Mapping[str, Any]) -> str:
    """A key of all that a training depends on, as JSON can hold it."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Checkpoint:
    """The checkpoint of a running training.

    Args:
        path: a .safetensors file.
        of: all that the run depends on; a checkpoint of anything else is not taken up.
        seconds_between: least time between two checkpoints.
    """

    def __init__(self, path: Path, of: Mapping[str, Any], seconds_between: float = SECONDS_BETWEEN) -> None:
        self.path = path
        self.seconds_between = seconds_between
        self._key = _key(of)
        self._last = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time for the next one."""
        return time.monotonic() - self._last >= self.seconds_between

    def save(self, tensors: Mapping[str, Tensor], done: int, records: Sequence[Sequence[Any]]) -> None:
        """Write where the run stands.

        Args:
            tensors: weights and optimiser state.
            done: number of examples that are done.
            records: rows of the training log so far.
        """
        with atomic_path(self.path) as partial:
            save_file(
                {name: tensor.contiguous() for name, tensor in tensors.items()},
                partial,
                metadata={"of": self._key, "done": str(done), "records": json.dumps(records)},
            )
        self._last = time.monotonic()

    def load(self) -> tuple[dict[str, Tensor], int, list[list[Any]]] | None:
        """What :meth:`save` wrote, or None where this run has no checkpoint."""
        try:
            with safe_open(self.path, framework="pt") as handle:
                metadata = handle.metadata()
                if metadata["of"] != self._key:
                    return None
                tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
        except (FileNotFoundError, SafetensorError):
            return None
        return tensors, int(metadata["done"]), json.loads(metadata["records"])


class Kept:
    """The finished training of one window length: its adapter under a hidden name, and a note of its log.

    The adapter under its own name is a hard link to it, and takes no more room.

    Args:
        folder: folder of the job.
        window: W.
        of: all that the training depends on, the code among it; one of anything else is not taken.
    """

    def __init__(self, folder: Path, window: int, of: Mapping[str, Any]) -> None:
        self.adapter = folder / f".W{window}.safetensors"
        self._note = folder / f".W{window}.json"
        self._key = _key(of)

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
