"""What a job was made of, written beside its log; and the chain of jobs behind a result."""

import json
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ear.workflow.files import sha256_file, sha256_lines, write_json
from ear.workflow.texts import read_json

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements.lock"
VERSIONED = (
    "ear-repro",
    "torch",
    "transformers",
    "timm",
    "open-clip-torch",
    "clean-fid",
    "sacrebleu",
    "snakemake",
)
CPU_INFO = Path("/proc/cpuinfo")

Record = Mapping[str, Any]
"""What ``record_job`` wrote: rule, wildcards, inputs, outputs (path → sha256), params, ``environment``."""


def record_job(snakemake: Any) -> None:
    """Write what a job has read, made and run on, as JSON beside its log.

    Inputs are named and not hashed: each is the output of another job, whose record has its hash.
    """
    record = {
        "rule": snakemake.rule,
        "wildcards": dict(snakemake.wildcards.items()),
        "inputs": sorted({str(path) for path in snakemake.input}),
        "outputs": {str(path): digest(path) for path in snakemake.output},
        "params": dict(snakemake.params.items()),
        **environment(snakemake.threads),
    }
    write_json(Path(snakemake.log[0]).with_suffix(".json"), json.loads(json.dumps(record, default=str)))


def digest(path: str | Path) -> str:
    """SHA-256 of a file, or of the names and hashes of all files of a folder but hidden ones."""
    folder = Path(path)
    if not folder.is_dir():
        return sha256_file(path)
    files = [file for file in folder.rglob("*") if file.is_file() and not file.name.startswith(".")]
    return sha256_lines({file.relative_to(folder).as_posix(): sha256_file(file) for file in files})


def environment(threads: int) -> dict[str, Any]:
    """The code, packages and machine of this process."""
    return {
        "code": code_version(),
        "lock": sha256_file(LOCK) if LOCK.is_file() else None,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in VERSIONED},
        "device": device_name(),
        "system": platform.platform(),
        "threads": threads,
    }


def code_version() -> str | None:
    """Commit of the code that runs, "-dirty" where files were changed since; None outside of git."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def device_name() -> str:
    """The GPU, where this process has used one, or else the processor."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return str(torch.cuda.get_device_name())
    lines = CPU_INFO.read_text(encoding="utf-8").splitlines() if CPU_INFO.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def read_records(folder: str | Path) -> dict[str, Record]:
    """Records of all jobs of an experiment, by name, in the folder of its logs; damaged ones are left out."""
    records: dict[str, Record] = {}
    for path in sorted(Path(folder).glob("*.json")):
        try:
            record = read_json(path)
        except ValueError:
            continue
        if isinstance(record, dict) and isinstance(record.get("outputs"), dict):
            records[path.stem] = record
    return records


def chain(results: Iterable[str], records: Mapping[str, Record]) -> list[str]:
    """Names of the jobs behind files, each once, a single file's own first; none where no record has it."""
    makers = {output: name for name, record in records.items() for output in record["outputs"]}
    found: dict[str, None] = {}
    waiting = list(results)
    while waiting:
        name = makers.get(waiting.pop())
        if name is not None and name not in found:
            found[name] = None
            waiting += records[name]["inputs"]
    return list(found)


def trace(results: Iterable[str], records: Mapping[str, Record]) -> dict[str, dict[str, Any]]:
    """For each file: its hash, its job, what that read, and code and devices of all jobs behind it."""
    traced: dict[str, dict[str, Any]] = {}
    for result in results:
        jobs = chain([result], records)
        if not jobs:
            traced[result] = {"job": None}
            continue
        own = records[jobs[0]]
        traced[result] = {
            "sha256": own["outputs"][result],
            "job": jobs[0],
            "inputs": own["inputs"],
            "jobs": sorted(jobs),
        }
        for key in ("code", "lock", "device"):
            traced[result][key] = sorted({str(records[name].get(key)) for name in jobs})
    return traced
