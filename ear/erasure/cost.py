"""What erasing took: time and peak memory of each fine-tuning job, as its log closes."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ear.errors import InputError
from ear.workflow.jobs import CLOSING, MARK, TAKEN_OVER

COLUMNS = [
    *("concept", "method", "seed", "window_lengths"),
    *("seconds", "memory_mb", "gpu_memory_mb", "whole"),
]


def cost_table(trained: Sequence[tuple[str, str, int, int]], logs: str | Path) -> pd.DataFrame:
    """Time and memory of finished jobs; jobs that have not finished are left out.

    Args:
        trained: concept (joined by "+" where several are erased together), method, seed, and the number of
            window lengths that the job trains.
        logs: folder of the experiment's logs.

    Returns:
        COLUMNS. ``seconds`` of the whole job, loading the backbone and all its window lengths included;
        ``gpu_memory_mb`` is empty where no GPU was used; ``whole`` is false where the job went on from an
        earlier try, whose time is not counted.

    Raises:
        InputError: no such job has finished.
    """
    rows = []
    for concept, method, seed, lengths in trained:
        path = Path(logs, f"erase-{concept}-{method}-{seed}.log")
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        closing = CLOSING.search(text.rstrip())
        if closing is None or MARK in text:
            continue
        seconds, memory, on_gpu = closing.groups()
        spent = (float(seconds), int(memory), int(on_gpu) if on_gpu else None)
        rows.append((concept, method, seed, lengths, *spent, TAKEN_OVER not in text))
    if not rows:
        raise InputError(f"{logs}: found no finished job of erase, wanted one: run snakemake first")
    return pd.DataFrame(rows, columns=COLUMNS).astype({"gpu_memory_mb": "Int64"})
