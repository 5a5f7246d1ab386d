"""What the jobs of one machine share: its memory, its compiler, and its GPUs one by one."""

import fcntl
import logging
import os
import shutil
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ear.errors import InputError

VISIBLE = "CUDA_VISIBLE_DEVICES"
SECONDS_BETWEEN_TRIES = 0.5

logger = logging.getLogger(__name__)


def memory_mb(system: Path = Path("/")) -> int:
    """Memory that the processes of this machine may use together, MB.

    A container or a batch system may give less than the machine has: the limits of the control group of this
    process and of those above it count, of version 2 and of version 1.

    Args:
        system: folder in which ``proc`` and ``sys`` are.
    """
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    try:
        groups = (system / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:  # no Linux
        groups = []
    root = system / "sys/fs/cgroup"
    for line in groups:
        _, kinds, own = line.split(":", maxsplit=2)
        top, name = (root, "memory.max") if not kinds else (root / "memory", "memory.limit_in_bytes")
        if kinds and "memory" not in kinds.split(","):
            continue
        # Inside a container the group's path may be one of the host's, which is not there: the top is.
        group = top.joinpath(*(part for part in own.split("/") if part not in ("", "..")))
        for folder in (group, *group.parents):
            if folder.is_relative_to(top) and (folder / name).is_file():
                limit = (folder / name).read_text(encoding="utf-8").strip()
                limits += [int(limit)] if limit.isdigit() else []  # or "max"
    return min(limits) // 10**6


def missing_for_compiling() -> str | None:
    """What Triton, by which torch compiles for a GPU, misses here: found, wanted, what to do; or None."""
    chosen = os.environ.get("CC")
    if chosen is not None and shutil.which(chosen) is None:
        return f"found no C compiler {chosen!r}, which the environment variable CC names: unset it or mend it"
    if chosen is None and not any(map(shutil.which, ("gcc", "clang"))):
        return (
            "found no C compiler, wanted gcc or clang in PATH or one named by the environment variable CC: "
            "install one (Debian: gcc)"
        )
    scheme = sysconfig.get_default_scheme().replace("posix_local", "posix_prefix")  # as Triton looks
    header = Path(sysconfig.get_paths(scheme)["include"]) / "Python.h"
    if not header.is_file():
        return f"found no {header}, wanted the headers of this Python: install them (Debian: python3-dev)"
    return None


def visible_gpus() -> list[str] | None:
    """Names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES takes them, where something tells.

    Does not import torch, which reads the variable once.
    """
    if (listed := os.environ.get(VISIBLE)) is not None:
        names = [name.strip() for name in listed.split(",")]
        # CUDA leaves out what stands behind an invalid number.
        invalid = next((place for place, name in enumerate(names) if name in ("", "-1")), len(names))
        return names[:invalid]
    if (program := shutil.which("nvidia-smi")) is None:
        return None
    answer = subprocess.run([program, "-L"], capture_output=True, text=True, check=False)
    if answer.returncode:
        return None
    # "GPU 0: NVIDIA H100 (UUID: GPU-…)"; for each part of a GPU, "  MIG 1g.10gb Device 0: (UUID: MIG-…)"
    # follows, and the parts alone can be used.
    gpus: list[list[str]] = []
    for line in answer.stdout.splitlines():
        name = line.rpartition("(UUID: ")[2].rstrip(")")
        if line.startswith("GPU "):
            gpus.append([name])
        elif line.strip().startswith("MIG ") and gpus:
            gpus[-1].append(name)
    return [name for gpu in gpus for name in (gpu[1:] or gpu)]


def gpu_error(index: int = 0) -> str | None:
    """Why torch computes nothing on a GPU, if so: it may hold no code for it, or the driver is too old."""
    import torch  # late: it takes seconds

    try:
        torch.ones(2, device=f"cuda:{index}").sum().item()
    except (RuntimeError, AssertionError) as error:  # the latter is from a torch without CUDA
        return str(error).splitlines()[0].rstrip(".")
    return None


@contextmanager
def own_gpu() -> Iterator[None]:
    """Show one GPU to this process, which no other job of this user has; wait for one while all are busy.

    A lock of the kernel holds the GPU: it ends with the process, however that ends.

    Raises:
        InputError: no GPU is visible.
    """
    names = visible_gpus()
    if names == []:
        listed = f"{VISIBLE}={os.environ[VISIBLE]!r}" if VISIBLE in os.environ else "none in `nvidia-smi -L`"
        wanted = "wanted one for this job: run on a machine that has one, or set backbone.device: cpu"
        raise InputError(f"GPU: found {listed}, {wanted}")
    with ExitStack() as held:
        if names is None:
            _take(["0"], held)  # whatever torch finds: its jobs take turns
        else:
            os.environ[VISIBLE] = _take(names, held)
            logger.info("running on GPU %s of %s", os.environ[VISIBLE], ", ".join(names))
        yield


def _take(names: list[str], held: ExitStack) -> str:
    """Lock the first free GPU, and keep it until the stack is closed."""
    folder = Path(tempfile.gettempdir()) / f"ear-gpus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    waiting = False
    while True:
        for name in names:
            handle = (folder / name.replace("/", "_")).open("w")
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                handle.close()
                continue
            held.enter_context(handle)
            return name
        if not waiting:
            waiting = True
            logger.info("waiting for a free GPU: other jobs use %s", ", ".join(names))
        time.sleep(SECONDS_BETWEEN_TRIES)
