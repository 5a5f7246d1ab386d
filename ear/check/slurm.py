"""What Slurm says of the flags that our profile sends it."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from ear.check.finding import Finding

TIMEOUT_S = 3
PROFILE = "profiles/slurm/config.yaml"


def check_slurm(partitions: Sequence[str], settings: Mapping[str, Any], gpu: bool) -> list[Finding]:
    """Whether Slurm is here and knows what jobs ask it for.

    Args:
        partitions: that jobs are sent to; none for the cluster's own choice.
        settings: ``no_account`` and ``status_command`` of Snakemake's Slurm executor.
        gpu: whether jobs ask for a GPU.
    """
    if shutil.which("sbatch") is None:
        return [Finding("error", "Slurm", "found no sbatch; start on a login node of the cluster")]
    rows = [line.split("|") for line in _lines("sinfo", "--noheader", "--format=%R|%G") if "|" in line]
    if not rows:
        return [Finding("error", "Slurm", "sinfo names no partition; is its controller up?")]
    known = sorted({row[0] for row in rows})
    found = [
        Finding("error", "Slurm", f"found partition {one} in {PROFILE}, wanted one of {', '.join(known)}")
        for one in partitions
        if one not in known
    ]
    if gpu and not any("gpu" in row[-1] for row in rows):
        todo = "jobs ask for --gpus=1: take it out with --set-resources RULE:gpu=0 for each rule"
        found.append(Finding("error", "Slurm", f"sinfo lists no GPU as a generic resource; {todo}"))
    storage = [line for line in _lines("scontrol", "show", "config") if "AccountingStorageType" in line]
    accounting = bool(storage) and "none" not in storage[0]
    if not accounting and settings["status_command"] != "squeue":
        todo = f"set slurm-status-command: squeue in {PROFILE}, or Snakemake waits for ever"
        found.append(Finding("error", "Slurm", f"has no accounting; {todo}"))
    if accounting and settings["no_account"]:
        todo = f"take slurm-no-account out of {PROFILE} if jobs are refused"
        found.append(Finding("warning", "Slurm", f"has accounting; {todo}"))
    return found or [Finding("ok", "Slurm", f"partitions {', '.join(known)}")]


def _lines(*command: str) -> list[str]:
    """What a command of Slurm prints; nothing where it fails."""
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return run.stdout.split("\n")
