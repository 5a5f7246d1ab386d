"""The smoke experiment, without its axes, through Slurm's executor while the cluster misbehaves.

One run meets all of it: a job is cancelled, one runs out of the memory that it asked for, the node is drained and
resumed, and the controller is restarted.
"""

import os
import re
import time

import pandas as pd
import pytest

from ear.workflow.files import sha256_file
from tests.slurm.cluster import missing, running
from tests.workflow.disturbance import Run, until
from tests.workflow.repository import config_of, copy_of_the_repository, write_config

pytestmark = [pytest.mark.slow, pytest.mark.slurm, pytest.mark.skipif(bool(missing()), reason=missing())]

SLURM = ["--workflow-profile", "profiles/slurm", "--configfile", "small.yaml"]
SLURM += ["--latency-wait", "10", "--seconds-between-status-checks", "2"]
SLURM += ["--slurm-init-seconds-before-status-checks", "2"]
# Importing torch alone takes more than this; the second attempt has three times as much.
SHORT_OF_MEMORY = "extract_features"
SLURM += ["--set-resources", f"{SHORT_OF_MEMORY}:mem_mb=700 + 2000 * (attempt - 1)"]
CANCELLED = "render_general"


@pytest.fixture(scope="module")
def cluster():
    with running() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def done(cluster, tmp_path_factory):
    """A run that meets every mishap, and Snakemake's log of it."""
    folder = copy_of_the_repository(tmp_path_factory.mktemp("shared") / "repository")
    config = config_of("smoke")
    del config["axes"], config["methods"]["negative-prompt"], config["concepts"]["church"]["second_judge"]
    write_config(folder / "small.yaml", config)
    run = Run(folder, *SLURM)

    def wait_for(condition, what):
        until(lambda: run.process.poll() is not None or condition(), what, 600)
        assert run.process.poll() is None, f"Snakemake ended before {what}:\n{run.text()[-6000:]}"

    def started(rule):
        return any(path.stat().st_size for path in folder.glob(f"results/smoke/logs/{rule}*.log"))

    try:
        wait_for(lambda: started(CANCELLED), f"{CANCELLED} to run")
        cluster.run("scancel", next(job for job in cluster.jobs("running") if is_of(cluster, job, CANCELLED)))
        cluster.run("scontrol", "update", f"NodeName={cluster.host}", "State=DRAIN", "Reason=test")
        wait_for(lambda: cluster.node_state() in ("drng", "drain"), "the node to drain")
        time.sleep(5)
        cluster.run("scontrol", "update", f"NodeName={cluster.host}", "State=RESUME")
        wait_for(lambda: started("erase"), "a fine-tuning")
        cluster.stop_controller()
        time.sleep(5)
        cluster.start_controller()
        run.ended()
    finally:
        run.kill_all()
    assert run.process.returncode == 0, run.text()[-8000:]
    (log,) = (folder / ".snakemake/log").glob("*.log")
    return folder, log.read_text()


def failures(log, rule):
    """How often a job of a rule failed in Slurm; the logs of failed jobs, shown too, have messages of their own."""
    return len(re.findall(rf"Error in rule {rule}:\n +message: SLURM-job", log))


def is_of(cluster, job, rule):
    return f"rule_{rule}" in cluster.run("scontrol", "show", "job", job, check=False)


@pytest.mark.timeout(2400)
def test_the_experiment_ends_whole_whatever_the_cluster_does(done):
    folder, _ = done
    results = folder / "results/smoke"
    for name in ("report.html", "tables/metrics.csv", "figures/samples.png"):
        assert (results / name).stat().st_size > 0
    assert not list(results.rglob("*.partial-*"))
    for path in results.glob("images/*/*/seed*/shard*/manifest.csv"):
        rows = pd.read_csv(path)
        assert all(sha256_file(path.parent / row.file) == row.sha256 for row in rows.itertuples())


def test_the_job_short_of_memory_and_the_cancelled_one_were_tried_again(done):
    folder, log = done
    assert failures(log, SHORT_OF_MEMORY) == 1
    told = (folder / f"results/smoke/logs/{SHORT_OF_MEMORY}.log").read_text()
    assert "memory is limited to 2700 MiB" in told
    assert failures(log, CANCELLED) == 1  # likewise


def test_all_jobs_but_those_of_the_login_node_went_through_slurm(done, cluster):
    _, log = done
    assert log.count("has been submitted with SLURM jobid") >= 25
    assert os.environ.get("SLURM_JOB_ID") is None
    assert set(cluster.jobs().values()) <= {"COMPLETED", "CANCELLED", "FAILED"}
