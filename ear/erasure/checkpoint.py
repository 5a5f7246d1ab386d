"""Where a fine-tuning stands, on disk: killed at any moment, it goes on from there to the same bytes."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ear.files import atomic_path

SECONDS_BETWEEN = 60.0
"""A checkpoint of Janus-Pro-7B holds 2 GB (five layers' attention and two Adam moments): seconds to write."""


def key_of(parts: Mapping[str, Any]) -> str:
    """A key of all that a training depends on, as JSON can hold it."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Checkpoint:
    """The checkpoint of one training run.

    Args:
        path: a .safetensors file.
        of: all that the run depends on; a checkpoint of anything else is not taken up.
        seconds_between: least time between two of them.
    """

    def __init__(self, path: Path, of: Mapping[str, Any], seconds_between: float = SECONDS_BETWEEN) -> None:
        self.path = path
        self.seconds_between = seconds_between
        self._key = key_of(of)
        self._last = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time for the next one."""
        return time.monotonic() - self._last >= self.seconds_between

    def save(self, tensors: Mapping[str, Tensor], done: int, records: Sequence[Sequence[Any]]) -> None:
        """Write where the run stands.

        Args:
            tensors: weights and optimiser state.
            done: examples that are done.
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

    def remove(self) -> None:
        """Remove the file, once the run's result is safe."""
        self.path.unlink(missing_ok=True)
