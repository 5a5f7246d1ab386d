"""What erasing took is what the logs of its finished jobs say."""

import logging
import sys
from contextlib import nullcontext
from itertools import count
from types import SimpleNamespace

import pandas as pd
import pytest

from ear.erasure.cost import TEACHER, TRAINING, cost_of_methods, cost_table
from ear.errors import InputError
from ear.workflow.jobs import TAKEN_OVER, job
from ear.workflow.progress import progress

TRAINED = [
    ("church", "ear", 0, 4, 2),
    ("church", "ear", 1, 4, 2),
    ("church+van-gogh", "wga", 0, 4, 1),
    ("fire", "ear", 0, 4, 1),
]
OWN, OTHER = TRAINING.format(4), TRAINING.format(16)


def run(folder, name, *said, gpu=0):
    """A job that goes through loops and says other things, and ends."""
    resources = SimpleNamespace(gpu=gpu, mem_mb=10**6)
    with job(SimpleNamespace(log=[str(folder / f"erase-{name}.log")], resources=resources)):
        for words in said:
            if words in (TEACHER, OWN, OTHER):
                list(progress([1], words, "pair"))
            else:
                logging.getLogger("ear.erasure.run").info("%s", words)


@pytest.fixture
def on_gpu(monkeypatch):
    cuda = SimpleNamespace(is_initialized=lambda: True, max_memory_allocated=lambda: 5 * 10**9)
    monkeypatch.setattr("ear.workflow.jobs.own_gpu", nullcontext)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))


def test_each_finished_job_is_a_row_and_one_that_went_on_is_not_whole(tmp_path, on_gpu):
    run(tmp_path, "church-ear-0")
    run(tmp_path, "church-ear-1", f"W = 4: 3 of 30 pairs {TAKEN_OVER}")
    with pytest.raises(SystemExit), job(SimpleNamespace(log=[str(tmp_path / "erase-fire-ear-0.log")])):
        raise InputError("a loss is not finite")
    run(tmp_path, "church+van-gogh-wga-0", gpu=1)
    table = cost_table(TRAINED, tmp_path)
    rows = table[["concept", "method", "seed", "window_lengths"]].itertuples(index=False, name=None)
    assert list(rows) == [(*names, lengths) for *names, _, lengths in TRAINED[:3]]
    assert table["whole"].tolist() == [True, False, True]
    assert table["gpu_memory_mb"].tolist() == [pd.NA, pd.NA, 5000]
    assert (table["seconds"] < 60).all() and table["memory_mb"].between(5, 10**5).all()


def test_a_method_costs_what_its_own_window_length_took_where_that_was_trained_whole(
    tmp_path, on_gpu, monkeypatch
):
    ticks = count(step=10.0)  # the clock is read before and after a loop, and twice by its bar
    monkeypatch.setattr("ear.workflow.progress.time", SimpleNamespace(monotonic=lambda: next(ticks)))
    list(progress([1], OWN))
    loop = next(ticks) - 10.0
    run(tmp_path, "church-ear-0", TEACHER, OWN, f"W = 16: 3 of 30 pairs {TAKEN_OVER}", OTHER)
    run(tmp_path, "church-ear-1", TEACHER, f"W = 4: {TAKEN_OVER}", OTHER)
    run(tmp_path, "church+van-gogh-wga-0", OWN, gpu=1)
    run(tmp_path, "fire-ear-0", TEACHER, f"W = 4: 3 of 30 pairs {TAKEN_OVER}", OWN)
    table = cost_table(TRAINED, tmp_path)
    assert table["own_seconds"].fillna(-1).tolist() == [2 * loop, -1, loop, -1]
    costs = {("church", "ear"): (2 * loop, table["memory_mb"][0])}
    costs |= {(concept, "wga"): (loop, 5000.0) for concept in ("church", "van-gogh")}
    assert cost_of_methods(table) == costs


def test_without_a_finished_job_nothing_is_known(tmp_path):
    (tmp_path / "erase-church-ear-0.log").write_text("2026-01-01 INFO ear.erasure.run: W = 4\n")
    table = cost_table(TRAINED, tmp_path)
    assert table.empty and cost_of_methods(table) == {}
