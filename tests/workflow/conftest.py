"""One finished smoke run for all tests that look at it, plan to rerun parts of it, or compare another with it.

Its folder and its interpreter have paths that must be quoted, it has no network where the system lets a process give
it up, and its environment is not of the best.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from ear.models.lock import guard
from tests.workflow.disturbance import finished, hashes
from tests.workflow.repository import SMOKE, copy_of_a_run, copy_of_the_repository, odd_folder, snakemake

NO_NETWORK = ("unshare", "--map-root-user", "--net")
DEAD_PROXY = "http://127.0.0.1:9"
ENVIRONMENT = {
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"), DEAD_PROXY),
    "HF_HUB_OFFLINE": "1",
}


@dataclass(frozen=True)
class Undisturbed:
    """A smoke run that nothing has disturbed: where, its files' hashes, how many jobs it had, how long it took."""

    folder: Path
    hashes: dict[str, str]
    jobs: int
    seconds: float


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """Made once, by the worker of pytest-xdist that comes first; the others wait for it.

    In the folder EAR_SMOKE, where that is set, so that `make test-slow` may take over the run of `make test`.
    """
    place = tmp_path_factory.getbasetemp()
    place = place.parent if "PYTEST_XDIST_WORKER" in os.environ else place
    place = Path(os.environ.get("EAR_SMOKE", place))
    facts = place / "smoke.json"
    with guard(place / "smoke"):
        if not facts.exists():
            folder = copy_of_the_repository(odd_folder(place) / "repository")
            (folder / ".venv").symlink_to(sys.prefix)
            before = NO_NETWORK if can_give_up_the_network() else ()
            started = time.monotonic()
            run = snakemake(folder, *SMOKE, before=before, environment=ENVIRONMENT)
            seconds = time.monotonic() - started
            made = Undisturbed(str(folder), hashes(folder), finished(run.stdout + run.stderr), seconds)
            facts.write_text(json.dumps(asdict(made)))
    made = json.loads(facts.read_text())
    return Undisturbed(**made | {"folder": Path(made["folder"])})


def can_give_up_the_network():
    """Whether this system lets a process have no network."""
    try:
        return subprocess.run([*NO_NETWORK, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.fixture(scope="session")
def done(undisturbed, tmp_path_factory):
    """A worker's copy of the repository with the smoke experiment finished; tests leave it as they found it."""
    return copy_of_a_run(undisturbed.folder, odd_folder(tmp_path_factory.mktemp("done")) / "repository")


@pytest.fixture
def own(done, tmp_path):
    """A copy of the finished run that a test may damage."""
    return copy_of_a_run(done, odd_folder(tmp_path) / "repository")
