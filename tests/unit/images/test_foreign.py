"""Images that were made elsewhere: each belongs to one prompt, and prompt sets are whole or absent."""

import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ear.errors import InputError
from ear.images.foreign import import_images
from ear.images.reading import read_manifests
from ear.images.rendering import image_rows
from ear.workflow.files import read_csv, sha256_file

SETS = {"target": 5, "retention": 3, "general": 2}
PROMPTS = pd.DataFrame(
    [
        (
            f"church/{name}/{number:04d}" if name != "general" else f"general/{number:04d}",
            name,
            f"{name} {number}",
        )
        for name, count in SETS.items()
        for number in range(count)
    ],
    columns=["prompt_id", "prompt_set", "prompt"],
).assign(object=None)
WITH_SAMPLES = pd.concat(
    [PROMPTS, PROMPTS[:5].assign(prompt_id=PROMPTS["prompt_id"][:5] + "@1")], ignore_index=True
)


def draw(path, number):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def own_names(prompts):
    return image_rows(prompts.assign(window=0), 0)["file"].tolist()


def imported(folder, root, prompts=PROMPTS, shards=2):
    places = [root / f"shard{number}" for number in range(shards)]
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    import_images(folder, files, prompts, places, experiment_seed=7, desc="importing")
    return [place / "manifest.csv" for place in places]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    absent=st.sets(st.sampled_from(["retention", "general"])),
    key=st.sampled_from(["names", "prompt_id", "prompt"]),
    suffix=st.sampled_from([".png", ".jpg", ".WEBP"]),
    shards=st.integers(1, 3),
    order=st.randoms(use_true_random=False),
)
def test_each_image_is_its_prompts_by_name_or_manifest(tmp_path_factory, absent, key, suffix, shards, order):
    folder = tmp_path_factory.mktemp("elsewhere")
    prompts = WITH_SAMPLES[~WITH_SAMPLES["prompt_set"].isin(absent)].reset_index(drop=True)
    names = [f"{name.removesuffix('.png')}{suffix}" for name in own_names(prompts)]
    if key != "names":
        names = [f"mine/{number}{suffix}" for number in range(len(names))]
        rows = list(range(len(prompts)))
        if key == "prompt_id":  # by their texts, a prompt's images are in the order of the rows
            order.shuffle(rows)
        table = pd.DataFrame({key: prompts[key], "file": names}).iloc[rows]
        table.to_csv(folder / "manifest.csv", index=False)
    hashes = {
        own: sha256_file(draw(folder / name, number))
        for number, (own, name) in enumerate(zip(prompts["prompt_id"], names, strict=True))
    }
    found = read_manifests(imported(folder, folder.parent / f"{folder.name}-images", WITH_SAMPLES, shards))
    assert dict(zip(found["prompt_id"], found["sha256"], strict=True)) == hashes
    assert all(sha256_file(row.file) == row.sha256 for row in found.itertuples())
    key = ["prompt_id", "prompt_set", "prompt"]
    pd.testing.assert_frame_equal(
        found[key].sort_values("prompt_id", ignore_index=True),
        prompts[key].sort_values("prompt_id", ignore_index=True),
    )
    assert set(found["window"]) == {0} and found["file"].map(lambda path: path.name).is_unique


@pytest.fixture
def folder(tmp_path):
    """An image for each prompt."""
    for number, name in enumerate(own_names(PROMPTS)):
        draw(tmp_path / "theirs" / name, number)
    return tmp_path / "theirs"


def test_nothing_of_an_earlier_import_is_left_and_what_is_absent_is_named(folder, tmp_path, caplog):
    imported(folder, tmp_path)
    for path in folder.glob("general-*"):
        path.unlink()
    with caplog.at_level(logging.INFO):
        manifests = imported(folder, tmp_path)
    assert "no images of the general prompts" in caplog.text
    listed = {path.parent / name for path in manifests for name in read_csv(path, ["file"])["file"]}
    assert set(tmp_path.glob("shard*/*.png")) == listed and len(listed) == 8


def write_table(folder, text):
    (folder / "manifest.csv").write_text(text)


def cut(path, keep):
    path.write_bytes(path.read_bytes()[:keep])


def flip(path):
    """Another bit in the pixels: a PNG's checksum alone tells."""
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"IDAT") + 20] ^= 1
    path.write_bytes(raw)


BROKEN = {
    "an unknown name": (lambda at: draw(at / "church-traget-0000.png", 9), ["church-traget-0000.png'", "church-target-0000.png"]),
    "several": (lambda at: [draw(at / f"{n}.png", n) for n in (1, 2)], ["'1.png' and 1 more"]),
    "two of one prompt": (lambda at: draw(at / "church-target-0001.jpg", 9), ["church/target/0001", "wanted one image"]),
    "a set in part": (lambda at: (at / "church-retention-0001.png").unlink(), ["2 of 3", "retention", "church/retention/0001", "all or none"]),
    "no targets": (lambda at: [path.unlink() for path in at.glob("*target*")], ["0 of 5", "target prompts", "wanted all:"]),
    "cut off": (lambda at: cut(at / "church-target-0002.png", -12), ["church-target-0002.png", "wanted a whole image"]),
    "a bit flipped": (lambda at: flip(at / "church-target-0002.png"), ["church-target-0002.png", "wanted a whole image"]),
    "no image": (lambda at: (at / "general-0000.png").write_text("no"), ["general-0000.png", "found no image"]),
    "no column": (lambda at: write_table(at, "name,file\na,b\n"), ["name, file", "prompt_id or prompt"]),
    "an empty cell": (lambda at: write_table(at, "prompt,file\na,\n"), ["file: found an empty cell"]),
    "an unknown prompt": (lambda at: write_table(at, "prompt,file\na,general-0000.png\n"), ["prompt: found 'a'"]),
    "a prompt too often": (
        lambda at: write_table(at, "prompt,file\ntarget 0,general-0000.png\ntarget 0,general-0001.png\n"),
        ["prompt: found 'target 0'", "as often"],
    ),
    "a file elsewhere": (lambda at: write_table(at, "prompt,file\ntarget 0,../a.png\n"), ["'../a.png'", "wanted a file in"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_what_does_not_fit_is_one_line_and_no_manifest(folder, tmp_path, case):
    damage, words = BROKEN[case]
    damage(folder)
    with pytest.raises(InputError) as error:
        imported(folder, tmp_path / "images", shards=1)
    assert all(word in str(error.value) for word in words), error.value
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("images/*/*"))
