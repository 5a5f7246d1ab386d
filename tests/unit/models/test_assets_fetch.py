"""Assets from servers that fail as servers do, the store, a folder, a package and this repository."""

import hashlib
import importlib.metadata
import io
import json
import multiprocessing
import os
import shutil
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ear.errors import InputError
from ear.models import catalogue
from ear.models.catalogue import Asset
from ear.models.fetch import ATTEMPTS, fetch_asset
from ear.models.lock import read_lock, record

A = "a" * 64
CONTENT = bytes(range(256)) * 20_000  # 5 MB: several pieces


class Server:
    """Serves ``files`` by path; each request takes the first of ``faults``, if there is one.

    A fault is a status, ("drop", n): the connection ends after n bytes, or ("flip", n): byte n is wrong.
    """

    def __init__(self):
        self.files, self.faults, self.requests = {}, [], []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, request):
        self.requests.append(request.path)
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, int) or request.path not in self.files:
            return request.send_error(fault or 404)
        body = bytearray(self.files[request.path])
        request.send_response(200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if fault and fault[0] == "flip":
            body[fault[1]] ^= 1
        request.wfile.write(body[: fault[1]] if fault and fault[0] == "drop" else body)
        request.close_connection = True


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)
    server = Server()
    yield server
    server.server.shutdown()
    server.server.server_close()


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def asset(*downloads, **settings):
    source = settings.pop("source", {"kind": "url", "downloads": list(downloads)})
    return Asset.model_validate(
        {"title": "Some data", "licence": "MIT", "size": 1, "source": source} | settings
    )


class Experiment:
    """A working folder with a lock and a store; ``fetch`` is one job of it."""

    def __init__(self, folder):
        self.folder, self.links = folder, folder / "results" / "paper" / "assets" / "data"
        self.store, self.lock = folder / "resources", folder / "assets.lock.json"

    def fetch(self, asset, root=None, **settings):
        places = {"root": root and str(root), "store": str(self.store), "lock": str(self.lock)}
        return json.loads(fetch_asset("data", asset, self.links, **places, **settings).read_text())

    def refused(self, asset, **settings):
        with pytest.raises(InputError) as error:
            self.fetch(asset, **settings)
        assert "\n" not in str(error.value)
        return str(error.value)


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Experiment(tmp_path)


@pytest.fixture
def root(tmp_path):
    """A folder of assets, which has a.dat and b.dat."""
    (tmp_path / "root" / "data").mkdir(parents=True)
    for name in "ab":
        (tmp_path / "root" / "data" / f"{name}.dat").write_text(name)
    return tmp_path / "root"


def hub(*files):
    return asset(source={"kind": "hub", "repo": "a/b", "revision": None, "files": list(files)})


def test_a_download_is_recorded_linked_and_not_repeated(server, experiment):
    server.files |= {"/a.dat": CONTENT, "/b.dat": b"b"}
    data = asset({"url": f"{server.url}/a.dat"}, {"url": f"{server.url}/b.dat"})
    files = {
        "a.dat": {"sha256": sha256(CONTENT), "bytes": len(CONTENT)},
        "b.dat": {"sha256": sha256(b"b"), "bytes": 1},
    }
    assert experiment.fetch(data) == {
        "asset": "data",
        "source": f"{server.url}/ (2 files)",
        "revision": None,
        "licence": "MIT",
        "stand_in": False,
        "files": files,
    }
    assert (experiment.links / "a.dat").read_bytes() == CONTENT
    assert (experiment.links / "a.dat").readlink().parts[:5] == ("..", "..", "..", "..", "resources")
    assert {path.name for path in (experiment.store / "data").iterdir()} == {"a.dat", "b.dat"}
    assert read_lock(experiment.lock)["data"].files == {name: one["sha256"] for name, one in files.items()}
    server.files.clear()
    assert experiment.fetch(data)["files"] == files
    assert len(server.requests) == 2


@pytest.mark.parametrize("fault", [503, ("drop", 2_000_000), ("flip", 7)])
def test_a_server_that_fails_for_a_while_is_asked_again(server, experiment, fault):
    server.files["/a.dat"], server.faults = CONTENT, [fault] * (ATTEMPTS - 1)
    data = asset({"url": f"{server.url}/a.dat"}, sha256={"a.dat": sha256(CONTENT)})
    assert experiment.fetch(data)["files"]["a.dat"]["sha256"] == sha256(CONTENT)
    assert len(server.requests) == ATTEMPTS


@pytest.mark.parametrize(("fault", "told"), [(500, "500"), (("drop", 7), "7 bytes read")])
def test_a_server_that_stays_down_says_how_to_do_without(server, experiment, fault, told):
    server.files["/a.dat"], server.faults = CONTENT, [fault] * ATTEMPTS
    line = experiment.refused(asset({"url": f"{server.url}/a.dat"}))
    assert line.startswith(f"data: {server.url}/a.dat: ") and told in line
    assert line.endswith("or put a.dat into <folder>/data/ and name that folder in assets.root")
    assert not (experiment.store / "data" / "a.dat").exists() and not experiment.lock.exists()


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("weights.bin", b"\n<!doctype HTML><title>Sign in</title>", "an HTML page"),
        ("weights.pt", b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer"),
        ("a.safetensors", b"\x08" + bytes(7) + b"{}      ....", "no whole safetensors file"),
        ("a.json", b'{"a": [1, 2', "no whole json file"),
    ],
)
def test_an_answer_that_is_another_file_is_not_kept(server, experiment, name, content, told):
    server.files[f"/{name}"] = content
    assert f"found {told}" in experiment.refused(asset({"url": f"{server.url}/{name}"}))
    assert not (experiment.store / "data" / name).exists() and not experiment.lock.exists()


def test_a_tree_has_one_digest_and_the_record_does_not_say_where_it_is(server, experiment, tmp_path):
    server.files["/a.zip"] = zipped(**{"val/": b"", "val/1.jpg": b"1", "val/2.jpg": b"22", "x/3.jpg": b"3"})
    data = asset({"url": f"{server.url}/a.zip", "unpack": ["val/*"]})
    fetched = experiment.fetch(data)
    assert [path.name for path in (experiment.store / "data").iterdir()] == ["val"]
    lines = sorted(
        f"{sha256(content)}  val/{name}\n" for name, content in (("1.jpg", b"1"), ("2.jpg", b"22"))
    )
    tree = {"sha256": sha256("".join(lines).encode()), "bytes": 3, "count": 2}
    assert fetched["files"] == {"val/": tree}
    lock = read_lock(experiment.lock)["data"].files
    assert lock == {"a.zip": sha256(server.files["/a.zip"]), "val/": tree["sha256"]}
    assert experiment.fetch(data) == fetched
    shutil.move(experiment.store, tmp_path / "elsewhere")
    (tmp_path / "linked" / "data").mkdir(parents=True)
    (tmp_path / "linked" / "data" / "val").symlink_to(tmp_path / "elsewhere" / "data" / "val")
    assert experiment.fetch(data, root=tmp_path / "linked") == fetched
    assert not experiment.store.exists()
    assert (experiment.links / "val" / "2.jpg").read_bytes() == b"22"


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt"])
def test_no_member_of_an_archive_leaves_its_folder(server, experiment, name):
    server.files["/a.zip"] = zipped(**{"val/1.jpg": b"1", name: b"evil"})
    experiment.fetch(asset({"url": f"{server.url}/a.zip", "unpack": ["*"]}, needs=["val/*"]))
    found = [path.resolve() for path in experiment.folder.rglob("evil.txt")]
    assert found and all(experiment.store / "data" in path.parents for path in found)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"PK\x03\x04 and nothing after it", "no whole zip archive"),
        (zipped(**{"other/1.jpg": b"1"}), "found no file like it in the archive, wanted val/*"),
        (zipped(**{"val/1.jpg": b"1" * 100}).replace(b"1" * 100, b"1" * 99 + b"2"), "not a whole zip"),
    ],
)
def test_an_archive_that_is_none_or_another_one_is_one_line(server, experiment, content, told):
    server.files["/a.zip"] = content
    assert told in experiment.refused(asset({"url": f"{server.url}/a.zip", "unpack": ["val/*"]}))
    assert not (experiment.store / "data" / "val").exists()


def test_what_was_unknown_is_recorded_and_a_changed_file_is_refused(server, experiment):
    server.files["/a.dat"] = b"first"
    data = asset({"url": f"{server.url}/a.dat"}, sha256={"a.dat": None})
    experiment.fetch(data)
    (experiment.store / "data" / "a.dat").write_bytes(b"later")
    told = experiment.refused(data)
    assert f"found sha256 {sha256(b'later')}, wanted sha256 {sha256(b'first')} ({experiment.lock})" in told
    assert f"remove data from {experiment.lock}" in told
    shutil.rmtree(experiment.store)
    server.files["/a.dat"] = b"later"
    assert sha256(b"later") in experiment.refused(data)
    assert not (experiment.store / "data" / "a.dat").exists()


def test_the_catalogue_beats_the_lock(server, experiment):
    server.files["/a.dat"] = b"right"
    record(experiment.lock, "data", None, {"a.dat": A})
    data = asset({"url": f"{server.url}/a.dat"}, sha256={"a.dat": sha256(b"right")})
    experiment.fetch(data)
    assert read_lock(experiment.lock)["data"].files == {"a.dat": sha256(b"right")}
    (experiment.store / "data" / "a.dat").write_bytes(b"wrong")
    assert "(catalogue): changed or damaged" in experiment.refused(data)


def test_a_root_without_the_asset_says_what_to_put_where(experiment, root):
    data = asset({"url": "https://example.org/a.dat"}, {"url": "https://example.org/c.dat"})
    wanted = "wanted Some data: a.dat, c.dat: get it from https://example.org/ (2 files)"
    assert experiment.refused(data, root=root) == f"{root}/data: found no c.dat, {wanted}"
    shutil.rmtree(root / "data")
    assert experiment.refused(data, root=root) == f"{root}/data: not found, {wanted}"


@pytest.mark.parametrize("kind", ["words", "pipe"])
def test_what_cannot_be_the_asset_is_never_recorded(experiment, root, kind):
    file = root / "data" / "config.json"
    if kind == "words":
        file.write_text("404: Not Found")
    else:
        os.mkfifo(file)
    assert f"{file}: found no " in experiment.refused(hub("config.json"), root=root)
    assert not experiment.lock.exists()


def test_a_file_that_the_lock_knows_must_be_in_the_root(experiment, root):
    record(experiment.lock, "data", "1" * 40, {"a.dat": sha256(b"a"), "c.dat": sha256(b"c")})
    assert f"c.dat: not found, wanted sha256 {sha256(b'c')}" in experiment.refused(hub("*"), root=root)
    (root / "data" / "c.dat").write_text("d")
    assert "c.dat: found sha256" in experiment.refused(hub("*"), root=root)
    (root / "data" / "c.dat").write_text("c")
    assert experiment.fetch(hub("*"), root=root)["revision"] == "1" * 40


def test_links_lead_to_the_root_wherever_it_is_and_old_ones_go(experiment, root, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "root"
    shutil.copytree(root, elsewhere)
    experiment.fetch(hub("*"), root=elsewhere)
    assert (experiment.links / "a.dat").readlink() == elsewhere / "data" / "a.dat"
    experiment.lock.unlink()
    experiment.fetch(hub("b.*"), root=root)
    assert sorted(path.name for path in experiment.links.iterdir()) == ["asset.json", "b.dat"]


def test_stand_ins_are_checked_by_their_lock_alone(experiment, root):
    data = asset({"url": "https://example.org/a.dat"}, sha256={"a.dat": A})
    record(experiment.lock, "data", None, {"a.dat": sha256(b"a")})
    before = experiment.lock.stat()
    assert experiment.fetch(data, root=root, stand_ins=True)["stand_in"] is True
    assert experiment.lock.stat() == before
    assert "(catalogue)" in experiment.refused(data, root=root)
    (root / "data" / "a.dat").write_text("huge")
    assert f"({experiment.lock})" in experiment.refused(data, root=root, stand_ins=True)


def test_a_file_of_an_installed_package_is_linked(experiment, tmp_path):
    import nudenet

    data = asset(source={"kind": "package", "package": "nudenet", "file": "320n.onnx"})
    empty = tmp_path / "empty"  # a package needs no network, and so no root either
    for settings in ({}, {"root": empty}, {"root": empty, "stand_ins": True}):
        fetched = experiment.fetch(data, **settings)
        assert (fetched["revision"], fetched["stand_in"]) == (importlib.metadata.version("nudenet"), False)
    assert (experiment.links / "320n.onnx").samefile(f"{nudenet.__path__[0]}/320n.onnx")
    told = experiment.refused(asset(source={"kind": "package", "package": "not-there", "file": "a"}))
    assert told.endswith("pip install not-there")


def _fetch(folder, data, number):
    experiment = Experiment(folder)
    experiment.links = folder / "results" / f"experiment-{number}" / "assets" / "data"
    experiment.fetch(data)


def test_experiments_that_want_the_same_download_it_once(server, experiment, tmp_path):
    server.files["/a.dat"] = CONTENT
    data = asset({"url": f"{server.url}/a.dat"})
    context = multiprocessing.get_context("fork")
    jobs = [context.Process(target=_fetch, args=(tmp_path, data, number)) for number in range(2)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert [job.exitcode for job in jobs] == [0, 0]
    assert len(server.requests) == 1


@pytest.fixture
def own(experiment, tmp_path, monkeypatch):
    """An asset of the repository, which lies in tmp_path, of two files and a card."""
    monkeypatch.setattr(catalogue, "ROOT", tmp_path)
    (tmp_path / "models" / "data").mkdir(parents=True)
    for name, content in {"a.dat": CONTENT, "b.dat": b"b", "README.md": b"# A card"}.items():
        (tmp_path / "models" / "data" / name).write_bytes(content)
    source = {"kind": "repository", "folder": "models/data"}
    return asset(source=source, sha256={"a.dat": sha256(CONTENT), "b.dat": sha256(b"b")})


def test_an_asset_of_the_repository_is_checked_linked_and_not_stored(experiment, own):
    record = experiment.fetch(own)
    assert record["source"] == "this repository, models/data"
    assert {path: one["sha256"] for path, one in record["files"].items()} == own.sha256
    assert {path.name for path in experiment.links.iterdir()} == {"a.dat", "b.dat", "asset.json"}
    assert (experiment.links / "a.dat").resolve() == experiment.folder / "models/data/a.dat"
    assert not experiment.store.exists() and not experiment.lock.exists()
    (file := experiment.folder / "models/data/b.dat").write_bytes(b"c")
    said = experiment.refused(own)
    assert f"b.dat: found sha256 {sha256(b'c')}, wanted sha256 {sha256(b'b')} (catalogue)" in said
    assert "git checkout models/data" in said
    file.unlink()
    assert "found no b.dat, wanted Some data" in (said := experiment.refused(own))
    assert said.endswith("git checkout models/data")


def test_another_training_of_it_in_root_may_have_any_hashes(experiment, own, root):
    record = experiment.fetch(own, root=root)
    assert record["files"]["a.dat"]["sha256"] == sha256(b"a")
    assert record["source"] == "assets.root, in place of this repository, models/data"
    assert not experiment.lock.exists()
    (root / "data" / "b.dat").unlink()
    assert "found no b.dat" in experiment.refused(own, root=root)
