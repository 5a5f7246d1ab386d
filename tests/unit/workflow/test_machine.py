import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch

from ear.errors import InputError
from ear.workflow.jobs import THREAD_VARIABLES, job
from ear.workflow.machine import memory_mb, own_gpu, visible_gpus

WHOLE = 10**9 * 10**9
"""As control groups of version 1 write "no limit"."""
TWO_GPUS = """GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-aaaa)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-bbbb)
"""
A_CUT_ONE = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aaaa)
  MIG 3g.20gb     Device  0: (UUID: MIG-cccc)
  MIG 3g.20gb     Device  1: (UUID: MIG-dddd)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-bbbb)
"""


@pytest.mark.parametrize(
    ("group", "limits", "expected"),
    [
        (None, {}, None),
        ("0::/", {"memory.max": "max\n"}, None),
        ("0::/", {"memory.max": "2000000000\n"}, 2000),
        ("0::/user/job", {"user/job/memory.max": "max", "user/memory.max": "3000000000"}, 3000),
        ("0::/../../of/the/host", {"memory.max": "2000000000"}, 2000),
        (
            "12:cpu,cpuacct:/\n9:memory:/docker/1",
            {"memory/docker/1/memory.limit_in_bytes": "4000000000"},
            4000,
        ),
        ("9:memory:/", {"memory/memory.limit_in_bytes": str(WHOLE)}, None),
    ],
)
def test_memory_is_what_the_machine_and_each_control_group_allow(tmp_path, group, limits, expected):
    if group is not None:
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_text(group + "\n")
    for name, text in limits.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 10**6
    assert memory_mb(tmp_path) == (machine if expected is None else expected)


@pytest.fixture
def smi(tmp_path, monkeypatch):
    """Makes nvidia-smi answer with a text, or fail; locks are in a folder of the test's own."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    def answers(text, code=0):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        (folder / "nvidia-smi").write_text(f"#!/bin/sh\ncat <<'END'\n{text}END\nexit {code}\n")
        (folder / "nvidia-smi").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    return answers


@pytest.mark.parametrize(
    ("text", "code", "listed", "expected"),
    [
        (TWO_GPUS, 0, None, ["GPU-aaaa", "GPU-bbbb"]),
        (A_CUT_ONE, 0, None, ["MIG-cccc", "MIG-dddd", "GPU-bbbb"]),
        ("No devices found.\n", 0, None, []),
        ("NVIDIA-SMI has failed.\n", 9, None, None),
        (TWO_GPUS, 0, " GPU-aaaa , MIG-cccc", ["GPU-aaaa", "MIG-cccc"]),
        (TWO_GPUS, 0, "1,-1,2", ["1"]),
        (TWO_GPUS, 0, "", []),
    ],
)
def test_gpus_are_those_of_the_environment_or_of_the_driver(smi, monkeypatch, text, code, listed, expected):
    smi(text, code)
    if listed is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
    assert visible_gpus() == expected


@pytest.mark.parametrize(
    ("listed", "found"), [("", "CUDA_VISIBLE_DEVICES=''"), (None, "none in `nvidia-smi -L`")]
)
def test_a_gpu_job_without_any_gpu_ends_in_one_line(smi, monkeypatch, listed, found):
    smi("No devices found.\n")
    if listed is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
    with pytest.raises(InputError, match=f"^GPU: found {found}, wanted one for this job: run") as caught:
        own_gpu().__enter__()
    assert "\n" not in str(caught.value)


def test_jobs_at_once_share_no_gpu_and_use_all(smi, monkeypatch):
    smi(TWO_GPUS)
    with own_gpu():
        assert os.environ.pop("CUDA_VISIBLE_DEVICES") == "GPU-aaaa"
        with own_gpu():
            assert os.environ.pop("CUDA_VISIBLE_DEVICES") == "GPU-bbbb"
        with own_gpu():
            assert os.environ.pop("CUDA_VISIBLE_DEVICES") == "GPU-bbbb"
    smi("", code=9)
    with own_gpu():  # where nothing tells how many there are, jobs take turns for all
        assert "CUDA_VISIBLE_DEVICES" not in os.environ


WORK = """
import os, sys, time
from types import SimpleNamespace
from ear.workflow.jobs import job
place, number = sys.argv[1:]
snakemake = SimpleNamespace(log=[f"{place}/{number}.log"], resources=SimpleNamespace(gpu=1, mem_mb=1))
with job(snakemake):
    open(f"{place}/{number}.started", "w").close()
    while not os.path.exists(f"{place}/go"):
        time.sleep(0.05)
    print(os.environ["CUDA_VISIBLE_DEVICES"])
"""


def start(place, number):
    """A job that works until there is a file "go", and says on which GPU."""
    command = [sys.executable, "-c", WORK, str(place), str(number)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_job_waits_for_its_gpu_and_a_killed_one_leaves_it(smi, monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    first = start(tmp_path, 1)
    until((tmp_path / "1.started").exists)
    second = start(tmp_path, 2)
    log = tmp_path / "2.log"
    until(lambda: log.exists() and "waiting for a free GPU" in log.read_text())
    assert not (tmp_path / "2.started").exists()
    first.kill()
    until((tmp_path / "2.started").exists)
    (tmp_path / "go").touch()
    assert second.communicate(timeout=60)[0] == "5\n"
    first.communicate()


def test_a_job_that_slurm_gave_gpus_keeps_all_it_was_given(smi, monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setenv("EAR_SUBMITTED", "1")
    (tmp_path / "go").touch()
    assert start(tmp_path, 1).communicate(timeout=60)[0] == "0,1\n"


@pytest.mark.parametrize(("gpu", "expected"), [(0, True), (1, False)])
def test_algorithms_are_deterministic_where_no_gpu_is_used(smi, monkeypatch, tmp_path, gpu, expected):
    monkeypatch.setattr("ear.workflow.jobs.gpu_error", lambda: None)
    for variable in (*THREAD_VARIABLES, "CUDA_VISIBLE_DEVICES"):
        monkeypatch.setenv(variable, "1")
    snakemake = SimpleNamespace(log=[str(tmp_path / "job.log")], resources=SimpleNamespace(gpu=gpu))
    before = torch.get_num_threads()
    try:
        with job(snakemake, threads=1):
            assert torch.are_deterministic_algorithms_enabled() is expected
            assert torch.get_num_threads() == 1
    finally:
        torch.use_deterministic_algorithms(False)
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (RuntimeError("The NVIDIA driver is too old\nUpdate it"), "'The NVIDIA driver is too old'"),
        (AssertionError("Torch not compiled with CUDA enabled"), "not compiled with CUDA"),
    ],
)
def test_a_gpu_that_torch_cannot_use_is_one_line_before_the_work(
    smi, monkeypatch, tmp_path, capsys, error, found
):
    def fails(*_, **__):
        raise error

    monkeypatch.setattr(torch, "ones", fails)
    for variable in (*THREAD_VARIABLES, "CUDA_VISIBLE_DEVICES"):
        monkeypatch.setenv(variable, "1")
    snakemake = SimpleNamespace(log=[str(tmp_path / "job.log")], resources=SimpleNamespace(gpu=1))
    with pytest.raises(SystemExit), job(snakemake, threads=torch.get_num_threads()):
        pytest.fail("the job has started")
    line = capsys.readouterr().err
    assert line.startswith("error: GPU: found ") and found in line and line.count("\n") == 1
