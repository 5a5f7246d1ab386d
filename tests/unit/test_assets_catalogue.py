import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ear.assets.catalogue import Asset, load_catalogue, shapes_of, size_in_words
from ear.errors import InputError

REPOSITORY = Path(__file__).parents[2]
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


def test_an_asset_survives_the_parameters_of_a_job(catalogue):
    for asset in catalogue.values():
        assert Asset.model_validate(asset.model_dump(mode="json")) == asset


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


def test_bytes_that_are_not_utf_8_and_a_missing_file_are_one_line(tmp_path):
    path = tmp_path / "assets.yaml"
    with pytest.raises(InputError, match="wanted the list of assets"):
        load_catalogue(path)
    path.write_bytes(b"a: \xff")
    with pytest.raises(InputError, match="wanted the list of assets"):
        load_catalogue(path)


def test_the_list_is_read_without_heavy_imports():
    heavy = "{'torch', 'transformers', 'huggingface_hub', 'requests', 'pandas'} & set(sys.modules)"
    code = f"import sys; import ear.assets.catalogue; sys.exit(str({heavy}) if {heavy} else 0)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY).returncode == 0
