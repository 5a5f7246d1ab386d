"""One finished smoke run for all tests that look at it or plan to rerun parts of it."""

import pytest

from tests.workflow.repository import SMOKE, copy_of_a_run, copy_of_the_repository, snakemake


@pytest.fixture(scope="session")
def done(tmp_path_factory):
    """A copy of the repository with the smoke experiment finished; tests leave it as they found it."""
    folder = copy_of_the_repository(tmp_path_factory.mktemp("smoke") / "repository")
    snakemake(folder, *SMOKE)
    return folder


@pytest.fixture
def own(done, tmp_path):
    """A copy of the finished run that a test may damage."""
    return copy_of_a_run(done, tmp_path / "repository")
