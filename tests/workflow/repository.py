"""A copy of the repository to run Snakemake in."""

import os
import re
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
    "models",
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


def odd_folder(parent):
    """A new folder with blanks, a quote, a dollar sign and a letter that is not ASCII in its path."""
    folder = parent / "a b" / "ü's $x"
    folder.mkdir(parents=True)
    return folder


def interpreter(folder):
    """The copy's own Python where it has one: its path is then as odd as the folder's."""
    own = folder / ".venv/bin/python"
    return str(own) if own.exists() else sys.executable


def copy_of_a_run(folder, place):
    """A copy of a repository with what was run in it and what Snakemake knows of that, times included."""
    return shutil.copytree(folder, place, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))


def snakemake(folder, *arguments, check=True, before=(), environment=()):
    """Run Snakemake on the copy's own code.

    Args:
        folder: the copy.
        arguments: of Snakemake.
        check: whether it must end well.
        before: a command that starts it, with its arguments.
        environment: variables on top of this process's.
    """
    variables = os.environ | {"PYTHONPATH": str(folder)} | dict(environment)
    command = [*before, interpreter(folder), "-m", "snakemake", *arguments]
    run = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=1800)
    if check:
        assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-6000:]
    return run


def planned_counts(folder, *arguments):
    """Rule → number of jobs that a dry run would execute."""
    run = snakemake(folder, *arguments, "--dry-run", "--quiet", "rules")
    return counts_in(run.stdout + run.stderr)


def counts_in(text):
    """Rule → number of jobs in what a dry run prints."""
    lines = (line.split() for line in text.splitlines() if ":" not in line)
    return {words[0]: int(words[1]) for words in lines if len(words) == 2 and words[1].isdigit()}


def resources_in(text):
    """Name of a job's benchmark → its resources, in what a dry run prints."""
    found = {}
    for block in text.split("jobid: ")[1:]:
        benchmark = re.search(r"benchmark: \S+/(\S+)\.tsv", block)
        resources = re.search(r"resources: (.*)", block)
        if benchmark and resources:
            found[benchmark[1]] = dict(item.split("=") for item in resources[1].split(", "))
    return found
