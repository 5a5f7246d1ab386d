"""All that is looked at, in the order of the lines: of this machine before a run, of everything on demand.

``python -m ear.commands.check.findings`` is the check of this machine before the first job of a run, JSON on
stdin.
"""

import json
import sys
from collections.abc import Mapping
from typing import Any

from ear.commands.check.elsewhere import check_slurm, check_sources
from ear.commands.check.gpu import Finding, check_compiler, check_disk, check_gpu, check_memory
from ear.commands.plan.needs import assets_of, dimensions_of, disk_of, needs_of
from ear.config import Config, parse_config
from ear.config.paths import Paths
from ear.models.catalogue import Asset, load_catalogue, shapes_of


def check_machine(
    config: Config, catalogue: Mapping[str, Asset], memory_mb: int, backbone: bool = True
) -> list[Finding]:
    """What concerns the machine that computes, and what it writes to: takes seconds and asks no network.

    Args:
        config: the experiment.
        catalogue: all assets, by name.
        memory_mb: of the largest job.
        backbone: whether jobs are left that load the backbone; judges need little memory of a GPU.
    """
    found = []
    if config.backbone.device == "cuda":
        needs = needs_of(config, dimensions_of(config, catalogue)) if backbone else []
        found += [*check_gpu(config.backbone.dtype, needs), check_compiler()]
    return [*found, *check_room(config, catalogue), check_memory(memory_mb)]


def check_room(config: Config, catalogue: Mapping[str, Asset]) -> list[Finding]:
    """Whether the disks have room for results, and for the assets that are still to be fetched."""
    made = sum(disk_of(config, dimensions_of(config, catalogue)).values())
    wanted = {Paths(config.experiment).root: made}
    # An archive and what it unpacks to lie side by side.
    missing = [one.asset for one in assets_of(config, catalogue) if one.fetch]
    if fetched := sum((2 if asset.archives else 1) * asset.size for asset in missing):
        wanted[config.assets.store] = fetched
    return check_disk(wanted)


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
    if slurm is None:
        found = check_machine(config, catalogue, memory_mb)
    else:
        found = [*(check_slurm(**slurm) if slurm else []), *check_room(config, catalogue)]
    return [*found, *check_sources(assets_of(config, catalogue))]


def main() -> int:
    """Print the first line that would stop the run and return 1, or what may slow it and return 0."""
    given = json.load(sys.stdin)
    catalogue = load_catalogue(given["catalogue"])
    config = parse_config(given["config"], source="the experiment's config", shapes=shapes_of(catalogue))
    found = check_machine(config, catalogue, given["memory_mb"], given["backbone"])
    errors = [one for one in found if one.level == "error"]
    if errors:
        more = f" and {len(errors) - 1} more" if len(errors) > 1 else ""
        how = f"(snakemake check lists this{more}; --no-hooks starts all the same)"
        print(errors[0], how, file=sys.stderr)
        return 1
    for one in found:
        if one.level == "warning":
            print(one, file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
