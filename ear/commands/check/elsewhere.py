"""What a run needs from elsewhere: a source that gives each asset, a cluster that takes the jobs."""

import shutil
import subprocess
import threading
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any

import requests
from huggingface_hub import HfApi

from ear.commands.check.gpu import Finding
from ear.errors import InputError, one_line
from ear.models.catalogue import Asset, Hub, Urls
from ear.models.fetch import hub_errors
from ear.models.lock import Needed

DEADLINE_S = 4.0
"""For the answers of all sources together."""
SLURM_S = 3
"""For an answer of a command of Slurm."""
ELSEWHERE = "fetch it where there is a network (snakemake assets), or set assets.root to a folder with it"
PROFILE = "profiles/slurm/config.yaml"


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
        lacking = one.state.startswith(("missing", "pip install"))
        wanted = f"; wanted {one.asset.title} from {one.asset.origin}" if lacking else ""
        return Finding("error" if lacking else "ok", what, one.state + wanted)
    if answer:
        return Finding("error", what, f"to fetch, and {answer}; {ELSEWHERE}")
    return Finding("ok", what, f"to fetch, {one.asset.size_words}, reachable")


def obstacle(asset: Asset) -> str:
    """Why an asset cannot be fetched now; empty where its source answers as it should."""
    source = asset.source
    if isinstance(source, Hub):
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
    try:
        with requests.get(url, stream=True, timeout=DEADLINE_S) as response:
            if not response.ok:
                return f"{url} answers {response.status_code} {response.reason}"
            if response.headers.get("Content-Type", "").startswith("text/html"):
                return f"{url} answers with a web page in place of the file"
    except requests.Timeout:
        return f"{url} gives no answer in {DEADLINE_S:.0f} s"
    except requests.RequestException as error:
        return f"{url} is not reachable: {one_line(error)}"
    return ""


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
        run = subprocess.run(command, capture_output=True, text=True, timeout=SLURM_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return run.stdout.split("\n")
