"""A finished results folder, made once: tests take copies of it."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def finished_smoke(tmp_path_factory):
    """``results/`` of a made-up smoke experiment (``tests.finished``)."""
    from tests.finished import make_results  # late: it brings torch
    from tests.smoke_configs import smoke_config

    folder, before = tmp_path_factory.mktemp("finished"), Path.cwd()
    os.chdir(folder)
    try:
        make_results(smoke_config())
    finally:
        os.chdir(before)
    return folder / "results"
