"""The smoke experiment through Slurm's executor, while the cluster misbehaves.

One run meets all of it: a job is cancelled, one runs out of the memory that it asked for, the node is drained and
resumed, and the controller is restarted.
"""

import os
import re
import subprocess
import sys
import time

import pandas as pd
import pytest

from ear.workflow.files import sha256_file
from tests.slurm.cluster import missing, running
from tests.workflow.repository import copy_of_the_repository

pytestmark = [pytest.mark.slow, pytest.mark.slurm, pytest.mark.skipif(bool(missing()), reason=missing())]

SLURM = ["--workflow-profile", "profiles/slurm", "--configfile", "configs/smoke.yaml"]
QUICK = ["--latency-wait", "10", "--seconds-between-status-checks", "2"]
QUICK += ["--slurm-init-seconds-before-status-checks", "2"]
# Importing torch alone takes more than this; the second attempt has three times as much.
SHORT_OF_MEMORY = "extract_features"
TIGHT = ["--set-resources", f"{SHORT_OF_MEMORY}:mem_mb=700 + 2000 * (attempt - 1)"]
CANCELLED = "render_general"


@pytest.fixture(scope="module")
def cluster():
    with running() as cluster:
        yield cluster


class Run:
    """Snakemake on the cluster, in the background."""

    def __init__(self, folder, *arguments):
        self.log = folder / "snakemake.log"
        environment = os.environ | {"PYTHONPATH": str(folder)}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "snakemake", *SLURM, *QUICK, *arguments],
                cwd=folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def text(self):
        return self.log.read_text(errors="replace")

    def until(self, condition, what, seconds=600):
        """Wait for a condition while Snakemake runs."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, f"Snakemake ended before {what}:\n{self.text()[-6000:]}"
            assert time.monotonic() < deadline, f"no {what}:\n{self.text()[-6000:]}"
            time.sleep(0.5)

    def started(self, rule):
        """Whether a job of a rule writes its log."""
        logs = self.log.parent / "results/smoke/logs"
        return any(path.stat().st_size for path in logs.glob(f"{rule}*.log"))


@pytest.fixture(scope="module")
def done(cluster, tmp_path_factory):
    """A run that meets every mishap, Snakemake's log of it, and what was seen of it."""
    folder = copy_of_the_repository(tmp_path_factory.mktemp("shared") / "repository")
    run = Run(folder, *TIGHT)
    seen = {}
    try:
        run.until(lambda: run.started(CANCELLED), f"{CANCELLED} to run")
        job = next(
            job for job, (_, state) in cluster.jobs("running").items() if is_of(cluster, job, CANCELLED)
        )
        cluster.run("scancel", job)
        seen["cancelled"] = job
        cluster.run("scontrol", "update", f"NodeName={cluster.host}", "State=DRAIN", "Reason=test")
        run.until(lambda: cluster.node_state() in ("drng", "drain"), "the node to drain")
        time.sleep(5)
        cluster.run("scontrol", "update", f"NodeName={cluster.host}", "State=RESUME")
        seen["drained"] = True
        run.until(lambda: run.started("erase"), "a fine-tuning")
        cluster.stop_controller()
        time.sleep(5)
        cluster.start_controller()
        seen["restarted"] = True
        run.process.wait(timeout=1500)
    finally:
        run.process.kill()
    assert run.process.returncode == 0, run.text()[-8000:]
    (log,) = (folder / ".snakemake/log").glob("*.log")
    return folder, log.read_text(), seen


def failures(log, rule):
    """How often a job of a rule failed in Slurm; the logs of failed jobs, shown too, have messages of their own."""
    return len(re.findall(rf"Error in rule {rule}:\n +message: SLURM-job", log))


def is_of(cluster, job, rule):
    return f"rule_{rule}" in cluster.run("scontrol", "show", "job", job, check=False)


@pytest.mark.timeout(2400)
def test_the_experiment_ends_whole_whatever_the_cluster_does(done):
    folder, _, seen = done
    assert seen.keys() == {"cancelled", "drained", "restarted"}
    results = folder / "results/smoke"
    for name in ("report.html", "tables/metrics.csv", "figures/samples.png"):
        assert (results / name).stat().st_size > 0
    assert not list(results.rglob("*.partial-*"))
    for path in results.glob("images/*/*/seed*/shard*/manifest.csv"):
        rows = pd.read_csv(path)
        assert all(sha256_file(path.parent / row.file) == row.sha256 for row in rows.itertuples())


def test_a_job_that_ran_out_of_memory_was_tried_again_with_more(done):
    folder, log, _ = done
    assert failures(log, SHORT_OF_MEMORY) == 1
    assert (
        "memory is limited to 2700 MiB" in (folder / f"results/smoke/logs/{SHORT_OF_MEMORY}.log").read_text()
    )


def test_a_cancelled_job_was_tried_again(done):
    _, log, _ = done
    assert failures(log, CANCELLED) == 1


def test_all_jobs_but_those_of_the_login_node_went_through_slurm(done, cluster):
    _, log, _ = done
    assert log.count("has been submitted with SLURM jobid") >= 40
    assert os.environ.get("SLURM_JOB_ID") is None
    assert {state for _, state in cluster.jobs().values()} <= {"COMPLETED", "CANCELLED", "FAILED"}
