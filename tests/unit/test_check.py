"""The check before a run: machines of all kinds, sources that answer or do not, and Slurm's own words."""

import shutil
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch

from ear.assets.catalogue import Asset
from ear.check import gpu, machine, sources
from ear.check.slurm import check_slurm
from ear.plan.assets import Needed
from ear.plan.needs import Need

LISTED = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120", "compute_120"]


@pytest.fixture
def card(monkeypatch, tmp_path):
    """A made-up GPU that torch sees: ``card(capability=(8, 0))``; the driver's file says 580."""

    def put(capability=(9, 0), free=80e9, driver="580.65.06", visible=True):
        path = tmp_path / "version"
        path.write_text(
            f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {driver}  Tue\nGCC version: 12.2.0\n"
        )
        monkeypatch.setattr(gpu, "DRIVER_FILE", path)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: visible)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "Some GPU")
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: (free, 80e9))
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: capability)
        monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: LISTED)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    return put


@pytest.fixture
def build(monkeypatch):
    """What torch was built for, whatever is installed here."""

    def put(cuda):
        monkeypatch.setattr(gpu, "torch_build", lambda: {"__version__": "2.15.0", "cuda": cuda, "hip": None})

    put("13.2")
    return put


def levels(found):
    return {one.what: one.level for one in found}


def test_a_gpu_that_fits_is_reported_with_its_memory(card, build):
    card()
    found = gpu.check_gpu("bfloat16", [])
    assert levels(found) == {"driver": "ok", "GPU 0": "ok"}
    assert "80.0 of 80.0 GB" in str(found[1]) and "9.0" in str(found[1])


def test_work_that_does_not_fit_as_configured_is_done_in_smaller_batches_or_not_at_all(card, build):
    need = Need("draw", "images", 8, 0, lambda size: 10e9 * size)
    for free, level, words in (
        (90e9, "ok", "80.0 GB for 8 images"),
        (50e9, "warning", "4 at once"),
        (9e9, "error", "larger GPU"),
    ):
        card(free=free)
        line = gpu.check_gpu("bfloat16", [need])[-1]
        assert line.level == level and words in str(line)


@pytest.mark.parametrize(
    ("driver", "cuda", "runs"),
    [
        ("580.65.06", "13.2", True),
        ("575.51", "13.2", False),
        ("550.54.14", "12.8", True),
        ("470.223.02", "12.8", False),
        ("470.223.02", "11.8", True),
    ],
)
def test_a_driver_older_than_torchs_cuda_is_the_first_line(card, build, driver, cuda, runs):
    card(driver=driver)
    build(cuda)
    first = gpu.check_gpu("bfloat16", [])[0]
    assert (first.level == "ok") == runs
    assert driver in str(first) and str(gpu.wanted_driver(cuda)) in str(first)


@pytest.mark.parametrize("devices", ["", " ", "-1"])
def test_hidden_gpus_are_reported_as_hidden(card, build, monkeypatch, devices):
    card()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", devices)
    (line,) = gpu.check_gpu("bfloat16", [])
    assert line.level == "error" and "CUDA_VISIBLE_DEVICES" in str(line)


def test_no_driver_a_build_without_cuda_and_a_gpu_that_is_not_seen_are_one_line_each(
    card, build, monkeypatch, tmp_path
):
    card(visible=False)
    (unseen,) = gpu.check_gpu("bfloat16", [])
    build(None)
    (without,) = gpu.check_gpu("bfloat16", [])
    build("13.2")
    monkeypatch.setattr(gpu, "DRIVER_FILE", tmp_path / "none")
    monkeypatch.setattr(gpu, "_has_library", lambda: False)
    (none,) = gpu.check_gpu("bfloat16", [])
    for line, words in ((unseen, "nvidia-smi"), (without, "without CUDA"), (none, "no NVIDIA driver")):
        assert line.level == "error" and line.found.startswith("none is visible") and words in str(line)
        assert "\n" not in str(line)


@pytest.mark.parametrize(
    ("capability", "dtype", "level"),
    [
        ((7, 0), "bfloat16", "error"),
        ((7, 5), "bfloat16", "warning"),
        ((7, 5), "float32", "ok"),
        ((8, 9), "bfloat16", "ok"),
        ((12, 1), "bfloat16", "ok"),
    ],
)
def test_what_a_gpu_is_too_old_for_is_reported(card, build, capability, dtype, level):
    card(capability=capability)
    assert levels(gpu.check_gpu(dtype, []))["GPU 0"] == level


def test_machine_code_runs_on_its_own_generation_and_ptx_on_later_ones():
    for (major, minor), (other, lesser) in product(product((7, 8, 9, 12), (0, 5)), repeat=2):
        machine_code, ptx = f"sm_{other}{lesser}", f"compute_{other}{lesser}"
        assert gpu.runs_on((major, minor), [machine_code]) == (other == major and lesser <= minor)
        assert gpu.runs_on((major, minor), [ptx]) == ((other, lesser) <= (major, minor))
    assert gpu.runs_on((9, 0), ["sm_90a"]) and not gpu.runs_on((9, 0), [])
    assert gpu.runs_on((9, 4), ["gfx942"])  # a build for AMD, whose names say nothing of capabilities


def test_the_build_is_read_without_importing_torch():
    facts = gpu.torch_build()
    assert (facts["__version__"], facts["cuda"]) == (torch.__version__, torch.version.cuda)


def test_folders_of_one_file_system_share_its_room(monkeypatch, tmp_path):
    usage = SimpleNamespace(free=10_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    wanted = {str(tmp_path / "not/yet"): 6_000.0, str(tmp_path / "store"): 5_000.0}
    (line,) = machine.check_disk(wanted)
    assert line.level == "error" and "10 kB free, about 11 kB wanted" in str(line)
    (tmp_path / "store").mkdir()
    (tmp_path / "store/half.bin").write_bytes(bytes(2_000))
    (line,) = machine.check_disk(wanted)
    assert line.level == "ok" and "2 kB are there" in str(line)
    usage.free = 11_000
    assert machine.check_disk(wanted)[0].level == "ok"


def test_the_largest_jobs_memory_is_held_against_the_machines():
    assert machine.check_memory(1).level == "ok"
    assert machine.check_memory(10**9).level == "warning"


def test_sources_that_answer_and_sources_that_do_not(server, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sources, "DEADLINE_S", 1.0)
    assets = {
        "whole": web(f"{server}/file"),
        "gone": web(f"{server}/gone"),
        "page": web(f"{server}/page"),
        "slow": web(f"{server}/slow"),
        "closed": web("http://127.0.0.1:9/file"),
        "second": web(f"{server}/file", f"{server}/gone"),
    }
    needed = [Needed(name, asset, "to fetch", fetch=True) for name, asset in assets.items()]
    needed.append(Needed("held", assets["gone"], "in assets.store", fetch=False))
    needed.append(Needed("absent", assets["gone"], "missing in assets.root", fetch=False))
    started = time.monotonic()
    found = sources.Requests(needed).findings()
    assert time.monotonic() - started < 3
    assert [one.what for one in found] == [f"asset {one.name}" for one in needed]
    good = [one.what.removeprefix("asset ") for one in found if one.level == "ok"]
    assert good == ["whole", "held"]
    lines = dict(zip([one.name for one in needed], map(str, found), strict=True))
    assert "404" in lines["gone"] and "404" in lines["second"] and "web page" in lines["page"]
    assert "no answer" in lines["slow"] and "not reachable" in lines["closed"]
    assert not any("\n" in line for line in lines.values())
    assert list(tmp_path.iterdir()) == []


def test_a_gated_repository_is_reported_with_where_to_accept_its_licence(server, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server)
    open_to_all, gated, none = (sources.obstacle(hub(f"me/{name}")) for name in ("open", "gated", "none"))
    assert open_to_all == ""
    assert "https://huggingface.co/me/gated" in gated and "HF_TOKEN" in gated
    assert "Repository Not Found" in none


def web(*urls):
    return Asset.model_validate(
        {
            "title": "a file",
            "licence": "none",
            "size": 5,
            "source": {"kind": "url", "downloads": [{"url": url} for url in urls]},
        }
    )


def hub(repo):
    source = {"kind": "hub", "repo": repo, "revision": None, "files": ["*"]}
    return Asset.model_validate({"title": "weights", "licence": "none", "size": 5, "source": source})


@pytest.fixture
def server():
    """Address of a server with /file, /page (a web page) and /slow, and of a hub with me/open and me/gated."""
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/slow":
                ended.wait(20)
            kinds = {"/file": "application/zip", "/page": "text/html; charset=utf-8"}
            status, headers = 404, {"X-Error-Code": "RepoNotFound", "Content-Length": "0"}
            if self.path in kinds:
                status, headers = 200, {"Content-Type": kinds[self.path], "Content-Length": "5"}
            elif "me/open" in self.path:
                status, headers = 200, {"Content-Length": "0"}
            elif "me/gated" in self.path:
                status, headers = 403, {"X-Error-Code": "GatedRepo", "Content-Length": "0"}
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.end_headers()

        do_HEAD = do_GET

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
        for name, said in (
            ("sbatch", ""),
            ("sinfo", sinfo),
            ("scontrol", f"AccountingStorageType   = {storage}"),
        ):
            (tmp_path / name).write_text(f"#!/bin/sh\ncat <<'END'\n{said}\nEND\n")
            (tmp_path / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return put


SQUEUE = {"no_account": True, "status_command": "squeue"}
SACCT = {"no_account": False, "status_command": "sacct"}


@pytest.mark.parametrize(
    ("facts", "partitions", "settings", "level", "words"),
    [
        ({}, ["gpu"], SQUEUE, "ok", "cpu, gpu"),
        ({}, [], SQUEUE, "ok", "cpu, gpu"),
        ({}, ["gpus"], SQUEUE, "error", "found partition gpus"),
        ({"sinfo": "cpu|(null)"}, [], SQUEUE, "error", "--set-resources"),
        ({"sinfo": ""}, [], SQUEUE, "error", "no partition"),
        ({}, [], SACCT, "error", "slurm-status-command: squeue"),
        ({"storage": "accounting_storage/slurmdbd"}, [], SACCT, "ok", "cpu, gpu"),
        ({"storage": "accounting_storage/slurmdbd"}, [], SQUEUE, "warning", "slurm-no-account"),
    ],
)
def test_what_the_slurm_profile_asks_for_is_held_against_the_cluster(
    cluster, facts, partitions, settings, level, words
):
    cluster(**facts)
    (line,) = check_slurm(partitions, settings, gpu=True)
    assert line.level == level and words in str(line)


def test_without_slurm_its_profile_cannot_start(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    (line,) = check_slurm([], SQUEUE, gpu=False)
    assert line.level == "error" and "sbatch" in str(line)


def test_no_compiler_is_a_warning_that_says_what_it_costs(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    line = machine.check_compiler()
    assert line.level == "warning" and "gcc" in str(line) and "slowly" in str(line)
