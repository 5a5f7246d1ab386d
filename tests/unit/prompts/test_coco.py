"""COCO: prompts, pictures and captions that meet by the picture's number."""

import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ear.errors import InputError
from ear.images.captions import caption_shard
from ear.prompts.coco import captioned_manifest, image_ids_of, picture_name, read_general, reference_manifest
from ear.prompts.tables import PROMPT_COLUMNS
from ear.workflow.files import read_csv, write_csv, write_json
from ear.world.dataset import draw_captioned
from ear.world.scenes import OBJECTS
from ear.world.sentences import describe, frames_of, scene_of
from tests.tiny import tiny_backbone
from tests.unit.prompts.test_published_prompts import run_script

NUMBERS = [391895, 42, 7, 558840, 1000]


def prompts_file(folder, numbers=NUMBERS):
    """coco_30k.csv with its real columns; the prompts tell which picture they belong to."""
    path = folder / "coco_30k.csv"
    rows = [(number, "coco_val2014", f" picture {number}. ", 1, 640, 480) for number in numbers]
    columns = ["image_id", "source", "prompt", "evaluation_seed", "width", "height"]
    write_csv(path, pd.DataFrame(rows, columns=columns))
    return path


def captions_file(folder, numbers=NUMBERS):
    """captions_val2014.json; captions of a picture do not stand together, as in the real file."""
    path = folder / "annotations" / "captions_val2014.json"
    images = [{"id": number, "file_name": picture_name(number), "width": 640} for number in numbers]
    annotations = [
        {"image_id": number, "id": 10 * number + turn, "caption": f'"{turn}" naïve, of {number}\n'}
        for turn in range(5)
        for number in numbers
    ]
    write_json(path, {"info": {}, "images": images, "licenses": [], "annotations": annotations})
    return path


def pictures(folder, numbers=NUMBERS):
    images = folder / "val2014"
    images.mkdir(parents=True)
    for number in numbers:
        (images / f"COCO_val2014_{number:012d}.jpg").touch()
    (images / ".DS_Store").touch()
    return images


def test_prompts_keep_their_picture_and_their_text(tmp_path):
    prompts = read_general(prompts_file(tmp_path), 3, "first", seed=42)
    assert prompts.columns.tolist() == PROMPT_COLUMNS
    assert prompts["prompt_id"].tolist() == ["coco/391895", "coco/42", "coco/7"]
    assert image_ids_of(prompts) == [391895, 42, 7]
    assert prompts["prompt"].tolist() == [" picture 391895. ", " picture 42. ", " picture 7. "]
    assert set(prompts["prompt_set"]) == {"general"} and prompts["object"].isna().all()
    write_csv(tmp_path / "evaluation.csv", prompts)
    assert read_csv(tmp_path / "evaluation.csv", PROMPT_COLUMNS).equals(prompts)


@settings(max_examples=20, deadline=None)
@given(
    numbers=st.lists(st.integers(0, 10**12 - 1), unique=True, min_size=1, max_size=20),
    seed=st.integers(0, 2**31),
    data=st.data(),
)
def test_a_seeded_choice_is_nested_and_independent_of_the_files_order(tmp_path_factory, numbers, seed, data):
    folder = tmp_path_factory.mktemp("coco")
    whole = read_general(prompts_file(folder, numbers), len(numbers), "seeded", seed)
    assert sorted(image_ids_of(whole)) == sorted(numbers)
    assert (whole["prompt"] == [f" picture {number}. " for number in image_ids_of(whole)]).all()
    count = data.draw(st.integers(1, len(numbers)))
    shuffled = prompts_file(folder, data.draw(st.permutations(numbers)))
    assert read_general(shuffled, count, "seeded", seed).equals(whole[:count])


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        ("1,a\n2,b\n1,c\n", "row 2: image_id: found 1, wanted a whole number, each once"),
        ("1,a\nx2,b\n", "row 1: image_id: found x2, wanted a whole number"),
        ("1,a\n2.5,b\n", "row 1: image_id: found 2.5, wanted a whole number"),
        ("1,a\n\n2,b\n", "row 1: prompt: found nothing"),
        ("1,a\n", "found 1 images, wanted 2"),
    ],
)
def test_malformed_prompts_are_one_clear_line(tmp_path, rows, error):
    path = tmp_path / "coco_30k.csv"
    path.write_text("image_id,prompt\n" + rows)
    with pytest.raises(InputError, match=rf"^{path}: {error}"):
        read_general(path, 2, "seeded", seed=1)


def test_the_reference_is_the_whole_folder_or_the_prompts_pictures(tmp_path):
    images = pictures(tmp_path / "assets" / "coco-images")
    manifest = tmp_path / "prompts" / "reference" / "manifest.csv"
    write_csv(manifest, reference_manifest(images, manifest.parent))
    table = read_csv(manifest, ["image_id", "file"])
    assert table["image_id"].tolist() == sorted(NUMBERS)
    assert table["file"][0] == "../../assets/coco-images/val2014/COCO_val2014_000000000007.jpg"
    assert all((manifest.parent / name).exists() for name in table["file"])
    matched = reference_manifest(images, manifest.parent, [1000, 42])
    assert [Path(name).name for name in matched["file"]] == [picture_name(1000), picture_name(42)]


def test_a_missing_picture_or_folder_is_named(tmp_path):
    with pytest.raises(InputError, match=f"^{tmp_path / 'val2014'}: No such file or directory, wanted"):
        reference_manifest(tmp_path / "val2014", tmp_path)
    images = pictures(tmp_path)
    (images / picture_name(42)).unlink()
    missing = f"^{images / 'COCO_val2014_000000000042.jpg'}: not found, wanted the picture of image 42$"
    with pytest.raises(InputError, match=missing):
        reference_manifest(images, tmp_path, NUMBERS)
    with pytest.raises(InputError, match=missing):
        captioned_manifest(images, captions_file(tmp_path), tmp_path, len(NUMBERS), 1)


def test_captioned_pictures_have_all_of_their_captions(tmp_path):
    images, captions = pictures(tmp_path), captions_file(tmp_path)
    table = captioned_manifest(images, captions, tmp_path, 4, seed=42)
    assert table.columns.tolist() == ["image_id", "file", "references"]
    assert table["image_id"].nunique() == 4
    for row in table.itertuples():
        assert Path(row.file).name == picture_name(row.image_id)
        assert json.loads(row.references) == [f'"{turn}" naïve, of {row.image_id}\n' for turn in range(5)]
    assert "naïve" in table["references"][0]  # people read it
    assert captioned_manifest(images, captions, tmp_path, 2, seed=42).equals(table[:2])
    with pytest.raises(InputError, match=f"^{captions}: found 5 images, wanted 6"):
        captioned_manifest(images, captions, tmp_path, 6, seed=42)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ('{"images": []}', r"found \{'images': \[\]\}, wanted annotations, a list of objects with image_id"),
        ('{"annotations": []}', "found 0 images, wanted 1"),
        ('{"annotations": [{"image_id": "7", "caption": "a"}]}', "annotations: entry 0: found"),
    ],
)
def test_malformed_captions_are_one_clear_line(tmp_path, content, error):
    path = tmp_path / "captions.json"
    path.write_text(content)
    with pytest.raises(InputError, match=f"^{path}: {error}"):
        captioned_manifest(pictures(tmp_path), path, tmp_path, 1, seed=1)


@pytest.mark.parametrize("reference", ["val2014", "matched"])
def test_the_job_writes_general_prompts_and_both_manifests(tmp_path, reference):
    assets = {name: tmp_path / "assets" / name for name in ("prompts", "images", "captions")}
    prompts_file(assets["prompts"])
    pictures(assets["images"])
    captions_file(assets["captions"])
    out = {name: tmp_path / "prompts" / name / "manifest.csv" for name in ("reference", "captions")}
    utility = {"general": 2, "captions": 3, "subsample": "first", "reference": reference}
    run_script(
        "prompts_list_pictures.py",
        tmp_path,
        input={name: str(folder / "asset.json") for name, folder in assets.items()},
        output={name: str(path) for name, path in out.items()} | {"general": str(tmp_path / "general.csv")},
        params={"utility": utility, "seed": 42},
    )
    general = read_csv(tmp_path / "general.csv", PROMPT_COLUMNS)
    assert general["prompt_id"].tolist() == [f"coco/{number}" for number in NUMBERS[:2]]
    table = read_csv(out["reference"], ["image_id", "file"])
    assert table["image_id"].tolist() == (sorted(NUMBERS) if reference == "val2014" else NUMBERS[:2])
    assert len(read_csv(out["captions"], ["image_id", "file", "references"])) == 3
    for name, path in out.items():
        assert all((path.parent / file).exists() for file in read_csv(path, ["file"])["file"]), name


def test_drawn_pictures_are_captioned_by_the_same_table(tmp_path):
    draw_captioned(tmp_path / "captions", 40, seed=42)
    manifest = read_csv(tmp_path / "captions" / "manifest.csv", ["image_id", "file", "references"])
    descriptions = {
        describe(scene_of(frame, name, fire, **style))
        for frame in frames_of("evaluation")
        for name in OBJECTS
        for fire in (False, True)
        for style in ({"van_gogh": False}, {"van_gogh": True}, {"van_gogh": False, "sepia": True})
    }
    for references in manifest["references"].map(json.loads):
        assert len(references) == 1 and descriptions.issuperset(references)
    assert manifest["references"].str.contains("in sepia").any()
    spoken = caption_shard(tiny_backbone(grid=8), tmp_path / "captions" / "manifest.csv", 1, 2, "captioning")
    assert spoken.columns.tolist() == ["image_id", "references", "caption"]
    of_shard = manifest.loc[1::2, ["image_id", "references"]]
    assert spoken[["image_id", "references"]].values.tolist() == of_shard.values.tolist()
