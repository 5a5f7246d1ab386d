"""One fine-tuning job: all windows of one method and seed for a concept, or for several together, saved.

Killed at any moment, a training goes on from its checkpoint to the same bytes. Once finished, it is kept
beside its edited weights: a job that is asked for other windows trains none twice.
"""

import importlib.metadata
import json
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from ear.erasure.cost import TRAINING
from ear.erasure.edited_weights import WINDOW_COLUMNS, backbone_facts, save_edited
from ear.erasure.sequences import Pair
from ear.erasure.trainer import SECONDS_BETWEEN, Checkpoint, Trainer, key_of
from ear.erasure.variants import Settings
from ear.models.backbone import Backbone
from ear.workflow.files import atomic_path, sha256_file, write_csv, write_text
from ear.workflow.jobs import TAKEN_OVER

logger = logging.getLogger(__name__)

VERSIONED = ("ear-repro", "torch", "transformers")


class Kept:
    """The finished training of one window length: its weights under a hidden name, and a note of its log.

    Args:
        folder: folder of the job.
        window: W.
        of: all that the training depends on, the code among it; one of anything else is not taken.
    """

    def __init__(self, folder: Path, window: int, of: Mapping[str, Any]) -> None:
        self.edited = folder / f".W{window}.safetensors"
        self._note = folder / f".W{window}.json"
        self._key = key_of(of)

    def load(self) -> pd.DataFrame | None:
        """The log of the training, or None where it was not finished, was of something else or is damaged."""
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            if note["of"] != self._key or sha256_file(self.edited) != note["sha256"]:
                return None
            return pd.DataFrame(note["log"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def save(self, log: pd.DataFrame) -> None:
        """Note the log of the training whose edited weights are there now."""
        note = {"of": self._key, "sha256": sha256_file(self.edited), "log": log.to_dict("list")}
        write_text(self._note, json.dumps(note))

    def put(self, path: Path) -> None:
        """Let a path be the edited weights: a hard link, which takes no more room."""
        path.unlink(missing_ok=True)  # a link cannot take the place of another one to the same file
        with atomic_path(path) as partial:
            try:
                os.link(self.edited, partial)
            except OSError:  # a file system without links
                shutil.copyfile(self.edited, partial)


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
    a window of tokens) and, last, windows.csv, which lists the edited weights.

    Args:
        folder: folder of the job.
        backbone: the frozen model θ*.
        pairs: as in :class:`~ear.erasure.trainer.Trainer`, like ``sequences``, ``seed`` and ``sizes``.
        sequences: name → (P, T) int64.
        settings: of the fine-tuning; its variant's window is the own one.
        windows: all lengths to train, the own one among them.
        seed: of the fine-tuning.
        facts: what else the edited weights' metadata should say (concept, method, pairs' hash).
        sizes: number of pairs of each concept.
        seconds_between_checkpoints: least time between two checkpoints of a window length.
        made_by: what else the bits depend on, and the edited weights do not say: code, device, threads.
    """
    folder = Path(folder)
    frozen = backbone_facts(backbone).model_dump()
    versions = {name: importlib.metadata.version(name) for name in VERSIONED}
    made_from = {**facts, "settings": settings.to_dict(), "seed": seed, "versions": versions}
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
        if log is not None:
            logger.info("W = %d: %s", window, TAKEN_OVER)
        else:
            trainer = trainer or Trainer(backbone, pairs, sequences, settings, seed, sizes)
            checkpoint = Checkpoint(folder / f".training-W{window}.pt", of, seconds_between_checkpoints)
            log = trainer.run(window, desc=TRAINING.format(window), checkpoint=checkpoint)
            metadata = {**made_from, "window": window, "threshold": trainer.threshold(window)}
            save_edited(kept.edited, trainer.weights(), frozen, metadata)
            kept.save(log)
            checkpoint.path.unlink(missing_ok=True)  # the result is safe
        kept.put(folder / file)
        threshold, skipped = log["threshold"].iloc[0], log["skipped"].mean()
        logs.append(log)
        rows.append((window, own, file, sha256_file(folder / file), threshold, skipped))
        logger.info(
            "W = %d: %d windows, %.0f %% skipped, μ = %s",
            window,
            len(log),
            100 * skipped,
            threshold,
        )
    if trainer is not None:
        trainer.restore()
    write_csv(folder / "training.csv", pd.concat(logs, ignore_index=True))
    write_csv(folder / "windows.csv", pd.DataFrame(rows, columns=WINDOW_COLUMNS))
    listed = {folder / file for _, _, file, *_ in rows}
    for path in (folder / "windows").glob("W*.safetensors"):
        if path not in listed:  # of lengths that are asked for no longer
            path.unlink()
