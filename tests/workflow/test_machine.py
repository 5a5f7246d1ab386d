"""Where a run may be: any path, any environment, little memory, somebody's allocation. Tiny jobs, the real rules."""

import itertools
import json
import resource
import shutil
import sys

import pytest

from tests.workflow.repository import ROOT, dry_run, odd_folder, snakemake

SNAKEFILE = """
import ear.workflow.machine

ear.workflow.machine.memory_mb = lambda: 1000


include: "rules/workflow.smk"


onstart:
    check_limits()


rule all:
    input:
        expand("{number}.out", number=range(3)),
        "large.out",


rule small:
    output:
        "{number}.out",
    log:
        "{number}.log",
    resources:
        mem_mb=600,
    script:
        "work.py"


rule large:
    output:
        "large.out",
    log:
        "large.log",
    resources:
        mem_mb=5000,
    script:
        "work.py"
"""
WORK = """
import json, os, resource, sys, time
from ear.workflow.jobs import job

started = time.monotonic()
with job(snakemake):
    time.sleep(0.2)
    facts = {
        "started": started,
        "ended": time.monotonic(),
        "python": sys.executable,
        "writes bytecode": not sys.dont_write_bytecode,
        "limit": resource.getrlimit(resource.RLIMIT_DATA)[0],
    }
    with open(snakemake.output[0], "w") as handle:
        json.dump(facts, handle)
"""
JOBS = ("0", "1", "2", "large")
HOSTILE = {"SLURM_JOB_ID": "7", "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A tiny workflow with the repository's own rules for the machine, in a path that must be quoted."""
    folder = odd_folder(tmp_path_factory.mktemp("machine"))
    for name in ("ear", "rules", "profiles"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "Snakefile").write_text(SNAKEFILE)
    (folder / "work.py").write_text(WORK)
    return folder


@pytest.fixture(scope="module")
def facts(place):
    snakemake(place, "--cores", "4", "--jobs", "4", environment=HOSTILE)
    return {name: json.loads((place / f"{name}.out").read_text()) for name in JOBS}


def test_jobs_have_their_interpreter_and_no_limits_and_share_the_memory(place, facts):
    assert {job["python"] for job in facts.values()} == {str(place / ".venv/bin/python")}
    assert all(character in str(place) for character in " '$ü")
    assert {job["limit"] for job in facts.values()} == {
        resource.RLIM_INFINITY
    }  # in somebody's allocation too
    assert all(job["writes bytecode"] for job in facts.values())
    times = sorted((job["started"], job["ended"]) for job in facts.values())
    assert not any(later[0] < earlier[1] for earlier, later in itertools.pairwise(times))


def test_a_submitted_job_is_limited(place, facts):
    # As the step of a Slurm job calls Snakemake again.
    arguments = ["--mode", "remote", "--executor", "local", "--cores", "1", "--nolock", "--force", "0.out"]
    snakemake(place, *arguments, environment=HOSTILE)
    assert json.loads((place / "0.out").read_text())["limit"] == 600 * 2**20


@pytest.mark.parametrize(
    ("moved", "arguments", "letter"),
    [(False, ["--workflow-profile", "profiles/slurm"], "$"), (True, [], "{")],
)
def test_a_path_that_snakemake_cannot_have_is_refused(place, tmp_path, moved, arguments, letter):
    if moved:
        place = shutil.copytree(place, tmp_path / "{tiny}", symlinks=True)
    text = dry_run(place, *arguments, check=False)
    errors = [line for line in text.splitlines() if line.startswith("error: ")]
    assert errors == [
        f"error: {place}: found {letter} in the path, which Snakemake cannot use, wanted none: move the clone"
    ]


def test_limits_of_one_machine_and_of_a_cluster_are_not_mixed_up(place, tmp_path):
    plain = shutil.copytree(place, tmp_path / "plain", symlinks=True)
    run = snakemake(plain, "--default-resources", "on_cluster=1", "--force", "0.out", check=False)
    assert run.returncode == 1
    assert "error: --default-resources: found on_cluster=1, wanted it on Slurm only" in run.stderr
