"""A copy of the repository to run Snakemake in."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SMOKE = ["--configfile", "configs/smoke.yaml"]
CODE = [
    "Snakefile",
    "assets.yaml",
    "config.yaml",
    "configs",
    "ear",
    "envs",
    "profiles",
    "report",
    "requirements.lock",
    "rules",
    "scripts",
]


def copy_of_the_repository(folder):
    """The files that a run reads, and nothing that a run made."""
    folder.mkdir()
    for name in CODE:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return folder


def copy_of_a_run(folder, place):
    """A copy of a repository with what was run in it and what Snakemake knows of that, times included."""
    return shutil.copytree(folder, place, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))


def snakemake(folder, *arguments, check=True):
    """Run Snakemake on the copy's own code."""
    environment = os.environ | {"PYTHONPATH": str(folder)}
    command = [sys.executable, "-m", "snakemake", *arguments]
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=1800)
    if check:
        assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-6000:]
    return run


def planned_counts(folder, *arguments):
    """Rule → number of jobs that a dry run would execute."""
    run = snakemake(folder, *arguments, "--dry-run", "--quiet", "rules")
    lines = (line.split() for line in (run.stdout + run.stderr).splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) == 2 and words[1].isdigit()}
