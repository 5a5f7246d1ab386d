"""One finished smoke run for all tests that look at it, plan to rerun parts of it, or compare another with it."""

import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.workflow.disturbance import finished, hashes
from tests.workflow.repository import SMOKE, copy_of_a_run, copy_of_the_repository, snakemake


@dataclass(frozen=True)
class Undisturbed:
    """A smoke run that nothing has disturbed: where, its files' hashes, how many jobs it had, how long it took."""

    folder: Path
    hashes: dict[str, str]
    jobs: int
    seconds: float


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    folder = copy_of_the_repository(tmp_path_factory.mktemp("smoke") / "repository")
    started = time.monotonic()
    run = snakemake(folder, *SMOKE)
    return Undisturbed(folder, hashes(folder), finished(run.stdout + run.stderr), time.monotonic() - started)


@pytest.fixture(scope="session")
def done(undisturbed):
    """A copy of the repository with the smoke experiment finished; tests leave it as they found it."""
    return undisturbed.folder


@pytest.fixture
def own(done, tmp_path):
    """A copy of the finished run that a test may damage."""
    return copy_of_a_run(done, tmp_path / "repository")
