"""The table of one fine-tuning job's adapters, one a window length, and the backbone with one of them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ear.erasure.adapter import apply_adapter, put_weights
from ear.errors import InputError
from ear.files import read_csv, sha256_file
from ear.janus import Backbone

WINDOW_COLUMNS = ["window", "own", "file", "sha256", "threshold", "skipped_share"]


@dataclass(frozen=True)
class Windows:
    """The adapters of one (concept, method, seed).

    Attributes:
        own: the method's own window length; 0 for the original model, which has no adapter.
        adapters: window length → file.
    """

    own: int
    adapters: Mapping[int, Path]

    @contextmanager
    def applied(self, backbone: Backbone, window: int) -> Iterator[None]:
        """The backbone carries a window's adapter inside of the block, and its own weights after it."""
        replaced = apply_adapter(backbone, self.adapters[window]) if self.adapters else {}
        try:
            yield
        finally:
            put_weights(backbone, replaced)


def read_windows(path: str | Path | None) -> Windows:
    """Read a windows.csv; None stands for the original model.

    Raises:
        InputError: an adapter is missing or not the one that was listed.
    """
    if path is None:
        return Windows(own=0, adapters={})
    table = read_csv(path, WINDOW_COLUMNS)
    adapters = {}
    for window, name, wanted in zip(table["window"], table["file"], table["sha256"], strict=True):
        file = Path(path).parent / name
        found = sha256_file(file) if file.exists() else "no file"
        if found != wanted:
            raise InputError(
                f"{file}: found {found[:12]}, wanted the adapter {wanted[:12]} that {path} lists"
            )
        adapters[int(window)] = file
    return Windows(own=int(table.loc[table["own"], "window"].iloc[0]), adapters=adapters)
