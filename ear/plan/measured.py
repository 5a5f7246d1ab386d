"""Measured times: what Snakemake's benchmark files say of jobs that have finished."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ear.plan.workload import Job

SECONDS = "s"
"""Column of wall-clock time."""


@dataclass(frozen=True)
class Measured:
    """Finished jobs of a rule.

    Attributes:
        jobs: how many.
        units: what they did.
        seconds: what they took, start and loading of models included.
    """

    jobs: int
    units: int
    seconds: float


def measured(jobs: Iterable[Job], benchmarks: str | Path) -> dict[str, Measured]:
    """Rule → its finished jobs; rules of which none has finished, or none had anything to do, are left out.

    Args:
        jobs: those of the experiment; other files of the folder do not count.
        benchmarks: folder of benchmark files, ``<name of the job>.tsv``.
    """
    found: dict[str, Measured] = {}
    for job in jobs:
        seconds = _seconds(Path(benchmarks) / f"{job.name}.tsv")
        if seconds is not None:
            before = found.get(job.rule, Measured(0, 0, 0.0))
            found[job.rule] = Measured(before.jobs + 1, before.units + job.units, before.seconds + seconds)
    return {rule: done for rule, done in found.items() if done.units}


def _seconds(path: Path) -> float | None:
    """Wall-clock time of a job; None where there is no whole file of it."""
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            return float(next(csv.DictReader(handle, delimiter="\t"))[SECONDS])
    except (FileNotFoundError, StopIteration, KeyError, ValueError):
        return None
