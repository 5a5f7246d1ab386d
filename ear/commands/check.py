"""What would stop an experiment here: GPUs, compiler, disks, memory, Slurm, and sources of assets.

``python -m ear.commands.check`` looks at this machine before the first job of a run, JSON on stdin.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Literal

from ear.commands.plan.estimate import Need, assets_of, dimensions_of, disk_of, needs_of
from ear.config import Config, parse_config
from ear.config.paths import Paths
from ear.errors import InputError, one_line
from ear.models.catalogue import Asset, Hub, Urls, load_catalogue, shapes_of, size_in_words
from ear.models.fetch import hub_errors
from ear.models.lock import Needed
from ear.workflow.machine import gpu_error, memory_mb, missing_for_compiling

DEADLINE_S = 4.0
"""For the answers of all sources together."""
SLURM_S = 3
"""For an answer of a command of Slurm."""
PROFILE = "profiles/slurm/config.yaml"


@dataclass(frozen=True)
class Finding:
    """What was looked at, and what was found and, unless all is well, what to do.

    An error would stop the run; a warning makes it slower, or may stop it.
    """

    level: Literal["ok", "warning", "error"]
    what: str
    found: str

    def __str__(self) -> str:
        return f"{self.level}: {self.what}: {self.found}"


def check_all(
    config: Config, catalogue: Mapping[str, Asset], memory_mb: int, slurm: Mapping[str, Any] | None
) -> list[Finding]:
    """All that is looked at; ``slurm`` is what ``check_slurm`` takes, or None where jobs run here."""
    if slurm is None:
        found = check_machine(config, catalogue, memory_mb)
    else:
        found = [*(check_slurm(**slurm) if slurm else []), *_check_room(config, catalogue)]
    return [*found, *check_sources(assets_of(config, catalogue))]


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
    return [*found, *_check_room(config, catalogue), check_memory(memory_mb)]


def check_gpu(dtype: str, needs: Sequence[Need]) -> list[Finding]:
    """Whether torch computes on the GPUs of this machine, and what fits on them."""
    import torch  # late: it takes seconds

    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:  # an AssertionError: built without CUDA
        build = f"torch {torch.__version__} (CUDA {torch.version.cuda})"
        todo = "docs/how-to/gpu.md lists what it needs; without a GPU set backbone.device: cpu"
        return [Finding("error", "GPU", f"{build} sees none: {one_line(error)}; {todo}")]
    gpus = range(torch.cuda.device_count())
    found = [_gpu(index, dtype) for index in gpus]
    smallest = min(torch.cuda.mem_get_info(index)[0] for index in gpus)
    return [*found, *(_need(need, smallest) for need in needs)]


def _gpu(index: int, dtype: str) -> Finding:
    """Whether a GPU can compute: a build of torch may hold no code for it, or another process may own it."""
    import torch

    what = f"GPU {index}"
    if error := gpu_error(index):
        todo = "use another GPU, or install another build of torch (docs/how-to/gpu.md)"
        return Finding("error", what, f"cannot compute: {error}; {todo}")
    free, total = torch.cuda.mem_get_info(index)
    about = f"{torch.cuda.get_device_name(index)}, {free / 1e9:.1f} of {total / 1e9:.1f} GB free"
    if dtype == "bfloat16" and torch.cuda.get_device_capability(index) < (8, 0):
        slow = "emulates bfloat16, which is slow: use a GPU of compute capability 8.0 or newer"
        return Finding("warning", what, f"{about}; {slow}")
    return Finding("ok", what, about)


def _need(need: Need, free: float) -> Finding:
    """How much of a kind of work fits into the free memory of the smallest GPU."""
    what, fits = f"GPU memory to {need.what}", need.fits(free)
    wanted = need.bytes_of(need.wanted)
    found = f"{wanted / 1e9:.1f} GB for {need.wanted} {need.unit}, {free / 1e9:.1f} GB free"
    if fits == need.wanted:
        return Finding("ok", what, found)
    if fits:
        return Finding("warning", what, f"{found}: batches of {fits} will be used, which takes longer")
    return Finding("error", what, f"{found}; use a larger GPU, or end what else runs on this one")


def check_compiler() -> Finding:
    """What the decoding step is compiled with on the machine with the GPU; it runs uncompiled without."""
    missing = missing_for_compiling()
    if missing:
        return Finding(
            "warning",
            "compiler",
            f"{missing}; until then images are rendered without compilation, which is slower",
        )
    return Finding("ok", "compiler", "found a C compiler and Python.h")


def check_memory(wanted_mb: int) -> Finding:
    """Whether the largest job's ``mem_mb`` fits into the memory of this machine."""
    held = memory_mb()
    found = f"{held / 1e3:.1f} GB, and the largest job needs {wanted_mb / 1e3:.1f} GB"
    if held < wanted_mb:
        return Finding("warning", "memory", f"{found}; it may be killed: use a machine with more memory")
    return Finding("ok", "memory", found)


def _check_room(config: Config, catalogue: Mapping[str, Asset]) -> list[Finding]:
    """Whether the disks have room for results, and for the assets that are still to be fetched."""
    made = sum(disk_of(config, dimensions_of(config, catalogue)).values())
    # An archive and what it unpacks to lie side by side.
    missing = [one.asset for one in assets_of(config, catalogue) if one.fetch]
    fetched = sum((2 if asset.archives else 1) * asset.size for asset in missing)
    return check_disk(
        {Paths(config.experiment).root: made} | ({config.assets.store: fetched} if fetched else {})
    )


def check_disk(wanted: Mapping[str, float]) -> list[Finding]:
    """Whether there is room for folders (path → bytes); those on one file system share its room."""
    systems: dict[int, list[str]] = {}
    for folder in wanted:
        systems.setdefault(_existing(folder).stat().st_dev, []).append(folder)
    return [_room(folders, sum(wanted[one] for one in folders)) for folders in systems.values()]


def _room(folders: list[str], wanted: float) -> Finding:
    what, free = f"disk of {', '.join(folders)}", shutil.disk_usage(_existing(folders[0])).free
    found = f"{size_in_words(free)} free, about {size_in_words(round(wanted))} needed"
    if free >= wanted:
        return Finding("ok", what, found)
    # Counted only now: a finished experiment has half a million files.
    files = (Path(at) / name for folder in folders for at, _, names in os.walk(folder) for name in names)
    held = sum(one.stat().st_size for one in files if not one.is_symlink())
    if free + held >= wanted:
        return Finding("ok", what, f"{found}, of which {size_in_words(held)} exist already")
    return Finding("error", what, f"{found}; free space, or move the folder to a larger disk and link it")


def _existing(folder: str) -> Path:
    """The folder, or its closest parent that is there."""
    path = Path(folder).absolute()
    return next(one for one in (path, *path.parents) if one.exists())


def check_sources(needed: Sequence[Needed]) -> list[Finding]:
    """A line for each asset: whether it is here, or its source answers. Nothing is fetched."""
    answers: dict[str, str] = {}

    def look(one: Needed) -> None:
        answers[one.name] = obstacle(one.asset)

    # Daemons: nobody waits for a source that does not answer.
    threads = [threading.Thread(target=look, args=[one], daemon=True) for one in needed if one.fetch]
    for thread in threads:
        thread.start()
    deadline = monotonic() + DEADLINE_S
    for thread in threads:
        thread.join(max(0.0, deadline - monotonic()))
    return [_source(one, answers.get(one.name, f"no answer in {DEADLINE_S:.0f} s")) for one in needed]


def _source(one: Needed, answer: str) -> Finding:
    what = f"asset {one.name}"
    if not one.fetch:
        lacking = one.state.startswith(("missing", "not installed"))
        wanted = f"; wanted {one.asset.title} from {one.asset.origin}" if lacking else ""
        return Finding("error" if lacking else "ok", what, one.state + wanted)
    if answer:
        todo = "run `snakemake assets` where there is a network, or set assets.root to a folder that has it"
        return Finding("error", what, f"not downloaded yet, and {answer}; {todo}")
    return Finding("ok", what, f"not downloaded yet, {one.asset.size_words}, its source answers")


def obstacle(asset: Asset) -> str:
    """Why an asset cannot be fetched now; empty where its source answers as it should."""
    source = asset.source
    if isinstance(source, Hub):
        from huggingface_hub import HfApi

        try:
            with hub_errors(source):
                HfApi().auth_check(source.repo)
        except InputError as error:
            return str(error)
    if isinstance(source, Urls):
        return next(filter(None, (_web(one.url) for one in source.downloads)), "")
    return ""


def _web(url: str) -> str:
    """Why an address gives no file; looks at the head of its answer and reads nothing of it."""
    import requests

    try:
        # Longer than all of them are waited for, so that a slow one is said to be slow.
        with requests.get(url, stream=True, timeout=2 * DEADLINE_S) as response:
            if not response.ok:
                return f"{url} answers {response.status_code} {response.reason}"
            if response.headers.get("Content-Type", "").startswith("text/html"):
                return f"{url} answers with a web page in place of the file"
    except requests.RequestException as error:
        return f"{url} is not reachable: {one_line(error)}"
    return ""


def check_slurm(partitions: Sequence[str], status_command: str, gpu: bool) -> list[Finding]:
    """Whether Slurm is here and knows what jobs ask it for.

    Args:
        partitions: that jobs are sent to; none for the cluster's own choice.
        status_command: of Snakemake's Slurm executor.
        gpu: whether jobs ask for a GPU.
    """
    if shutil.which("sbatch") is None:
        return [Finding("error", "Slurm", "found no sbatch; start on a login node of the cluster")]
    rows = [line.split("|") for line in _lines("sinfo", "--noheader", "--format=%R|%G") if "|" in line]
    if not rows:
        return [
            Finding(
                "error",
                "Slurm",
                "sinfo lists no partition; check that slurmctld is running",
            )
        ]
    known = sorted({row[0] for row in rows})
    found = [
        Finding("error", "Slurm", f"found partition {one} in {PROFILE}, wanted one of {', '.join(known)}")
        for one in partitions
        if one not in known
    ]
    if gpu and not any("gpu" in row[-1] for row in rows):
        todo = "jobs ask for --gpus=1: remove it by --set-resources RULE:gpu=0 for each rule"
        found.append(Finding("error", "Slurm", f"sinfo lists no GPU as a generic resource; {todo}"))
    storage = [line for line in _lines("scontrol", "show", "config") if "AccountingStorageType" in line]
    accounting = bool(storage) and "none" not in storage[0]
    if not accounting and status_command != "squeue":
        todo = f"set slurm-status-command: squeue in {PROFILE}, or Snakemake waits forever"
        found.append(Finding("error", "Slurm", f"found no accounting; {todo}"))
    return found or [Finding("ok", "Slurm", f"partitions {', '.join(known)}")]


def _lines(*command: str) -> list[str]:
    """What a command of Slurm prints; nothing where it fails."""
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=SLURM_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return run.stdout.split("\n")


def main() -> int:
    """Print the first line that would stop the run and return 1, or what may slow it and return 0."""
    given = json.load(sys.stdin)
    catalogue = load_catalogue(given["catalogue"])
    config = parse_config(given["config"], source="the experiment's config", shapes=shapes_of(catalogue))
    found = check_machine(config, catalogue, given["memory_mb"], given["backbone"])
    if errors := [one for one in found if one.level == "error"]:
        more = f" and {len(errors) - 1} more" if len(errors) > 1 else ""
        how = f"(snakemake check lists this{more}; --no-hooks starts the run anyway)"
        print(errors[0], how, file=sys.stderr)
        return 1
    for one in found:
        if one.level == "warning":
            print(one, file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
