import hashlib
import json
import multiprocessing
import os

import pytest

from ear.assets.catalogue import Asset
from ear.assets.lock import Entry, files_of, measure, missing, read_lock, record
from ear.errors import InputError

A, B, C = "a" * 64, "b" * 64, "c" * 64


def asset(**source):
    return Asset.model_validate({"title": "x", "licence": "MIT", "size": 1, "source": source})


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_lock_that_is_not_there_knows_nothing(tmp_path):
    assert read_lock(tmp_path / "assets.lock.json") == {}


def test_entries_are_added_and_replaced_one_by_one(tmp_path):
    path = tmp_path / "deep" / "assets.lock.json"
    record(path, "one", None, {"a": A})
    record(path, "two", "1" * 40, {"b": B})
    record(path, "one", "2" * 40, {"c": C})
    record(path, "two", None, {"b": C})
    assert read_lock(path) == {
        "one": Entry("2" * 40, {"a": A, "c": C}),
        "two": Entry("1" * 40, {"b": C}),
    }
    assert json.loads(path.read_text())["one"] == {"revision": "2" * 40, "files": {"a": A, "c": C}}


def test_a_lock_that_knows_it_already_is_not_written(tmp_path):
    path = tmp_path / "assets.lock.json"
    record(path, "one", None, {"a": A})
    before = os.stat(path)
    record(path, "one", None, {"a": A})
    assert os.stat(path) == before


def _record_many(path, worker):
    for number in range(20):
        record(path, f"asset-{worker}", None, {f"{number}": A})


def test_jobs_that_record_at_once_lose_nothing(tmp_path):
    path = tmp_path / "assets.lock.json"
    context = multiprocessing.get_context("fork")
    jobs = [context.Process(target=_record_many, args=(path, worker)) for worker in range(4)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    lock = read_lock(path)
    assert {name: len(entry.files) for name, entry in lock.items()} == {f"asset-{w}": 20 for w in range(4)}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "not JSON"),
        ("[]", "wanted"),
        ('{"one": {"files": {}}}', "one.revision"),
        ('{"one": {"revision": null, "files": {"a": "abc"}}}', "one.files.a: found abc"),
        ('{"one": {"revision": null, "files": {}, "size": 3}}', "one.size"),
    ],
)
def test_a_wrong_lock_is_one_line(tmp_path, text, told):
    path = tmp_path / "assets.lock.json"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read_lock(path)
    assert str(error.value).startswith(f"{path}:") and told in str(error.value)
    assert "\n" not in str(error.value)


def test_hidden_files_and_files_of_others_do_not_belong_to_an_asset(tmp_path):
    for name in ("config.json", "unet/config.json", ".cache/meta.json", ".fetched.json", "weights.bin"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    hub = asset(kind="hub", repo="a/b", revision=None, files=["*.json"])
    assert files_of(hub, tmp_path) == ["config.json", "unet/config.json"]
    assert measure(hub, tmp_path, "x")["unet/config.json"].sha256 == sha256("unet/config.json")


def test_a_tree_has_one_digest_over_its_files_also_behind_a_link(tmp_path):
    real = tmp_path / "elsewhere"
    real.mkdir()
    for name in ("b.jpg", "a.jpg"):
        (real / name).write_text(name)
    folder = tmp_path / "coco-images"
    folder.mkdir()
    (folder / "val").symlink_to(real)
    images = asset(
        kind="url", downloads=[{"url": "https://example.org/val.zip", "unpack": ["val/*.jpg"], "size": 1}]
    )
    (tree, found), *others = measure(images, folder, "x").items()
    lines = sorted(f"{sha256(name)}  val/{name}\n" for name in ("a.jpg", "b.jpg"))
    assert (tree, found.sha256, found.count, found.bytes) == ("val/", sha256("".join(lines)), 2, 10)
    assert not others


def test_a_need_is_met_by_either_of_its_patterns():
    files = [{"url": "https://example.org/a.zip", "unpack": ["model.safetensors", "model.bin"], "flat": True}]
    one = asset(kind="url", downloads=files).model_copy(update={"needs": ["model.safetensors|model.bin"]})
    assert missing(one, ["model.bin"]) == []
    assert missing(one, ["config.json"]) == ["model.safetensors|model.bin"]
