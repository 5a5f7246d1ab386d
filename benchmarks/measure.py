"""What all benchmarks share: contenders that take turns, the ratio of their medians, and the machine."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

ROUNDS = 5


def seconds(work: Callable[[], object]) -> float:
    """Wall time of ``work()``, until a GPU is done with it too."""
    _wait()
    started = time.perf_counter()
    work()
    _wait()
    return time.perf_counter() - started


def take_turns(contenders: Mapping[str, Callable[[], float]], rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Measure contenders in turn, so that a slow spell of the machine meets all of them.

    Args:
        contenders: name → a function that returns its rate (more is better).
        rounds: measurements of each.
    """
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, measure in contenders.items():
            rates[name].append(measure())
    return rates


def compare(ours: Sequence[float], other: Sequence[float]) -> dict[str, float]:
    """How many times faster: ratio of the medians, least and greatest ratio of the pairs."""
    pairs = [mine / theirs for mine, theirs in zip(ours, other, strict=True)]
    ratio = statistics.median(ours) / statistics.median(other)
    return {"ratio": round(ratio, 2), "least": round(min(pairs), 2), "greatest": round(max(pairs), 2)}


def machine() -> dict[str, Any]:
    """The machine and the versions that a figure belongs to."""
    facts: dict[str, Any] = {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    if torch.cuda.is_available():
        facts["gpu"] = torch.cuda.get_device_name()
    return facts


def bandwidth(device: torch.device, size: int = 2**31) -> float:
    """Memory bandwidth of a GPU in bytes a second: reading and writing ``size`` bytes, the best of ten."""
    source = torch.empty(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / min(seconds(lambda: target.copy_(source)) for _ in range(10))


def report(facts: Mapping[str, Any]) -> None:
    """Print one JSON line."""
    print(json.dumps({**facts, "machine": machine()}, ensure_ascii=False))


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _cpu_model() -> str:
    """The name that Linux knows it by; elsewhere the architecture."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
