import hashlib
import json
import multiprocessing
import os
from pathlib import Path

import pytest
import yaml

from ear.errors import InputError
from ear.models.catalogue import Asset, load_catalogue, shapes_of, size_in_words
from ear.models.lock import Entry, files_of, read_lock, record

REPOSITORY = Path(__file__).parents[3]
NAMES = [
    "mini-backbone",
    "mini-classifier",
    "mini-clip",
    "janus-pro-7b",
    "janus-pro-1b",
    "ear-weights",
    "prompts",
    "resnet50",
    "clip",
    "artist-classifier",
    "nudenet",
    "coco-images",
    "coco-captions",
    "inception",
    "stable-diffusion",
]
FILE = {"kind": "url", "downloads": [{"url": "https://example.org/a.bin"}]}
ASSET = {"title": "a file", "licence": "MIT", "size": 5, "source": FILE}


@pytest.fixture(scope="module")
def catalogue():
    return load_catalogue(REPOSITORY / "assets.yaml")


def test_the_list_has_every_asset_of_the_paper_and_of_the_mini_world(catalogue):
    assert sorted(catalogue) == sorted(NAMES)


def test_the_shapes_of_the_backbones_are_known(catalogue):
    shapes = shapes_of(catalogue)
    assert {name: (shape.layers, shape.image_tokens) for name, shape in shapes.items()} == {
        "mini-backbone": (6, 64),
        "janus-pro-7b": (30, 576),
        "janus-pro-1b": (24, 576),
    }


def test_every_published_prompt_file_has_a_hash_and_they_are_those_of_the_files(catalogue):
    prompts = catalogue["prompts"]
    assert set(prompts.sha256) == {download.file for download in prompts.source.downloads}
    assert all(prompts.sha256.values())
    if not (folder := os.environ.get("EAR_PROMPT_FILES")):
        pytest.skip("EAR_PROMPT_FILES names no folder with the authors' files")
    for path in Path(folder).iterdir():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == prompts.sha256[path.name]
        (download,) = (one for one in prompts.source.downloads if one.file == path.name)
        assert path.stat().st_size == download.size


def test_the_detector_has_the_hash_of_the_installed_one(catalogue):
    nudenet = pytest.importorskip("nudenet")
    path = Path(nudenet.__file__).with_name("320n.onnx")
    assert catalogue["nudenet"].sha256 == {"320n.onnx": hashlib.sha256(path.read_bytes()).hexdigest()}
    assert catalogue["nudenet"].size == path.stat().st_size


@pytest.mark.parametrize("name", ["mini-backbone", "mini-classifier", "mini-clip"])
def test_models_of_this_repository_are_those_of_the_list_each_with_a_card(catalogue, name):
    asset = catalogue[name]
    files = {path.name: path for path in asset.source.path.iterdir()}
    assert files.keys() == {*asset.sha256, "README.md"}
    hashes = {file: hashlib.sha256(files[file].read_bytes()).hexdigest() for file in asset.sha256}
    assert hashes == asset.sha256
    assert sum(files[file].stat().st_size for file in asset.sha256) == asset.size
    card = files["README.md"].read_text(encoding="utf-8")
    assert all(f"`{file}` | `{digest}`" in card for file, digest in hashes.items())


def test_archives_unpack_to_trees_or_to_files(catalogue):
    assert catalogue["coco-images"].trees == ["val2014/"]
    assert catalogue["coco-images"].archives == ["val2014.zip"]
    assert catalogue["coco-captions"].trees == ["annotations/"]
    assert catalogue["artist-classifier"].trees == []


def test_an_asset_says_what_it_is_in_words(catalogue):
    assert catalogue["janus-pro-7b"].size_words == "about 14.8 GB"
    assert catalogue["nudenet"].size_words == "12.2 MB"
    assert catalogue["prompts"].source.words.endswith("/data/ (7 files)")
    assert catalogue["clip"].source.words == "Hugging Face hub, timm/vit_base_patch32_clip_224.openai"


@pytest.mark.parametrize(
    ("count", "words"), [(1, "1 B"), (999, "999 B"), (1000, "1 kB"), (6_645_013_297, "6.65 GB")]
)
def test_sizes_in_words(count, words):
    assert size_in_words(count) == words


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"licence": 3}, "a.licence: found 3, wanted"),
        ({"colour": "red"}, "a.colour: found 'red', wanted"),
        ({"size": "big"}, "a.size: found 'big', wanted"),
        ({"sha256": {"a.bin": "abc"}}, "a.sha256.a.bin: found 'abc', wanted"),
        ({"sha256": {"../a.bin": None}}, "wanted one inside of the asset's folder"),
        ({"source": {"kind": "ftp"}}, "a.source: found {'kind': 'ftp'}, wanted"),
        ({"source": {"kind": "hub", "repo": "a/b", "files": ["*"]}}, "a.source.hub.revision: found nothing"),
        (
            {"source": {"kind": "hub", "repo": "a/b", "files": ["*"], "revision": "main"}},
            "found 'main', wanted",
        ),
        ({"source": {"kind": "url", "downloads": [{"url": "ftp://x/y"}]}}, "found 'ftp://x/y', wanted"),
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


@pytest.mark.parametrize("text", ["a: [", "- a", "Upper: {}", "\N{SNOWMAN}"])
def test_a_file_that_is_no_list_of_assets_is_one_line(tmp_path, text):
    path = tmp_path / "assets.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"assets\.yaml:(1:)? .*wanted") as error:
        load_catalogue(path)
    assert "\n" not in str(error.value)


A, B, C = "a" * 64, "b" * 64, "c" * 64


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
    assert {name: len(entry.files) for name, entry in read_lock(path).items()} == {
        f"asset-{worker}": 20 for worker in range(4)
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "not JSON"),
        ("[]", "wanted"),
        ('{"one": {"files": {}}}', "one.revision: found nothing"),
        ('{"one": {"revision": null, "files": {"a": "abc"}}}', "one.files.a: found 'abc'"),
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
    source = {"kind": "hub", "repo": "a/b", "revision": None, "files": ["*.json"]}
    assert files_of(Asset.model_validate(ASSET | {"source": source}), tmp_path) == [
        "config.json",
        "unet/config.json",
    ]
