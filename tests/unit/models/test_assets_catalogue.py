"""The list of assets, the lock, and which files belong to an asset."""

import hashlib
import json
import multiprocessing
import os
from pathlib import Path

import pytest
import yaml

from ear.errors import InputError
from ear.models.catalogue import Asset, load_catalogue, size_in_words
from ear.models.lock import Entry, files_of, read_lock, record

REPOSITORY = Path(__file__).parents[3]
CATALOGUE = load_catalogue(REPOSITORY / "assets.yaml")
FILE = {"kind": "url", "downloads": [{"url": "https://example.org/a.bin"}]}
ASSET = {"title": "a file", "licence": "MIT", "size": 5, "source": FILE}
A, B, C = "a" * 64, "b" * 64, "c" * 64


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_authors_files_have_the_listed_hashes():
    if not (folder := os.environ.get("EAR_PROMPT_FILES")):
        pytest.skip("EAR_PROMPT_FILES names no folder with the authors' files")
    for path in Path(folder).iterdir():
        assert sha256(path) == CATALOGUE["prompts"].sha256[path.name]


def test_the_detector_has_the_hash_of_the_installed_one():
    nudenet = pytest.importorskip("nudenet")
    path = Path(nudenet.__file__).with_name("320n.onnx")
    assert CATALOGUE["nudenet"].sha256 == {"320n.onnx": sha256(path)}


@pytest.mark.parametrize("name", ["mini-backbone", "mini-liquid", "mini-classifier", "mini-clip"])
def test_models_of_this_repository_are_those_of_the_list_each_with_a_card(name):
    asset = CATALOGUE[name]
    folder = asset.source.path
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    assert files.keys() == {*asset.sha256, "README.md"}
    assert {file: sha256(files[file]) for file in asset.sha256} == asset.sha256
    assert sum(files[file].stat().st_size for file in asset.sha256) == asset.size
    card = files["README.md"].read_text(encoding="utf-8")
    assert all(f"`{file}` | `{digest}`" in card for file, digest in asset.sha256.items())


def test_an_asset_says_what_it_is_in_words():
    assert CATALOGUE["janus-pro-7b"].size_words == "about 14.8 GB"
    assert CATALOGUE["prompts"].origin.endswith("/data/ (7 files)")
    assert [size_in_words(count) for count in (999, 1000, 6_645_013_297)] == ["999 B", "1 kB", "6.65 GB"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"licence": 3}, "a.licence: found 3, wanted"),
        ({"colour": "red"}, "a.colour: found 'red', wanted"),
        ({"sha256": {"a.bin": "abc"}}, "a.sha256.a.bin: found 'abc', wanted"),
        ({"source": {"kind": "ftp"}}, "a.source: found {'kind': 'ftp'}, wanted"),
        ({"source": {"kind": "hub", "repo": "a/b", "files": ["*"]}}, "a.source.hub.revision: found nothing"),
        ({"source": {"kind": "repository", "folder": "models/data"}}, "wanted sha256: what of the folder"),
    ],
)
def test_a_wrong_entry_is_one_line(tmp_path, change, told):
    path = tmp_path / "assets.yaml"
    path.write_text(yaml.safe_dump({"a": ASSET | change}))
    with pytest.raises(InputError) as error:
        load_catalogue(path)
    assert str(error.value).startswith(f"{path}: ") and told in str(error.value)
    assert "\n" not in str(error.value)


def test_entries_of_the_lock_are_added_and_replaced_one_by_one(tmp_path):
    path = tmp_path / "deep" / "assets.lock.json"
    assert read_lock(path) == {}
    record(path, "one", None, {"a": A})
    record(path, "two", "1" * 40, {"b": B})
    record(path, "one", "2" * 40, {"c": C})
    record(path, "two", None, {"b": C})
    assert read_lock(path) == {
        "one": Entry(revision="2" * 40, files={"a": A, "c": C}),
        "two": Entry(revision="1" * 40, files={"b": C}),
    }
    assert json.loads(path.read_text())["one"] == {"revision": "2" * 40, "files": {"a": A, "c": C}}
    before = os.stat(path)
    record(path, "two", None, {"b": C})
    assert os.stat(path) == before  # what it knows already is not written


def _record_many(path, worker):
    for number in range(10):
        record(path, f"asset-{worker}", None, {f"{number}": A})


def test_jobs_that_record_at_once_lose_nothing(tmp_path):
    path = tmp_path / "assets.lock.json"
    context = multiprocessing.get_context("fork")
    jobs = [context.Process(target=_record_many, args=(path, worker)) for worker in range(2)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert [len(entry.files) for entry in read_lock(path).values()] == [10, 10]


def test_a_wrong_lock_is_one_line(tmp_path):
    path = tmp_path / "assets.lock.json"
    path.write_text('{"one": {"revision": null, "files": {"a": "abc"}}}')
    with pytest.raises(InputError, match=r"lock\.json: one\.files\.a: found 'abc'"):
        read_lock(path)


def test_hidden_files_and_files_of_others_do_not_belong_to_an_asset(tmp_path):
    for name in ("config.json", "unet/config.json", ".cache/meta.json", ".fetched.json", "weights.bin"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    source = {"kind": "hub", "repo": "a/b", "revision": None, "files": ["*.json"]}
    asset = Asset.model_validate(ASSET | {"source": source})
    assert files_of(asset, tmp_path) == ["config.json", "unet/config.json"]
