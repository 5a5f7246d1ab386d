"""All that is looked at, in the order of the lines."""

from collections.abc import Mapping
from typing import Any

from ear.assets.catalogue import Asset
from ear.check.finding import Finding
from ear.check.gpu import check_gpu
from ear.check.machine import check_compiler, check_disk, check_memory
from ear.config import Config
from ear.paths import Paths
from ear.plan.assets import Needed, needed_assets
from ear.plan.dimensions import dimensions_of
from ear.plan.disk import files_of
from ear.plan.needs import needs_of


def check_machine(
    config: Config, catalogue: Mapping[str, Asset], memory_mb: int, backbone: bool = True
) -> list[Finding]:
    """What concerns the machine that computes, and what it writes to: takes two seconds and asks no network.

    Args:
        config: the experiment.
        catalogue: all assets, by name.
        memory_mb: of the largest job.
        backbone: whether jobs are left that load the backbone; judges need little memory of a GPU.
    """
    found = []
    if config.backbone.device == "cuda":
        shape = dimensions_of(config, catalogue)
        needs = needs_of(config, shape) if shape and backbone else []
        found += [*check_gpu(config.backbone.dtype, needs), check_compiler()]
    return [*found, *check_room(config, catalogue), check_memory(memory_mb)]


def check_room(config: Config, catalogue: Mapping[str, Asset]) -> list[Finding]:
    """Whether the disks have room for results, and for the assets that are still to be fetched."""
    made = sum(one.bytes or 0 for one in files_of(config, dimensions_of(config, catalogue)))
    wanted = {Paths(config.experiment).root: made}
    fetched = sum(map(_fetched, needed_assets(config, catalogue)))
    if fetched:
        wanted[config.assets.store] = fetched
    return check_disk(wanted)


def _fetched(one: Needed) -> int:
    """Bytes of an asset that is to be fetched; an archive and what it unpacks to lie side by side."""
    return (2 if one.asset.archives else 1) * one.asset.size * one.fetch


def check_all(
    config: Config, catalogue: Mapping[str, Asset], memory_mb: int, slurm: Mapping[str, Any] | None
) -> list[Finding]:
    """All of it.

    Args:
        config: the experiment.
        catalogue: all assets, by name.
        memory_mb: of the largest job.
        slurm: None where jobs run on this machine; else what ``check_slurm`` takes, or nothing
            for other executors.
    """
    from ear.check.slurm import check_slurm
    from ear.check.sources import Requests

    requests = Requests(needed_assets(config, catalogue))
    if slurm is not None:
        found = [*(check_slurm(**slurm) if slurm else []), *check_room(config, catalogue)]
    else:
        found = check_machine(config, catalogue, memory_mb)
    return [*found, *requests.findings()]
