"""One fine-tuning job: all windows of one method and seed for a concept, or for several together, saved."""

import importlib.metadata
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from ear.erasure.edited_weights import WINDOW_COLUMNS, backbone_facts, save_edited
from ear.erasure.sequences import Pair
from ear.erasure.trainer import SECONDS_BETWEEN, Checkpoint, Kept, Trainer
from ear.erasure.variants import Settings
from ear.models.janus import Backbone
from ear.workflow.files import sha256_file, write_csv

logger = logging.getLogger(__name__)

VERSIONED = ("ear-repro", "torch", "transformers")


def erase(
    folder: str | Path,
    backbone: Backbone,
    pairs: Sequence[Pair],
    sequences: Mapping[str, Tensor],
    settings: Settings,
    windows: Sequence[int],
    seed: int,
    facts: Mapping[str, Any],
    sizes: Sequence[int] | None = None,
    seconds_between_checkpoints: float = SECONDS_BETWEEN,
    made_by: Mapping[str, Any] | None = None,
) -> None:
    """Fine-tune with each window length and save the edited weights.

    Writes weights.safetensors (the own window), windows/W<w>.safetensors (the others), training.csv (one row
    a window of tokens) and, last, windows.csv, which lists the edited weights. Killed at any moment and
    called again, it goes on from the last checkpoint and ends with the same bytes.

    Args:
        folder: folder of the job.
        backbone: the frozen model θ*.
        pairs: prompt pairs that passed the filter; of several concepts, one concept's after another's.
        sequences: name → (P, T) int64 token sequences of θ*.
        settings: all settings of the fine-tuning; its variant's window is the own one.
        windows: all lengths to train, the own one among them.
        seed: seed of the fine-tuning.
        facts: what else the edited weights' metadata should say (concept, method, pairs' hash).
        sizes: number of pairs of each concept; None: they are all of one.
        seconds_between_checkpoints: least time between two checkpoints of a window length.
        made_by: what else the bits depend on, and the edited weights do not say: code, device, threads.
    """
    folder = Path(folder)
    frozen = backbone_facts(backbone).model_dump()
    versions = {name: importlib.metadata.version(name) for name in VERSIONED}
    made_from = {**facts, "settings": asdict(settings), "seed": seed, "versions": versions}
    of = {
        **made_from,
        "pairs": list(pairs),
        "sizes": list(sizes or [len(pairs)]),
        "sequences": {name: sequence.tolist() for name, sequence in sequences.items()},
        "backbone": frozen,
        "made_by": dict(made_by or {}),
    }
    trainer: Trainer | None = None
    logs, rows = [], []
    for window in windows:
        own = window == settings.variant.window
        file = "weights.safetensors" if own else f"windows/W{window}.safetensors"
        of["window"] = window
        kept = Kept(folder, window, of)
        log = kept.load()
        if log is None:
            trainer = trainer or Trainer(backbone, pairs, sequences, settings, seed, sizes)
            checkpoint = Checkpoint(
                folder / f".training-W{window}.safetensors", of, seconds_between_checkpoints
            )
            log = trainer.run(window, desc=f"erasing with W = {window}", checkpoint=checkpoint)
            metadata = {**made_from, "window": window, "threshold": trainer.threshold(window)}
            save_edited(kept.edited, trainer.weights(), frozen, metadata)
            kept.save(log)
            checkpoint.path.unlink(missing_ok=True)  # the result is safe
        kept.put(folder / file)
        threshold, skipped = log["threshold"].iloc[0], log["skipped"].mean()
        logs.append(log)
        rows.append((window, own, file, sha256_file(folder / file), threshold, skipped))
        logger.info("W = %d: %d windows, %.0f %% skipped, μ = %s", window, len(log), 100 * skipped, threshold)
    if trainer is not None:
        trainer.restore()
    write_csv(folder / "training.csv", pd.concat(logs, ignore_index=True))
    write_csv(folder / "windows.csv", pd.DataFrame(rows, columns=WINDOW_COLUMNS))
    listed = {folder / file for _, _, file, *_ in rows}
    for path in (folder / "windows").glob("W*.safetensors"):
        if path not in listed:  # of lengths that are asked for no longer
            path.unlink()
