"""The machine that computes: its GPUs, what compiles for them, room on its disks, memory."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ear.commands.plan.needs import Need
from ear.models.catalogue import size_in_words
from ear.workflow.machine import VISIBLE, memory_mb, missing_for_compiling, visible_gpus


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


def check_gpu(dtype: str, needs: Sequence[Need]) -> list[Finding]:
    """Whether torch computes on the GPUs of this machine, and what fits on them.

    Args:
        dtype: of the backbone.
        needs: memory that the experiment's work takes.
    """
    import torch  # late: it takes seconds

    hidden = os.environ.get(VISIBLE) is not None and not visible_gpus()
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:  # an AssertionError: built without CUDA
        said = f"{VISIBLE} is {os.environ[VISIBLE]!r}, unset it" if hidden else " ".join(str(error).split())
        build = f"torch {torch.__version__} (CUDA {torch.version.cuda})"
        todo = "docs/how-to/paper.md has what it needs; without a GPU set backbone.device: cpu"
        return [Finding("error", "GPU", f"none is visible to {build}: {said}; {todo}")]
    gpus = range(torch.cuda.device_count())
    found = [_gpu(index, dtype) for index in gpus]
    smallest = min(torch.cuda.mem_get_info(index)[0] for index in gpus)
    return [*found, *(_need(need, smallest) for need in needs)]


def _gpu(index: int, dtype: str) -> Finding:
    """Whether a GPU computes: a build of torch may hold no code for it, or another process may own it."""
    import torch

    what = f"GPU {index}"
    try:
        torch.ones(2, device=f"cuda:{index}").sum().item()
    except RuntimeError as error:
        todo = "take another GPU, or another build of torch (docs/how-to/paper.md)"
        return Finding("error", what, f"computes nothing: {str(error).splitlines()[0]}; {todo}")
    free, total = torch.cuda.mem_get_info(index)
    about = f"{torch.cuda.get_device_name(index)}, {free / 1e9:.1f} of {total / 1e9:.1f} GB free"
    if dtype == "bfloat16" and torch.cuda.get_device_capability(index) < (8, 0):
        slow = "computes bfloat16 by emulation, slowly: take one of compute capability 8.0 or more"
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
        return Finding("warning", what, f"{found}: {fits} at once, which takes longer")
    return Finding("error", what, f"{found}; take a larger GPU, or end what else runs on this one")


def check_compiler() -> Finding:
    """What the decoding step is compiled with on the machine with the GPU; it runs uncompiled without."""
    missing = missing_for_compiling()
    if missing:
        return Finding("warning", "compiler", f"{missing}; images are drawn uncompiled, more slowly")
    return Finding("ok", "compiler", "a C compiler and Python.h are here")


def check_disk(wanted: Mapping[str, float]) -> list[Finding]:
    """Whether there is room for what will be written.

    Args:
        wanted: folder → bytes that it will hold; those on one file system share its room.
    """
    systems: dict[int, list[str]] = {}
    for folder in wanted:
        systems.setdefault(_existing(folder).stat().st_dev, []).append(folder)
    return [_room(folders, sum(wanted[one] for one in folders)) for folders in systems.values()]


def _room(folders: list[str], wanted: float) -> Finding:
    what, free = f"disk of {', '.join(folders)}", shutil.disk_usage(_existing(folders[0])).free
    found = f"{size_in_words(free)} free, about {size_in_words(round(wanted))} wanted"
    if free >= wanted:
        return Finding("ok", what, found)
    held = sum(map(_held, folders))  # counted only now: a finished experiment has half a million files
    if free + held >= wanted:
        return Finding("ok", what, f"{found}, of which {size_in_words(held)} are there")
    return Finding("error", what, f"{found}; make room, or move the folder to a larger disk and link it here")


def _existing(folder: str) -> Path:
    """The folder, or its closest parent that is there."""
    path = Path(folder).absolute()
    return next(one for one in (path, *path.parents) if one.exists())


def _held(folder: str) -> int:
    files = (Path(at) / name for at, _, names in os.walk(folder) for name in names)
    return sum(one.stat().st_size for one in files if not one.is_symlink())


def check_memory(wanted_mb: int) -> Finding:
    """Whether the largest job's ``mem_mb`` fits into the memory of this machine."""
    held = memory_mb()
    found = f"{held / 1e3:.1f} GB, the largest job asks for {wanted_mb / 1e3:.1f} GB"
    if held < wanted_mb:
        todo = "it runs alone and may be killed: take a machine with more"
        return Finding("warning", "memory", f"{found}; {todo}")
    return Finding("ok", "memory", found)
