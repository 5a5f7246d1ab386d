"""One fine-tuning job: all windows of one method and seed for a concept, or for several together, saved."""

import importlib.metadata
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from ear.erasure.adapter import backbone_facts, save_adapter
from ear.erasure.checkpoint import SECONDS_BETWEEN, Checkpoint
from ear.erasure.presets import Settings
from ear.erasure.streams import Pair
from ear.erasure.trainer import Trainer
from ear.erasure.windows import WINDOW_COLUMNS
from ear.files import sha256_file, write_csv
from ear.janus import Backbone

logger = logging.getLogger(__name__)

VERSIONED = ("ear-repro", "torch", "transformers")


def erase(
    folder: str | Path,
    backbone: Backbone,
    pairs: Sequence[Pair],
    streams: Mapping[str, Tensor],
    settings: Settings,
    windows: Sequence[int],
    seed: int,
    facts: Mapping[str, Any],
    sizes: Sequence[int] | None = None,
    seconds_between_checkpoints: float = SECONDS_BETWEEN,
) -> None:
    """Fine-tune with each window length and save the adapters.

    Writes adapter.safetensors (the own window), windows/W<w>.safetensors (the others), training.csv (one row
    a window of tokens) and, last, windows.csv, which lists the adapters. Killed at any moment and called
    again, it goes on from the last checkpoint and ends with the same bytes.

    Args:
        folder: where they go.
        backbone: the frozen model θ*.
        pairs: prompt pairs that passed the filter; of several concepts, one concept's after another's.
        streams: name → (P, T) int64 token streams of θ*.
        settings: all choices of the fine-tuning; its variant's window is the own one.
        windows: all lengths to train, the own one among them.
        seed: of the fine-tuning run.
        facts: what else the adapters' metadata should say (concept, method, pairs' hash).
        sizes: number of pairs of each concept; None: they are all of one.
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
    trainer = Trainer(backbone, pairs, streams, settings, seed, sizes)
    data = {
        "pairs": list(pairs),
        "sizes": list(sizes or [len(pairs)]),
        "streams": {name: stream.tolist() for name, stream in streams.items()},
    }
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
