"""What erasing took: time and peak memory of each fine-tuning job, by its log. No two runs take the same."""

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ear.erasure.variants import JOINT
from ear.workflow.jobs import CLOSING, MARK, TAKEN_OVER

COLUMNS = [
    *("concept", "method", "seed", "window_lengths"),
    *("seconds", "memory_mb", "gpu_memory_mb", "whole", "own_seconds"),
]
TEACHER, TRAINING = "teacher's states", "erasing with W = {}"
"""What the log calls the parts of erasing."""


def cost_table(trained: Sequence[tuple[str, str, int, int, int]], logs: str | Path) -> pd.DataFrame:
    """Time and memory of finished jobs; jobs that have not finished are left out.

    Args:
        trained: concept (joined by "+" where several are erased together), method, seed, and of the window
            lengths that the job trains the own one and their number.
        logs: folder of the experiment's logs.

    Returns:
        COLUMNS. ``seconds`` of the whole job, loading the backbone and all its window lengths included;
        ``gpu_memory_mb`` is empty where no GPU was used; ``whole`` is false where the job went on from an
        earlier try, whose time is not counted. ``own_seconds``: of the teacher's states and the fine-tuning
        with the own window length; empty where these began in an earlier try.
    """
    rows = []
    for concept, method, seed, own, lengths in trained:
        path = Path(logs, f"erase-{concept}-{method}-{seed}.log")
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        closing = CLOSING.search(text.rstrip())
        if closing is None or MARK in text:
            continue
        seconds, memory, on_gpu = closing.groups()
        spent = (float(seconds), int(memory), int(on_gpu) if on_gpu else None)
        place = (concept, method, seed, lengths)
        rows.append((*place, *spent, TAKEN_OVER not in text, _own_seconds(text, own)))
    return pd.DataFrame(rows, columns=COLUMNS).astype({"gpu_memory_mb": "Int64", "own_seconds": float})


def _own_seconds(log: str, own: int) -> float | None:
    if re.search(rf" W = {own}: .*{TAKEN_OVER}", log):
        return None
    parts = (re.findall(rf" {part}: .* in ([\d.]+) s \(", log) for part in (TEACHER, TRAINING.format(own)))
    teacher, training = ([float(seconds) for seconds in found] for found in parts)
    return sum(teacher) + sum(training) if training else None


def cost_of_methods(table: pd.DataFrame) -> dict[tuple[str, str], tuple[float, float]]:
    """(concept, method) → seconds, the mean over seeds, and peak memory in MB, the largest; none if unknown.

    Memory is the GPU's where one was used. Concepts that were erased together all have the cost of their job.

    Args:
        table: :func:`cost_table`.
    """
    known = table.dropna(subset="own_seconds")
    known = known.assign(concept=known["concept"].str.split(JOINT, regex=False)).explode("concept")
    known["memory"] = known["gpu_memory_mb"].fillna(known["memory_mb"])
    costs = known.groupby(["concept", "method"]).agg({"own_seconds": "mean", "memory": "max"})
    return {name: (float(seconds), float(memory)) for name, seconds, memory in costs.itertuples()}
