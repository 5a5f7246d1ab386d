"""A copy of the repository to run Snakemake in."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
SMOKE = ["--configfile", "configs/smoke.yaml"]
CODE = ["ear", "configs", "envs", "models", "profiles", "report", "rules", "scripts"]
CODE += ["Snakefile", "assets.yaml", "config.yaml", "requirements.lock"]


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


def config_of(experiment):
    """An experiment's config as parsed YAML."""
    return yaml.safe_load((ROOT / f"configs/{experiment}.yaml").read_text())


def write_config(path, config):
    """Write a config, the order of its methods kept; returns Snakemake's arguments for it."""
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return ["--configfile", str(path)]


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


@cache
def _forks():
    command = [sys.executable, "-P", Path(__file__).with_name("forks.py")]
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.Popen(
        command, env=variables, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/"
    )


def dry_run(folder, *arguments, check=True):
    """What a dry run on the copy's own code prints; it must end well, or where check is False badly."""
    with tempfile.NamedTemporaryFile("r", suffix=".log") as log:
        request = {"folder": str(folder), "log": log.name, "arguments": [*arguments, "--dry-run"]}
        process = _forks()
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        code, text = int(process.stdout.readline()), log.read()
    assert (code == 0) == check, text[-9000:]
    return text


def planned_counts(folder, *arguments):
    """Rule → number of jobs that a dry run would execute, without `all`."""
    counts = counts_in(dry_run(folder, *arguments, "--quiet", "rules"))
    return {name: count for name, count in counts.items() if name not in ("all", "total")}


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
