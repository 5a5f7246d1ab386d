"""A part of the finished smoke experiment, run again through Slurm's executor while the cluster misbehaves.

One run meets all of it: a job runs out of the memory that it asked for, the controller is restarted, a job is
cancelled, and the node is drained and resumed.
"""

import os
import re
import time
from pathlib import Path

import pytest

from tests.workflow.cluster import missing, running
from tests.workflow.disturbance import Run, differences, finished, forget, until
from tests.workflow.repository import SMOKE, copy_of_a_run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.slurm,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(bool(missing()), reason=missing()),
]

# What five jobs make: features and edited weights, from these the images of two shards, from all of it the verdicts.
FORGOTTEN = [
    "prompts/reference/features.npy",
    "erasure/church/ear",
    "images/church/ear",
    "evaluation/church/ear",
]
TARGET = "results/smoke/evaluation/church/ear/seed0/verdicts.csv"
JOBS = 5
SLURM = ["--workflow-profile", "profiles/slurm", *SMOKE]
SLURM += ["--latency-wait", "10", "--seconds-between-status-checks", "2"]
SLURM += ["--slurm-init-seconds-before-status-checks", "2"]
# Importing torch alone takes more than this; the second attempt has three times as much.
SHORT_OF_MEMORY = "extract_features"
SLURM += ["--set-resources", f"{SHORT_OF_MEMORY}:mem_mb=700 + 2000 * (attempt - 1)"]
CANCELLED = "render_images"


@pytest.fixture(scope="module")
def cluster():
    with running() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def repeated(cluster, undisturbed, tmp_path_factory):
    """A run that meets every mishap, and what the terminal says of it."""
    folder = copy_of_a_run(undisturbed.folder, tmp_path_factory.mktemp("shared") / "repository")
    forget(folder, *FORGOTTEN, "logs")
    run = Run(folder, TARGET, *SLURM)

    def wait_for(condition, what):
        until(lambda: run.process.poll() is not None or condition(), what, 600)
        assert run.process.poll() is None, f"Snakemake ended before {what}:\n{run.text()[-6000:]}"

    def started(rule):
        return any(path.stat().st_size for path in folder.glob(f"results/smoke/logs/{rule}*.log"))

    try:
        wait_for(lambda: started("erase"), "a fine-tuning")
        cluster.stop_controller()
        time.sleep(5)
        cluster.start_controller()
        wait_for(lambda: started(CANCELLED), f"{CANCELLED} to run")
        cluster.run("scancel", next(job for job in cluster.jobs("running") if is_of(cluster, job, CANCELLED)))
        cluster.run("scontrol", "update", f"NodeName={cluster.host}", "State=DRAIN", "Reason=test")
        wait_for(lambda: cluster.node_state() in ("drng", "drain"), "the node to drain")
        time.sleep(5)
        cluster.run("scontrol", "update", f"NodeName={cluster.host}", "State=RESUME")
        run.ended()
    finally:
        run.kill_all()
    assert run.process.returncode == 0, run.text()[-8000:]
    return folder, run.text()


def is_of(cluster, job, rule):
    return f"rule_{rule}" in cluster.run("scontrol", "show", "job", job, check=False)


def test_whatever_the_cluster_does_the_bytes_are_those_of_a_run_without_it(repeated, undisturbed):
    folder, terminal = repeated
    assert differences(folder, undisturbed) == []
    assert finished(terminal) == JOBS


def test_the_job_short_of_memory_and_the_cancelled_one_were_named_and_tried_again(repeated):
    folder, terminal = repeated
    failed = re.findall(r"^failed: (.+)\n    SLURM-job .+\n    (.+)$", terminal, flags=re.MULTILINE)
    again = re.findall(r"^again: (.+)$", terminal, flags=re.MULTILINE)
    assert sorted(message for message, _ in failed) == sorted(again)
    logs = {Path(log).stem.split("-")[0] for _, log in failed if (folder / log).exists()}
    assert len(failed) == 2 and logs == {SHORT_OF_MEMORY, CANCELLED}
    told = (folder / f"results/smoke/logs/{SHORT_OF_MEMORY}.log").read_text()
    assert "memory is limited to 2700 MiB" in told


def test_all_jobs_went_through_slurm(repeated, cluster):
    assert os.environ.get("SLURM_JOB_ID") is None
    states = list(cluster.jobs().values())
    assert states.count("COMPLETED") == JOBS and len(states) == JOBS + 2
