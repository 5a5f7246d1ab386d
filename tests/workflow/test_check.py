"""What would stop the paper's experiment on this machine: reported by a target, and before a run's first job."""

import pytest
import torch

from tests.workflow.disturbance import finished
from tests.workflow.repository import copy_of_the_repository, snakemake

PAPER = ["--configfile", "configs/janus-pro-7b.yaml"]
NOWHERE = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "1"}
pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="wants a machine without a GPU")


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    return copy_of_the_repository(tmp_path_factory.mktemp("check") / "repository")


def fetched(repository):
    """What a fetch leaves behind."""
    names = ("resources", "assets.lock.json", "results/janus-pro-7b/assets")
    return [name for name in names if (repository / name).exists()]


def test_the_check_lists_what_would_stop_the_run_and_fetches_nothing(repository):
    run = snakemake(repository, "check", *PAPER, check=False, environment=NOWHERE)
    assert run.returncode == 1
    lines = run.stdout.splitlines()
    assert lines[0].startswith("error: GPU: torch ")
    assert all(line.startswith(("ok: ", "warning: ", "error: ")) for line in lines)
    assert sum(": asset " in line for line in lines) == 17
    assert fetched(repository) == []


def test_a_run_that_needs_a_gpu_ends_with_one_line_before_its_first_job(repository):
    run = snakemake(repository, *PAPER, check=False, environment=NOWHERE)
    assert run.returncode == 1
    (line,) = (line for line in run.stderr.splitlines() if "error" in line.lower())
    assert line.startswith("error: GPU: torch ")
    assert fetched(repository) == []
    assert not finished(run.stdout + run.stderr)


def test_what_needs_no_gpu_runs_without_one(repository):
    record = "results/janus-pro-7b/models/nudenet/asset.json"  # part of a package that is installed
    snakemake(repository, record, *PAPER, environment=NOWHERE)
    assert (repository / record).exists()


def test_an_experiment_on_the_cpu_is_checked_for_room(repository):
    run = snakemake(repository, "check", "--configfile", "configs/smoke.yaml")
    found = [line.split(":")[1].strip() for line in run.stdout.splitlines()]
    models = ["asset mini-backbone", "asset mini-clip", "asset mini-classifier"]
    assert found == ["disk of results/smoke", "memory", *models]
