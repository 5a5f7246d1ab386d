"""The GPUs of this machine, the driver behind them and the compiler that the decoding step needs."""

import ctypes
import os
import re
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from runpy import run_path
from typing import Any

from ear.check.finding import Finding
from ear.machine import VISIBLE, visible_gpus
from ear.plan.needs import Need

DRIVER_FILE = Path("/proc/driver/nvidia/version")
DRIVERS = {11: 450, 12: 525, 13: 580}
"""Major version of CUDA → the oldest branch of NVIDIA's driver that runs it (CUDA's release notes)."""
OTHER_BUILD = "or lock another build of torch (docs/paper.md)"


def check_gpu(dtype: str, needs: Sequence[Need]) -> list[Finding]:
    """Whether torch can use the GPUs of this machine, and what fits on them: none visible is the first line.

    Args:
        dtype: of the backbone.
        needs: memory that the experiment's work takes.
    """
    build = torch_build()
    version, built = build["__version__"], build["cuda"]
    obstacle = None if build["hip"] else _obstacle(built)
    if obstacle is None:
        import torch  # late: it takes seconds

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            if not torch.cuda.is_available():
                said = " ".join(str(one.message).split("(")[0].strip() for one in caught)
                obstacle = f"{said or 'it does not say why'}; does nvidia-smi list a GPU?"
    if obstacle:
        return [Finding("error", "GPU", f"none is visible to torch {version}: {obstacle}")]
    found = [_driver(built)] if built else []
    for index in range(torch.cuda.device_count()):
        name, (free, total) = torch.cuda.get_device_name(index), torch.cuda.mem_get_info(index)
        capability = torch.cuda.get_device_capability(index)
        about = f"{name}, {free / 1e9:.1f} of {total / 1e9:.1f} GB free, compute capability "
        about += "{}.{}".format(*capability)
        if not runs_on(capability, torch.cuda.get_arch_list()):
            wanted = f"wanted one of {', '.join(torch.cuda.get_arch_list())}: take a newer GPU {OTHER_BUILD}"
            found.append(Finding("error", f"GPU {index}", f"{about}; {wanted}"))
        elif dtype == "bfloat16" and capability < (8, 0):
            slow = "computes bfloat16 by emulation, slowly: take a GPU of capability 8.0 or more"
            found.append(Finding("warning", f"GPU {index}", f"{about}; {slow}"))
        else:
            found.append(Finding("ok", f"GPU {index}", about))
    smallest = min(torch.cuda.mem_get_info(index)[0] for index in range(torch.cuda.device_count()))
    return [*found, *(_need(need, smallest) for need in needs)]


def _need(need: Need, free: float) -> Finding:
    """How much of a kind of work fits into the free memory of the smallest GPU."""
    what, fits = f"GPU memory to {need.what}", need.fits(free)
    found = f"{need.bytes / 1e9:.1f} GB for {need}, {free / 1e9:.1f} GB free"
    if fits == need.wanted:
        return Finding("ok", what, found)
    if fits:
        return Finding("warning", what, f"{found}: {fits} at once, which takes longer")
    return Finding("error", what, f"{found}; take a larger GPU, or end what else runs on this one")


def torch_build() -> dict[str, Any]:
    """What torch's version.py says (``__version__``, ``cuda``, ``hip``), without importing torch."""
    spec = find_spec("torch")
    assert spec and spec.origin, "torch is one of the project's dependencies"
    return run_path(str(Path(spec.origin).with_name("version.py")))


def _obstacle(built: str | None) -> str | None:
    """What keeps torch from seeing a GPU, and what to do; None where only torch can tell."""
    if built is None:
        return f"it is a build without CUDA; install the lock's build {OTHER_BUILD}"
    if VISIBLE in os.environ and not visible_gpus():
        return f"{VISIBLE} is {os.environ[VISIBLE]!r}; unset it"
    driver = installed_driver()
    if driver is None and not _has_library():
        return "no NVIDIA driver is loaded; run on a machine with a GPU, or set backbone.device: cpu"
    if driver and _branch(driver) < wanted_driver(built):
        return _too_old(driver, built)
    return None


def _has_library() -> bool:
    """Whether the driver's library is there: some machines have it without ``DRIVER_FILE``."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def _driver(built: str) -> Finding:
    driver = installed_driver()
    found = driver or f"of a version that {DRIVER_FILE} does not show"
    return Finding("ok", "driver", f"{found}, CUDA {built} wants {wanted_driver(built)} or newer")


def _too_old(driver: str, built: str) -> str:
    wanted = wanted_driver(built)
    return f"found driver {driver}, CUDA {built} wants {wanted} or newer; update it {OTHER_BUILD}"


def installed_driver() -> str | None:
    """Version of the loaded NVIDIA driver; None without one."""
    try:
        text = DRIVER_FILE.read_text(encoding="utf-8")
    except OSError:
        return None
    match = re.search(r"\b(\d{3,}\.\d+(?:\.\d+)?)\b", text)
    return match[1] if match else None


def wanted_driver(built: str) -> int:
    """The oldest branch of the driver that runs a version of CUDA, such as "13.2"."""
    major = int(built.split(".")[0])
    return DRIVERS.get(major, DRIVERS[max(DRIVERS)])


def _branch(driver: str) -> int:
    return int(driver.split(".")[0])


def runs_on(capability: tuple[int, int], built_for: list[str]) -> bool:
    """Whether a build of torch has code for a GPU: machine code of its generation, or PTX of an older one.

    Args:
        capability: (major, minor) of the GPU.
        built_for: as torch lists them, such as ["sm_75", "sm_90a", "compute_120"].
    """
    for one in built_for:
        kind, _, digits = one.partition("_")
        if kind.startswith("gfx"):
            return True  # AMD's names of chips say nothing of capabilities
        number = re.match(r"\d+", digits)
        if number is None:
            continue
        major, minor = int(number[0][:-1]), int(number[0][-1])
        same = major == capability[0] and minor <= capability[1]
        if same or (kind == "compute" and (major, minor) <= capability):
            return True
    return False
