"""The plan of an experiment: work, time, GPU memory, disk and assets, as JSON and as text."""

import csv
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from tabulate import tabulate

from ear.commands.plan.work import PROMPT, Job, Speed, jobs_of, trainings_of
from ear.config import Config
from ear.config.methods import PUBLISHED
from ear.evaluation.attacks import BEGINNING
from ear.models import memory
from ear.models.catalogue import Asset, Repository, size_in_words
from ear.models.lock import Needed, needed_assets
from ear.models.memory import Dimensions

VALUE_BYTES = {"float32": 4, "bfloat16": 2}
PNG_BYTES, TOKEN_BYTES = 1.6, 8
"""Of a pixel, of which a PNG of a photograph takes about half of its 3 bytes; of an image token."""
SAMPLING = ["render_pairs", "render_targets", "sample_sequences", "render_original", "render_general"]
SAMPLING += ["render_images", "attack"]
MARGIN = 3
"""Of run times: stated rates may be wrong by a factor of two, and are those of an H100."""
WIDTH = 100
COLUMNS = ("left", "right", "left", "right", "left", "right", "right")
NOTE = (
    "Stated times are those of one H100, by bytes moved and operations done, and may be "
    "wrong by a factor of two; measured ones are from the benchmark files of finished jobs. GPU memory is "
    "the least that will do, with one item at once; snakemake check says how many fit on this machine's GPU."
)


@dataclass(frozen=True)
class Need:
    """GPU memory of one kind of work, which some rules do: of so many at once, weights included.

    Where ``wanted`` at once do not fit, jobs do fewer.
    """

    rules: Sequence[str]
    what: str
    unit: str
    wanted: int
    bytes_of: Callable[[int], float]

    def fits(self, free: float) -> int:
        """How many at once fit into so many bytes; 0 where not even one does."""
        size = memory.largest(self.wanted, free, self.bytes_of)
        return size if self.bytes_of(size) <= memory.USABLE * free else 0


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
        stage = {"rule": rule, "jobs": len(of_rule), "work": dict(work), "disk_bytes": disk.get(rule)}
        stage["gpu_bytes"] = max((need.bytes_of(1) for need in needs if rule in need.rules), default=None)
        stages.append(stage | _seconds(of_rule, speed if _rated(config) else None, Path(benchmarks)))
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
    table = tabulate(
        rows, "keys", tablefmt="simple", colalign=COLUMNS, maxcolwidths=[None, None, 31, *[None] * 4]
    )
    about = "{asset}, {dtype}, {device}".format(**plan["backbone"])
    notes = textwrap.fill(f"To fetch: {_size(total['fetch_bytes'])}. {NOTE}", WIDTH)
    return f"Plan of {plan['experiment']}: {about}\n\n{table}\n\n{notes}\n"


def duration(seconds: float | None) -> str:
    """A time for people: "20.6 min", "50.7 h"."""
    if seconds is None:
        return "unknown"
    return f"{seconds / 60:,.1f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


def assets_of(config: Config, catalogue: Mapping[str, Asset]) -> list[Needed]:
    """The assets that an experiment needs, and whether they are there."""
    where = config.assets
    return needed_assets(config.used_assets, catalogue, where.root, where.store, bool(where.stand_ins))


def dimensions_of(config: Config, catalogue: Mapping[str, Asset]) -> Dimensions:
    """Shape of an experiment's backbone, before it is fetched; stand-ins have others."""
    asset, shape = catalogue[config.backbone.asset], config.shape
    # Files of this repository hold float32, published ones bfloat16.
    held = VALUE_BYTES["float32" if isinstance(asset.source, Repository) else "bfloat16"]
    derived = {
        "key_value_heads": shape.key_value_heads or shape.heads,
        "head_size": shape.head_size or shape.hidden // shape.heads,
        "image_columns": shape.image_tokens - 1 + shape.forced_tokens,
        "value_bytes": VALUE_BYTES[config.backbone.dtype],
        "loaded": shape.parameters or asset.size // held,
    }
    return Dimensions(**shape.model_dump(exclude={"forced_tokens", "patch", "parameters"}) | derived)


def disk_of(config: Config, shape: Dimensions) -> dict[str, float]:
    """Rule → bytes that it leaves on the disk, but for tables and figures; nothing of stand-ins."""
    if config.assets.stand_ins:
        return {}
    sides = [method.diffusion.size for method in config.methods.values() if method.diffusion]
    found: dict[str, float] = {}
    for job in jobs_of(config, Speed(shape, config.rendering.batch_size)):
        side = max(sides) if job.rule == "render_diffusion" else shape.image_size
        each = {"render": PNG_BYTES * side**2, "sample": TOKEN_BYTES * shape.image_tokens}
        found[job.rule] = found.get(job.rule, 0) + job.units * each.get(job.rule.split("_")[0], 0)
    weights = [(one.settings.layers, one.settings.rank) for one in trainings_of(config)]
    imported = [run for run in config.edited_weights() if config.methods[run[1]].variant == PUBLISHED]
    weights += [(config.erasure.layers, 0)] * len(imported)  # as if they had as many as those trained here
    return found | {"erase": sum(shape.trained_bytes(*one) for one in weights)}


def needs_of(config: Config, shape: Dimensions) -> list[Need]:
    """All kinds of work that hold the backbone, drawing the usual prompts first; nothing of stand-ins."""
    return [] if config.assets.stand_ins else list(_needs(config, shape))


def _needs(config: Config, shape: Dimensions) -> Iterator[Need]:
    def need(rules: Sequence[str], what: str, unit: str, wanted: int, beside: Callable[[int], float]) -> Need:
        return Need(rules, what, unit, wanted, lambda n: shape.loaded_bytes + beside(n))

    def trained(n: int) -> float:
        return max(
            memory.training(
                shape, one.rows, min(n, one.length), PROMPT, one.settings.layers, one.settings.rank
            )
            for one in trainings
        )

    rows = 3 if any(method.strength for method in config.methods.values()) else 2
    batch, begun = config.rendering.batch_size, ceil(shape.image_tokens / BEGINNING)
    yield need(SAMPLING, "render", "images", batch, lambda n: memory.drawing(shape, n, rows, PROMPT))
    if trainings := trainings_of(config):
        most = max(min(one.settings.micro_batch, one.length) for one in trainings)
        yield need(["erase"], "fine-tune", "tokens", most, trained)
    if search := config.axes.search:
        what, wanted = "search for prompts", search.prompts
        yield need(["attack"], what, "prompts", wanted, lambda n: memory.gradients(shape, n, PROMPT, begun))
    if inversion := config.axes.inversion:
        what, wanted, whole = "invert", inversion.images, shape.image_tokens
        yield need(["attack"], what, "images", wanted, lambda n: memory.gradients(shape, n, PROMPT, whole))
    if learned := config.axes.relearning:
        images, layers = learned.batch_size, config.erasure.layers
        steps = lambda n: memory.relearning(shape, n, PROMPT, layers, ceil(images / n))  # noqa: E731
        yield need(["attack"], "relearn", "images", images, steps)


def _rated(config: Config) -> bool:
    """Whether stated rates hold: of the real backbone, on a GPU."""
    return config.backbone.device == "cuda" and not config.assets.stand_ins


def _seconds(jobs: Sequence[Job], speed: Speed | None, benchmarks: Path) -> dict[str, Any]:
    """Seconds of a rule's jobs, by those of them that have finished or else by stated rates, and which."""
    finished = [(job.units, took) for job in jobs if (took := _took(benchmarks / f"{job.name}.tsv"))]
    if units := sum(count for count, _ in finished):
        share = sum(job.units for job in jobs) / units
        return {"seconds": sum(took for _, took in finished) * share, "basis": f"{len(finished)} measured"}
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
