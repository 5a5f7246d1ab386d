"""Run times that jobs are given: what the plan says of each, and a margin."""

from collections.abc import Mapping
from math import ceil

from ear.assets.catalogue import Asset
from ear.config import Config
from ear.plan.dimensions import dimensions_of
from ear.plan.rates import Ours
from ear.plan.workload import jobs_of

MARGIN = 3
"""Stated rates may be wrong by a factor of two, and are those of an H100."""


def run_times(config: Config, catalogue: Mapping[str, Asset]) -> dict[str, int]:
    """Name of a job → minutes that are enough for it; nothing where no rate is known, as on a CPU."""
    shape = dimensions_of(config, catalogue)
    if shape is None or config.backbone.device == "cpu":
        return {}
    ours = Ours(shape, config.rendering.batch_size)
    planned = {job.name: ours.job(job) for job in jobs_of(config)}
    return {name: ceil(MARGIN * seconds / 60) for name, seconds in planned.items() if seconds is not None}
