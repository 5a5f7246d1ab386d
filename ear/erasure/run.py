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

from ear.erasure.adapter import apply_adapter, put_weights, save_adapter
from ear.erasure.presets import Variant
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
    variant: Variant,
    own_window: int,
    windows: Sequence[int],
    layers: int,
    eta: float,
    learning_rate: float,
    threshold: Mapping[str, float | None],
    seed: int,
    facts: Mapping[str, Any],
) -> None:
    """Fine-tune with each window length and save the adapters.

    Writes adapter.safetensors (the own window), windows/W<w>.safetensors (the others), training.csv (one row
    a window of tokens) and, last, windows.csv, which lists the adapters.

    Args:
        folder: where they go.
        backbone: the frozen model θ*.
        pairs: prompt pairs that passed the filter.
        streams: name → (P, T) int64 token streams of θ*.
        variant: of the method.
        own_window: W of the method for this concept, image tokens.
        windows: all lengths to train, ``own_window`` among them.
        layers: K.
        eta: η.
        learning_rate: of Adam.
        threshold: {"value": μ} or {"quantile": q, "factor": f}, μ then being f times the q-quantile of the
            window losses before training; used if the variant has a threshold.
        seed: of the fine-tuning run.
        facts: what else the adapters' metadata should say (concept, method, pairs' hash).
    """
    folder = Path(folder)
    trainer = Trainer(backbone, pairs, streams, variant, layers, eta, learning_rate, seed)
    replaced = trainer.weights()
    settings = {
        "variant": asdict(variant),
        "layers": layers,
        "eta": eta,
        "learning_rate": learning_rate,
        "seed": seed,
    }
    versions = {name: importlib.metadata.version(name) for name in VERSIONED}
    logs, rows = [], []
    for window in windows:
        limit = _limit(trainer, window, threshold) if variant.threshold else None
        trainer.restore()
        log = trainer.run(window, limit, desc=f"erasing with W = {window}")
        file = "adapter.safetensors" if window == own_window else f"windows/W{window}.safetensors"
        metadata = {**facts, **settings, "window": window, "threshold": limit, "versions": versions}
        save_adapter(folder / file, trainer.weights(), replaced, metadata)
        logs.append(log)
        rows.append(
            (window, window == own_window, file, sha256_file(folder / file), limit, log["skipped"].mean())
        )
        logger.info(
            "W = %d: %d windows, %.0f %% skipped, μ = %s", window, len(log), 100 * rows[-1][-1], limit
        )
    trainer.restore()
    write_csv(folder / "training.csv", pd.concat(logs, ignore_index=True))
    write_csv(folder / "windows.csv", pd.DataFrame(rows, columns=WINDOW_COLUMNS))


def _limit(trainer: Trainer, window: int, threshold: Mapping[str, float | None]) -> float:
    value, quantile = threshold.get("value"), threshold.get("quantile")
    if value is not None:
        return value
    assert quantile is not None, "the config holds one of value and quantile"
    return (threshold["factor"] or 1.0) * trainer.quantile_threshold(window, quantile)
