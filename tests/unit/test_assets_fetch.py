"""Assets from the network, the store, a folder and a package, and the record and links that they end in."""

import importlib.metadata
import json
import multiprocessing
import os
import shutil

import pytest

from ear.assets import catalogue
from ear.assets.catalogue import Asset
from ear.assets.fetch import fetch_asset
from ear.assets.lock import read_lock, record
from ear.errors import InputError
from tests.unit.test_assets_download import CONTENT, serving, sha256, zipped

A = "a" * 64
fixture = pytest.fixture(serving, name="server")


def asset(*downloads, **settings):
    source = settings.pop("source", {"kind": "url", "downloads": list(downloads)})
    return Asset.model_validate(
        {"title": "Some data", "licence": "MIT", "size": 1, "source": source} | settings
    )


class Experiment:
    """A working folder with a lock and a store; ``fetch`` is one job of it."""

    def __init__(self, folder, name="data"):
        self.folder, self.name = folder, name
        self.links = folder / "results" / "paper" / "assets" / name
        self.store, self.lock = folder / "resources", folder / "assets.lock.json"

    def fetch(self, asset, root=None, pauses=(), **settings):
        places = {"root": root and str(root), "store": str(self.store), "lock": str(self.lock)}
        path = fetch_asset(self.name, asset, self.links, **places, pauses=pauses, **settings)
        return json.loads(path.read_text())

    def refused(self, asset, **settings):
        with pytest.raises(InputError) as error:
            self.fetch(asset, **settings)
        assert "\n" not in str(error.value)
        return str(error.value)


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Experiment(tmp_path)


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
    assert read_lock(experiment.lock)["data"].files == {name: one["sha256"] for name, one in files.items()}
    server.files.clear()
    assert experiment.fetch(data)["files"] == files
    assert len(server.ranges) == 2


def test_the_record_does_not_depend_on_where_the_files_are(server, experiment, tmp_path):
    server.files["/a.zip"] = zipped(**{"val/1.jpg": b"1", "val/2.jpg": b"22"})
    data = asset({"url": f"{server.url}/a.zip", "unpack": ["val/*"]})
    fetched = experiment.fetch(data)
    assert list(fetched["files"]) == ["val/"]
    assert {key: fetched["files"]["val/"][key] for key in ("count", "bytes")} == {"count": 2, "bytes": 3}
    assert set(read_lock(experiment.lock)["data"].files) == {"a.zip", "val/"}
    assert experiment.fetch(data) == fetched
    root = tmp_path / "elsewhere"
    shutil.move(experiment.store, root)
    assert experiment.fetch(data, root=root) == fetched
    assert not experiment.store.exists()
    assert (experiment.links / "val" / "2.jpg").read_bytes() == b"22"


def test_what_was_unknown_is_recorded_and_a_changed_file_is_refused(server, experiment):
    server.files["/a.dat"] = b"first"
    data = asset({"url": f"{server.url}/a.dat"}, sha256={"a.dat": None})
    experiment.fetch(data)
    (experiment.store / "data" / "a.dat").write_bytes(b"later")
    told = experiment.refused(data)
    assert f"found sha256 {sha256(b'later')}, wanted {sha256(b'first')} ({experiment.lock})" in told
    assert f"remove data from {experiment.lock}" in told
    shutil.rmtree(experiment.store)
    server.files["/a.dat"] = b"later"
    assert "the source has changed" in experiment.refused(data)
    assert not (experiment.store / "data" / "a.dat").exists()


def test_the_catalogue_beats_the_lock(server, experiment):
    server.files["/a.dat"] = b"right"
    record(experiment.lock, "data", None, {"a.dat": A})
    data = asset({"url": f"{server.url}/a.dat"}, sha256={"a.dat": sha256(b"right")})
    experiment.fetch(data)
    assert read_lock(experiment.lock)["data"].files == {"a.dat": sha256(b"right")}
    (experiment.store / "data" / "a.dat").write_bytes(b"wrong")
    assert "(catalogue): changed or damaged" in experiment.refused(data)


def test_a_failing_network_says_which_asset_and_how_to_do_without(server, experiment):
    server.faults["/a.dat"] = [500]
    told = experiment.refused(asset({"url": f"{server.url}/a.dat"}))
    assert told.startswith(f"data: {server.url}/a.dat: 500")
    assert told.endswith("or put a.dat into <folder>/data/ and name that folder in assets.root")


def mirrored(server):
    """One file, and an archive elsewhere that holds it too."""
    archive = {"url": f"{server.url}/all.zip", "unpack": ["a.dat"], "flat": True}
    first = {"kind": "url", "downloads": [{"url": f"{server.url}/a.dat"}], "fallback": [archive]}
    return asset(source=first, sha256={"a.dat": sha256(b"right")})


def test_where_the_first_source_fails_another_one_serves(server, experiment, caplog):
    server.files |= {"/a.dat": b"<html>gone</html>", "/all.zip": zipped(**{"deep/a.dat": b"right"})}
    fetched = experiment.fetch(mirrored(server))
    assert fetched["files"] == {"a.dat": {"sha256": sha256(b"right"), "bytes": 5}}
    assert read_lock(experiment.lock)["data"].files.keys() == {"a.dat", "all.zip"}
    assert "found an HTML page, as servers send instead of a file, wanted a.dat" in caplog.text
    assert f"trying {server.url}/all.zip" in caplog.text
    before = len(server.ranges)
    assert experiment.fetch(mirrored(server)) == fetched
    assert len(server.ranges) == before


def test_the_other_source_is_left_alone_where_the_first_one_serves(server, experiment):
    server.files["/a.dat"] = b"right"
    experiment.fetch(mirrored(server))
    assert len(server.ranges) == 1


def test_other_bytes_from_the_other_source_are_refused(server, experiment):
    server.files["/all.zip"] = zipped(**{"a.dat": b"wrong"})
    assert f"found sha256 {sha256(b'wrong')}, wanted {sha256(b'right')} (catalogue)" in experiment.refused(
        mirrored(server)
    )
    assert not experiment.lock.exists()


def test_both_sources_are_told_of_where_both_fail(server, experiment):
    told = experiment.refused(mirrored(server))
    assert (
        f"{server.url}/a.dat: found 404 Not Found, wanted the file; and then {server.url}/all.zip: " in told
    )


def test_files_put_into_the_store_by_hand_are_taken(server, experiment):
    folder = experiment.store / "data"
    folder.mkdir(parents=True)
    for name in ("config.json", "model.dat"):
        (folder / name).write_text("{}")
    files = ["config.json", "model.dat", "model.safetensors"]
    data = asset(
        {"url": f"{server.url}/a.zip", "unpack": files, "flat": True},
        needs=["config.json", "model.dat|model.safetensors"],
    )
    assert set(experiment.fetch(data)["files"]) == {"config.json", "model.dat"}
    assert not server.ranges


@pytest.mark.parametrize("there", [False, True])
def test_a_root_without_the_asset_says_what_to_put_where(experiment, tmp_path, there):
    root = tmp_path / "assets"
    if there:
        (root / "data").mkdir(parents=True)
        (root / "data" / "b.dat").write_text("b")
    data = asset({"url": "https://example.org/a.dat"}, {"url": "https://example.org/b.dat"})
    told = experiment.refused(data, root=root)
    found = "found no a.dat" if there else "not found"
    assert (
        told == f"{root}/data: {found}, wanted Some data: a.dat, b.dat, from https://example.org/ (2 files)"
    )


@pytest.mark.parametrize("kind", ["words", "link to itself", "pipe"])
def test_what_cannot_be_the_asset_is_never_recorded(experiment, tmp_path, kind):
    source = {"kind": "hub", "repo": "a/b", "revision": None, "files": ["config.json"]}
    asset = Asset.model_validate({"title": "a model", "licence": "MIT", "size": 1, "source": source})
    (file := tmp_path / "root" / "data" / "config.json").parent.mkdir(parents=True)
    if kind == "words":
        file.write_text("404: Not Found")
    elif kind == "pipe":
        os.mkfifo(file)
    else:
        file.symlink_to(file.name)
    assert f"{file}: found no " in experiment.refused(asset, root=tmp_path / "root")
    assert not experiment.lock.exists()


def test_a_file_that_the_lock_knows_must_be_in_the_root(experiment, tmp_path):
    root = tmp_path / "assets"
    (root / "data").mkdir(parents=True)
    (root / "data" / "one.dat").write_text("1")
    record(experiment.lock, "data", "1" * 40, {"one.dat": sha256(b"1"), "two.dat": A})
    hub = asset(source={"kind": "hub", "repo": "a/b", "revision": None, "files": ["*"]})
    assert "two.dat: not found, wanted it with sha256 " + A in experiment.refused(hub, root=root)
    (root / "data" / "two.dat").write_text("2")
    assert "two.dat: found sha256" in experiment.refused(hub, root=root)
    record(experiment.lock, "data", None, {"two.dat": sha256(b"2")})
    assert experiment.fetch(hub, root=root)["revision"] == "1" * 40


def test_a_root_outside_of_the_working_folder_is_linked_by_its_full_path(experiment, tmp_path_factory):
    root = tmp_path_factory.mktemp("elsewhere")
    (root / "data").mkdir()
    (root / "data" / "a.dat").write_text("a")
    experiment.fetch(asset({"url": "https://example.org/a.dat"}), root=root)
    assert (experiment.links / "a.dat").readlink() == root / "data" / "a.dat"


def test_links_of_an_earlier_fetch_go(experiment, tmp_path):
    root = tmp_path / "assets"
    (root / "data").mkdir(parents=True)
    for name in ("a.dat", "b.dat"):
        (root / "data" / name).write_text(name)
    experiment.fetch(
        asset(source={"kind": "hub", "repo": "a/b", "revision": None, "files": ["*"]}), root=root
    )
    (experiment.lock).unlink()
    experiment.fetch(
        asset(source={"kind": "hub", "repo": "a/b", "revision": None, "files": ["b.*"]}), root=root
    )
    assert sorted(path.name for path in experiment.links.iterdir()) == ["asset.json", "b.dat"]


def test_stand_ins_are_checked_by_their_lock_alone(experiment, tmp_path):
    root = tmp_path / "stand-ins"
    (root / "data").mkdir(parents=True)
    (root / "data" / "a.dat").write_text("tiny")
    data = asset({"url": "https://example.org/a.dat"}, sha256={"a.dat": A})
    told = experiment.refused(data, root=root, stand_ins=True)
    assert told.startswith(f"{experiment.lock}: data: found no a.dat, wanted its sha256")
    record(experiment.lock, "data", None, {"a.dat": sha256(b"tiny")})
    before = experiment.lock.stat()
    assert experiment.fetch(data, root=root, stand_ins=True)["stand_in"] is True
    assert experiment.lock.stat() == before
    assert "(catalogue)" in experiment.refused(data, root=root)
    (root / "data" / "a.dat").write_text("huge")
    assert f"({experiment.lock})" in experiment.refused(data, root=root, stand_ins=True)


def test_a_file_of_an_installed_package_is_linked(experiment, tmp_path):
    import nudenet

    data = asset(source={"kind": "package", "package": "nudenet", "file": "320n.onnx"})
    root = tmp_path / "empty"  # a package needs no network, and so no root either
    for settings in ({}, {"root": root}, {"root": root, "stand_ins": True}):
        fetched = experiment.fetch(data, **settings)
        assert (fetched["revision"], fetched["stand_in"]) == (importlib.metadata.version("nudenet"), False)
    assert (experiment.links / "320n.onnx").samefile(f"{nudenet.__path__[0]}/320n.onnx")
    told = experiment.refused(asset(source={"kind": "package", "package": "not-there", "file": "a"}))
    assert told.endswith("pip install not-there")


def _fetch(folder, data, number):
    experiment = Experiment(folder)
    experiment.links = folder / "results" / f"experiment-{number}" / "assets" / "data"
    experiment.fetch(data)


def test_two_experiments_that_want_the_same_download_it_once(server, experiment, tmp_path):
    server.files["/a.dat"] = CONTENT
    data = asset({"url": f"{server.url}/a.dat"})
    context = multiprocessing.get_context("fork")
    jobs = [context.Process(target=_fetch, args=(tmp_path, data, number)) for number in range(3)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert [job.exitcode for job in jobs] == [0, 0, 0]
    assert server.ranges == [None]
    assert experiment.fetch(data)["files"]["a.dat"]["sha256"] == sha256(CONTENT)


@pytest.fixture
def own(experiment, tmp_path, monkeypatch):
    """An asset of the repository, which lies in tmp_path, of two files and a card."""
    monkeypatch.setattr(catalogue, "ROOT", tmp_path)
    folder = tmp_path / "models" / "data"
    folder.mkdir(parents=True)
    for name, content in {"a.dat": CONTENT, "b.dat": b"b", "README.md": b"# A card"}.items():
        (folder / name).write_bytes(content)
    source = {"kind": "repository", "folder": "models/data"}
    return asset(source=source, sha256={"a.dat": sha256(CONTENT), "b.dat": sha256(b"b")})


def test_an_asset_of_the_repository_is_checked_and_linked_and_nothing_is_stored(experiment, own):
    record = experiment.fetch(own)
    assert record["source"] == "this repository, models/data"
    assert record["files"] == {
        "a.dat": {"sha256": sha256(CONTENT), "bytes": len(CONTENT)},
        "b.dat": {"sha256": sha256(b"b"), "bytes": 1},
    }
    assert {path.name for path in experiment.links.iterdir()} == {"a.dat", "b.dat", "asset.json"}
    assert (experiment.links / "a.dat").resolve() == experiment.folder / "models/data/a.dat"
    assert not experiment.store.exists() and not experiment.lock.exists()


def test_an_asset_of_the_repository_is_all_files_of_the_catalogue_and_no_others(experiment, own):
    folder = experiment.folder / "models/data"
    (folder / "b.dat").write_bytes(b"c")
    said = experiment.refused(own)
    assert said.startswith(
        f"models/data/b.dat: found sha256 {sha256(b'c')}, wanted {sha256(b'b')} (catalogue)"
    )
    assert "git checkout models/data" in said and "data.sha256" in said
    (folder / "b.dat").unlink()
    assert (
        experiment.refused(own) == "models/data: found no b.dat, wanted Some data: git checkout models/data"
    )
    (folder / "b.dat").write_bytes(b"b")
    (folder / "c.dat").write_bytes(b"c")
    assert "models/data/c.dat: found no sha256 in the catalogue, wanted one" in experiment.refused(own)


def test_another_training_of_it_in_root_may_have_any_hashes(experiment, own):
    root = experiment.folder / "trained"
    (root / "data").mkdir(parents=True)
    (root / "data" / "a.dat").write_bytes(b"another")
    assert "found no b.dat" in experiment.refused(own, root=root)
    (root / "data" / "b.dat").write_bytes(b"b")
    record = experiment.fetch(own, root=root)
    assert record["files"]["a.dat"]["sha256"] == sha256(b"another")
    assert record["source"] == "assets.root, in place of this repository, models/data"
    assert not experiment.lock.exists()


def test_an_asset_of_the_repository_states_its_files():
    with pytest.raises(ValueError, match="wanted sha256"):
        asset(source={"kind": "repository", "folder": "models/data"})
