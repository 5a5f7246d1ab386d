"""One fine-tuning job: all windows of one (concept, method, seed), saved."""

import importlib.metadata
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from ear.erasure.adapter import apply_adapter, backbone_facts, put_weights, save_adapter
from ear.erasure.checkpoint import SECONDS_BETWEEN, Checkpoint
from ear.erasure.presets import Settings
from ear.erasure.streams import Pair
from ear.erasure.trainer import Trainer
from ear.errors import InputError
from ear.files import read_csv, sha256_file, write_csv
from ear.janus import Backbone
from ear.prompts.tables import PAIR_COLUMNS

logger = logging.getLogger(__name__)

WINDOW_COLUMNS = ["window", "own", "file", "sha256", "threshold", "skipped_share"]
VERSIONED = ("ear-repro", "torch", "transformers")


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


def read_pairs(path: str | Path) -> list[Pair]:
    """Pairs of a pairs.csv: (pair id, unsafe prompt, safe prompt)."""
    table = read_csv(path, PAIR_COLUMNS)
    return list(table[["pair_id", "unsafe_prompt", "safe_prompt"]].itertuples(index=False, name=None))


def erase(
    folder: str | Path,
    backbone: Backbone,
    pairs: Sequence[Pair],
    streams: Mapping[str, Tensor],
    settings: Settings,
    windows: Sequence[int],
    seed: int,
    facts: Mapping[str, Any],
    seconds_between_checkpoints: float = SECONDS_BETWEEN,
) -> None:
    """Fine-tune with each window length and save the adapters.

    Writes adapter.safetensors (the own window), windows/W<w>.safetensors (the others), training.csv (one row
    a window of tokens) and, last, windows.csv, which lists the adapters. Killed at any moment and called
    again, it goes on from the last checkpoint and ends with the same bytes.

    Args:
        folder: where they go.
        backbone: the frozen model θ*.
        pairs: prompt pairs that passed the filter.
        streams: name → (P, T) int64 token streams of θ*.
        settings: all choices of the fine-tuning; its variant's window is the own one.
        windows: all lengths to train, the own one among them.
        seed: of the fine-tuning run.
        facts: what else the adapters' metadata should say (concept, method, pairs' hash).
        seconds_between_checkpoints: least time between two checkpoints of a window length.
    """
    folder = Path(folder)
    frozen = backbone_facts(backbone).model_dump()
    versions = {name: importlib.metadata.version(name) for name in VERSIONED}
    made_from = {
        **facts,
        "settings": asdict(settings),
        "seed": seed,
        "versions": versions,
    }
    trainer = Trainer(backbone, pairs, streams, settings, seed)
    data = {"pairs": list(pairs), "streams": {name: stream.tolist() for name, stream in streams.items()}}
    logs, rows, checkpoints = [], [], []
    for window in windows:
        own = window == settings.variant.window
        file = "adapter.safetensors" if own else f"windows/W{window}.safetensors"
        checkpoint = Checkpoint(
            folder / f".training-W{window}.safetensors",
            of={**made_from, **data, "backbone": frozen, "window": window},
            seconds_between=seconds_between_checkpoints,
        )
        log = trainer.run(window, desc=f"erasing with W = {window}", checkpoint=checkpoint)
        threshold, skipped = trainer.threshold(window), log["skipped"].mean()
        metadata = {**made_from, "window": window, "threshold": threshold}
        save_adapter(folder / file, trainer.weights(), frozen, metadata)
        logs.append(log)
        rows.append((window, own, file, sha256_file(folder / file), threshold, skipped))
        checkpoints.append(checkpoint)
        logger.info("W = %d: %d windows, %.0f %% skipped, μ = %s", window, len(log), 100 * skipped, threshold)
    trainer.restore()
    write_csv(folder / "training.csv", pd.concat(logs, ignore_index=True))
    write_csv(folder / "windows.csv", pd.DataFrame(rows, columns=WINDOW_COLUMNS))
    for checkpoint in checkpoints:
        checkpoint.remove()
