"""Room on the disk, memory, and what the decoding step is compiled with."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from ear.assets.catalogue import size_in_words
from ear.check.finding import Finding
from ear.compiler import missing_for_compiling
from ear.machine import memory_mb


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
