"""What erasing took is what the logs of its finished jobs say."""

import logging
import sys
from types import SimpleNamespace

import pandas as pd
import pytest

from ear.commands.cost import cost_table
from ear.errors import InputError
from ear.workflow.jobs import SUBMITTED, TAKEN_OVER, job

TRAINED = [
    ("church", "ear", 0, 2),
    ("church", "ear", 1, 2),
    ("church+van-gogh", "wga", 0, 1),
    ("fire", "ear", 0, 1),
]


def run(folder, name, said="W = 4: 256 windows", gpu=0):
    """A job that says something and ends."""
    resources = SimpleNamespace(gpu=gpu, mem_mb=10**6)
    with job(SimpleNamespace(log=[str(folder / f"erase-{name}.log")], resources=resources)):
        logging.getLogger("ear.erasure.run").info("%s", said)


def test_each_finished_job_is_a_row_and_one_that_went_on_is_not_whole(tmp_path, monkeypatch):
    run(tmp_path, "church-ear-0")
    run(tmp_path, "church-ear-1", f"W = 4: 3 of 30 pairs {TAKEN_OVER}")
    with pytest.raises(SystemExit), job(SimpleNamespace(log=[str(tmp_path / "erase-fire-ear-0.log")])):
        raise InputError("a loss is not finite")
    cuda = SimpleNamespace(is_initialized=lambda: True, max_memory_allocated=lambda: 5 * 10**9)
    monkeypatch.setenv(SUBMITTED, "1")
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    run(tmp_path, "church+van-gogh-wga-0", gpu=1)
    table = cost_table(TRAINED, tmp_path)
    rows = table[["concept", "method", "seed", "window_lengths"]].itertuples(index=False, name=None)
    assert list(rows) == TRAINED[:3]
    assert table["whole"].tolist() == [True, False, True]
    assert table["gpu_memory_mb"].tolist() == [pd.NA, pd.NA, 5000]
    assert (table["seconds"] < 60).all() and table["memory_mb"].between(5, 10**5).all()


def test_without_a_finished_job_there_is_no_table(tmp_path):
    (tmp_path / "erase-church-ear-0.log").write_text("2026-01-01 INFO ear.erasure.run: W = 4\n")
    with pytest.raises(InputError, match="found no finished job of erase"):
        cost_table(TRAINED, tmp_path)
