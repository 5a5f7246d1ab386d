"""The check before a run: machines of all kinds, sources that answer or do not, and Slurm's own words."""

import shutil
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
import torch

from ear.commands import check
from ear.commands.plan.estimate import Need
from ear.models.catalogue import Asset
from ear.models.lock import TO_FETCH, Needed


@pytest.fixture
def card(monkeypatch):
    """A made-up GPU that torch sees, or an error that it raises; its kernels run on the CPU, or do not."""

    def put(capability=(9, 0), free=80e9, unseen=None, broken=None):
        def init():
            if unseen:
                raise unseen

        def ones(*size, device):
            if broken:
                raise broken
            return torch.zeros(*size)

        monkeypatch.setattr(torch, "ones", ones)
        monkeypatch.setattr(torch.cuda, "init", init)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "Some GPU")
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: (free, 80e9))
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: capability)

    return put


@pytest.mark.parametrize(
    ("free", "level", "words"),
    [(90e9, "ok", "80.0 GB for 8 images"), (50e9, "warning", "batches of 4"), (9e9, "error", "larger GPU")],
)
def test_work_that_does_not_fit_as_configured_is_done_in_smaller_batches_or_not_at_all(
    card, free, level, words
):
    card(free=free)
    need = Need(["render"], "draw", "images", 8, lambda size: 10e9 * size)
    gpu, line = check.check_gpu("bfloat16", [need])
    assert str(gpu) == f"ok: GPU 0: Some GPU, {free / 1e9:.1f} of 80.0 GB free"
    assert line.level == level and words in str(line)


def test_a_gpu_that_torch_cannot_use_is_one_line_with_torchs_reason(card):
    too_old = "The NVIDIA driver on your system is too old (found version 12020).\nPlease update"
    no_code = "CUDA error: no kernel image is available for execution on the device\nCUDA kernel errors"
    for facts, words in (
        ({"unseen": RuntimeError(too_old)}, "too old (found version 12020). Please update"),
        ({"unseen": AssertionError("Torch not compiled with CUDA enabled")}, "not compiled with CUDA"),
        ({"broken": RuntimeError(no_code)}, "cannot compute: CUDA error: no kernel image"),
    ):
        card(**facts)
        (line,) = check.check_gpu("bfloat16", [])
        assert line.level == "error" and words in str(line) and "\n" not in str(line)


def test_a_gpu_that_emulates_bfloat16_is_a_warning(card):
    card(capability=(7, 5))
    assert [check.check_gpu(dtype, [])[0].level for dtype in ("bfloat16", "float32")] == ["warning", "ok"]


def test_folders_of_one_file_system_share_its_room(monkeypatch, tmp_path):
    usage = SimpleNamespace(free=10_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    wanted = {str(tmp_path / "not/yet"): 6_000.0, str(tmp_path / "store"): 5_000.0}
    (line,) = check.check_disk(wanted)
    assert line.level == "error" and "10 kB free, about 11 kB needed" in str(line)
    (tmp_path / "store").mkdir()
    (tmp_path / "store/half.bin").write_bytes(bytes(2_000))
    (line,) = check.check_disk(wanted)
    assert line.level == "ok" and "2 kB exist already" in str(line)
    usage.free = 11_000
    assert check.check_disk(wanted)[0].level == "ok"


def test_memory_and_a_compiler_that_are_not_there_are_warnings(monkeypatch, tmp_path):
    assert [check.check_memory(wanted).level for wanted in (1, 10**9)] == ["ok", "warning"]
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    line = check.check_compiler()
    assert line.level == "warning" and "gcc" in str(line)


def test_sources_that_answer_and_sources_that_do_not(server, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(check, "DEADLINE_S", 0.5)
    assets = {
        "whole": web(f"{server}/file"),
        "gone": web(f"{server}/gone"),
        "page": web(f"{server}/page"),
        "slow": web(f"{server}/slow"),
        "closed": web("http://127.0.0.1:9/file"),
        "second": web(f"{server}/file", f"{server}/gone"),
    }
    needed = [Needed(name, asset, TO_FETCH) for name, asset in assets.items()]
    needed.append(Needed("held", assets["gone"], "in assets.store"))
    needed.append(Needed("absent", assets["gone"], "missing in assets.root"))
    started = time.monotonic()
    found = check.check_sources(needed)
    assert time.monotonic() - started < 3
    assert [one.what for one in found] == [f"asset {one.name}" for one in needed]
    good = [one.what.removeprefix("asset ") for one in found if one.level == "ok"]
    assert good == ["whole", "held"]
    lines = dict(zip([one.name for one in needed], map(str, found), strict=True))
    assert "404" in lines["gone"] and "404" in lines["second"] and "web page" in lines["page"]
    assert "no answer" in lines["slow"] and "not reachable" in lines["closed"]
    assert list(tmp_path.iterdir()) == []


def web(*urls):
    source = {"kind": "url", "downloads": [{"url": url} for url in urls]}
    return Asset.model_validate({"title": "a file", "licence": "none", "size": 5, "source": source})


@pytest.fixture
def server():
    """Address of a server with /file, /page (a web page) and /slow."""
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/slow":
                ended.wait(20)
            kinds = {"/file": "application/zip", "/page": "text/html; charset=utf-8"}
            self.send_response(200 if self.path in kinds else 404)
            self.send_header("Content-Type", kinds.get(self.path, "text/plain"))
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    ended.set()
    server.shutdown()


@pytest.fixture
def cluster(monkeypatch, tmp_path):
    """Slurm's commands, which say what they are given to say."""

    def put(sinfo="cpu|(null)\ngpu|gpu:h100:4", storage="accounting_storage/none"):
        said_by = {"sbatch": "", "sinfo": sinfo, "scontrol": f"AccountingStorageType   = {storage}"}
        for name, said in said_by.items():
            (tmp_path / name).write_text(f"#!/bin/sh\ncat <<'END'\n{said}\nEND\n")
            (tmp_path / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return put


@pytest.mark.parametrize(
    ("facts", "partitions", "status", "level", "words"),
    [
        ({}, ["gpu"], "squeue", "ok", "cpu, gpu"),
        ({}, ["gpus"], "squeue", "error", "found partition gpus"),
        ({"sinfo": "cpu|(null)"}, [], "squeue", "error", "--set-resources"),
        ({"sinfo": ""}, [], "squeue", "error", "no partition"),
        ({}, [], "sacct", "error", "slurm-status-command: squeue"),
        ({"storage": "accounting_storage/slurmdbd"}, [], "sacct", "ok", "cpu, gpu"),
    ],
)
def test_what_the_slurm_profile_asks_for_is_held_against_the_cluster(
    cluster, monkeypatch, facts, partitions, status, level, words
):
    cluster(**facts)
    (line,) = check.check_slurm(partitions, status, gpu=True)
    assert line.level == level and words in str(line)
    monkeypatch.setenv("PATH", "")
    (line,) = check.check_slurm([], "squeue", gpu=False)
    assert line.level == "error" and "sbatch" in str(line)
