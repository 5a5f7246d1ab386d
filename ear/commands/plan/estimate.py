"""The plan of an experiment: work, time, GPU memory and disk of each rule, as JSON and as text."""

import csv
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any

import pandas as pd

from ear.commands.plan.needs import assets_of, dimensions_of, disk_of, needs_of
from ear.commands.plan.throughput import Speed
from ear.commands.plan.work import Job, jobs_of
from ear.config import Config
from ear.models.catalogue import Asset, size_in_words

MARGIN = 3
"""Of run times: stated rates may be wrong by a factor of two, and are those of an H100."""
WIDTH = 100
COLUMNS = ("left", "right", "left", "right", "left", "right", "right")
NOTE = (
    "Stated times are those of one H100, by bytes moved and operations done, and may be "
    "wrong by a factor of two; measured ones are from the benchmark files of finished jobs. GPU memory is "
    "the least that will do, with one item at once; snakemake check says how many fit on this machine's GPU."
)


def run_times(config: Config, catalogue: Mapping[str, Asset]) -> dict[str, int]:
    """Name of a job → minutes that are enough for it; nothing where no rate is known, as on a CPU."""
    if not _rated(config):
        return {}
    speed = Speed(dimensions_of(config, catalogue), config.rendering.batch_size)
    return {job.name: ceil(MARGIN * job.seconds(speed) / 60) for job in jobs_of(config, speed)}


def make_plan(config: Config, catalogue: Mapping[str, Asset], benchmarks: str | Path) -> dict[str, Any]:
    """Plan an experiment; what is not known is None.

    Args:
        config: the experiment.
        catalogue: all assets, by name.
        benchmarks: folder of the experiment's benchmark files; what is there replaces stated times.
    """
    shape = dimensions_of(config, catalogue)
    speed = Speed(shape, config.rendering.batch_size)
    disk, needs = disk_of(config, shape), needs_of(config, shape) if _rated(config) else []
    jobs, stages = jobs_of(config, speed), list[dict[str, Any]]()
    for rule in dict.fromkeys(job.rule for job in jobs):
        of_rule = [job for job in jobs if job.rule == rule]
        work: Counter[str] = Counter()
        for one in (one for job in of_rule for one in job.works):
            work[one.unit] += one.count
        stage: dict[str, Any] = {"rule": rule, "jobs": len(of_rule), "work": dict(work)}
        stage |= _seconds(of_rule, speed if _rated(config) else None, Path(benchmarks))
        stage["gpu_bytes"] = max((need.bytes_of(1) for need in needs if rule in need.rules), default=None)
        stages.append(stage | {"disk_bytes": disk.get(rule)})
    known = [stage["seconds"] for stage in stages if stage["seconds"] is not None]
    total = {
        "jobs": len(jobs),
        "seconds": sum(known) if known else None,
        "basis": "" if len(known) in (0, len(stages)) else "at least",
        "gpu_bytes": max((stage["gpu_bytes"] or 0 for stage in stages), default=0) or None,
        "disk_bytes": sum(disk.values()) if disk else None,
        "fetch_bytes": sum(one.asset.size for one in assets_of(config, catalogue) if one.fetch),
    }
    backbone = config.backbone.model_dump()
    return {"experiment": config.experiment, "backbone": backbone, "stages": stages, "total": total}


def as_text(plan: Mapping[str, Any]) -> str:
    """The plan for a terminal."""
    total = {"rule": "all", "work": {}} | plan["total"]
    rows = [
        {
            "rule": stage["rule"],
            "jobs": stage["jobs"],
            "work": ", ".join(f"{count:,} {unit}" for unit, count in stage["work"].items()),
            "time": duration(stage["seconds"]),
            "basis": stage["basis"],
            "GPU memory": _size(stage["gpu_bytes"]),
            "disk": _size(stage["disk_bytes"]),
        }
        for stage in [*plan["stages"], total]
    ]
    table = pd.DataFrame(rows).to_markdown(
        index=False, tablefmt="simple", colalign=COLUMNS, maxcolwidths=[None, None, 32]
    )
    about = "{asset}, {dtype}, {device}".format(**plan["backbone"])
    notes = textwrap.fill(f"To fetch: {_size(total['fetch_bytes'])}. {NOTE}", WIDTH)
    return f"Plan of {plan['experiment']}: {about}\n\n{table}\n\n{notes}\n"


def duration(seconds: float | None) -> str:
    """A time for people: "20.6 min", "50.7 h"."""
    if seconds is None:
        return "unknown"
    return f"{seconds / 60:,.1f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


def _rated(config: Config) -> bool:
    """Whether stated rates hold: of the real backbone, on a GPU."""
    return config.backbone.device == "cuda" and not config.assets.stand_ins


def _seconds(jobs: Sequence[Job], speed: Speed | None, benchmarks: Path) -> dict[str, Any]:
    """Seconds of a rule's jobs, by those of them that have finished or else by stated rates, and which."""
    finished = {job.name: (job, took) for job in jobs if (took := _took(benchmarks / f"{job.name}.tsv"))}
    if units := sum(job.units for job, _ in finished.values()):
        measured = sum(took for _, took in finished.values())
        share = sum(job.units for job in jobs) / units
        return {"seconds": measured * share, "basis": f"{len(finished)} measured"}
    if speed:
        return {"seconds": sum(job.seconds(speed) for job in jobs), "basis": "stated"}
    return {"seconds": None, "basis": "unknown"}


def _took(path: Path) -> float | None:
    """Wall-clock time of a job by its benchmark file; None where there is no whole one."""
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            return float(next(csv.DictReader(handle, delimiter="\t"))["s"])
    except (FileNotFoundError, StopIteration, KeyError, ValueError):
        return None


def _size(count: float | None) -> str:
    return size_in_words(round(count)) if count else "–"
