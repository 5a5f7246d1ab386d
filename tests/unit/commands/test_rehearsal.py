"""Stand-ins of the paper's assets: what every later stage reads can be read, and is of the real format."""

import json
import os
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from ear.commands.stand_ins.make import UNUSED_PICTURES, make_stand_ins
from ear.config import parse_config
from ear.config.parsing import read_config
from ear.config.sections import PUBLIC_PROMPTS
from ear.erasure.edited_weights import load_edited
from ear.erasure.release import import_authors_weights
from ear.errors import InputError
from ear.images.captions import caption_images
from ear.images.sampling import Guidance, sample_prompts
from ear.models.catalogue import load_catalogue, shapes_of
from ear.models.families import load_backbone
from ear.models.fetch import fetch_asset
from ear.prompts.published import read_pairs, read_public, read_targets

REPOSITORY = Path(__file__).parents[3]
NAMES = ["ear-weights", "janus-pro-7b", "prompts", "resnet50", "clip", "artist-classifier", "nudenet"]
NAMES += ["nsfw-classifier", "clip-large", "q16", *PUBLIC_PROMPTS]
NAMES += ["coco-images", "coco-captions", "inception", "stable-diffusion"]
CATALOGUE = load_catalogue(REPOSITORY / "assets.yaml")
COUNTS = {"pairs": 5, "targets": 4, "general": 6}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("stand-ins")
    make_stand_ins(root, NAMES, 3, **COUNTS)
    return root


@pytest.fixture(scope="module")
def backbone(root):
    return load_backbone(str(root / "janus-pro-7b"), "float32", "cpu")


@pytest.fixture(scope="module")
def files(root):
    return sorted((root / "coco-images").rglob("*.jpg"))


def contents(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def test_each_is_taken_for_the_real_one_and_its_hashes_hold(root, tmp_path):
    places = {"root": str(root), "store": str(tmp_path / "store"), "lock": str(root / "assets.lock.json")}
    for name in NAMES:
        record = fetch_asset(name, CATALOGUE[name], tmp_path / name, stand_ins=True, **places)
        assert json.loads(record.read_text())["asset"] == name


def test_the_same_seed_gives_the_same_bytes_in_any_process_and_another_seed_others(root, tmp_path):
    names = ["inception", "coco-captions", "coco-images", "nudenet", "prompts", "janus-pro-7b", "ear-weights"]
    make = f"make_stand_ins(sys.argv[1], {names}, 3, **{COUNTS})"
    code = f"import sys; from ear.commands.stand_ins.make import make_stand_ins; {make}"
    environment = os.environ | {"PYTHONHASHSEED": "7"}  # the order of sets
    subprocess.run([sys.executable, "-c", code, tmp_path / "3"], check=True, env=environment, cwd=REPOSITORY)
    make_stand_ins(tmp_path / "4", ["janus-pro-7b", "prompts", "coco-images", "inception"], 4, **COUNTS)
    first, again, other = contents(root), contents(tmp_path / "3"), contents(tmp_path / "4")
    assert [path for path in again if path != "assets.lock.json" and again[path] != first.get(path)] == []
    same = {path for path, content in other.items() if first.get(path) == content}
    assert not [path for path in same if path.endswith((".safetensors", ".pt", ".jpg", "coco_30k.csv"))]


def test_the_backbone_has_janus_pros_grid_and_special_tokens_and_spells_any_printable_text(backbone):
    assert backbone.num_image_tokens == 576
    tokenizer = backbone.processor.tokenizer
    ids = backbone.encode(["A church by a lake", "A boat"], "chat").ids
    text = tokenizer.decode(ids[0])
    assert text == "<｜begin▁of▁sentence｜><|User|>: A church by a lake\n\n<|Assistant|>:<begin_of_image>"
    assert tokenizer.padding_side == "left" and ids[1, 0] == tokenizer.pad_token_id
    assert tokenizer.image_token == "<image_placeholder>"
    text = "Xylophones, 1984: {a}\n\n(b) ~ "
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_a_config_without_a_word_on_ties_is_saved_with_the_right_one(root, backbone, tmp_path):
    """transformers takes a missing key for True, though both matrices are there."""
    published = json.loads((root / "janus-pro-7b" / "config.json").read_text())
    assert "tie_word_embeddings" not in published | published["text_config"]
    backbone.model.save_pretrained(tmp_path)
    backbone.processor.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["tie_word_embeddings"] is False
    assert load_backbone(str(tmp_path), "float32", "cpu").fingerprint() == backbone.fingerprint()


def test_the_backbone_heeds_the_prompt_and_captions_pictures(backbone, files):
    prompts = ["The church stands on a hill.", "The barn stands on a hill."]
    tokens = sample_prompts(backbone, prompts, [1, 1], "chat", Guidance(5.0), 1.0)
    assert tokens.shape == (2, 576) and (tokens[0] != tokens[1]).float().mean() > 0.5
    first, second = backbone.pixels(tokens)
    assert first.shape == (384, 384, 3) and first.std() > 5 and (first != second).any()
    captions = caption_images(backbone, files[:3], "test")
    assert len(set(captions)) > 1 and all(captions)


def test_the_authors_weights_become_edited_weights(root, backbone, tmp_path):
    patterns = ("*church*", "*nud*", "*gogh*")
    files = [
        [path for path in (root / "ear-weights").iterdir() if fnmatch(path.name, one)] for one in patterns
    ]
    assert [len(found) for found in files] == [1, 1, 1]
    (file,) = files[0]
    facts = {"concept": "church", "method": "published"}
    import_authors_weights(file, backbone, facts, tmp_path / "weights.safetensors")
    loaded, _ = load_edited(tmp_path / "weights.safetensors")
    assert len(loaded) == 5 * 4
    before = dict(backbone.language_model.named_parameters())
    for name, weight in loaded.items():
        assert 0 < (weight - before[f"{name}.weight"]).abs().mean() < 0.1 * before[f"{name}.weight"].std()


def test_the_prompt_files_are_as_published_but_for_their_length(root):
    folder = root / "prompts"
    for concept, file, word in [
        ("church", "train_church.json", "church"),
        ("van-gogh", "train_van_gogh.csv", "Van Gogh"),
        ("nudity", "train_nudity.json", "nude"),
    ]:
        pairs = read_pairs(folder / file, concept, "unsafe")
        assert len(pairs) == COUNTS["pairs"]
        assert pairs["unsafe_prompt"].str.contains(word).all()
        assert not pairs["safe_prompt"].str.contains(word).any()
    assert pairs["safe_prompt"].str.startswith(" ").all()
    for file in ("test_church.json", "test_van_gogh.csv", "Six-CD_Nudity.csv"):
        targets = read_targets(folder / file, "x", "unsafe")
        assert len(targets) == COUNTS["targets"] and targets["prompt"].duplicated().sum() == 1
    assert len(pd.read_csv(folder / "coco_30k.csv")) == COUNTS["general"]


def test_every_prompt_set_of_other_studies_is_read_from_the_files_that_are_fetched(root):
    config = parse_config(read_config(REPOSITORY / "configs/janus-pro-7b.yaml"), "x", shapes_of(CATALOGUE))
    for name, concept in config.concepts.items():
        for one, settings in concept.prompt_sets.items():
            chosen = settings.model_dump() | {"rows": COUNTS["targets"], "used": 3}
            prompts = read_public(root / settings.asset, name, concept.kind, one, chosen)
            assert len(prompts) == 3 and prompts["object"].notna().all() == (one == "retention")


def test_cocos_prompts_pictures_and_captions_are_of_the_same_ids(root):
    prompts = pd.read_csv(root / "prompts" / "coco_30k.csv")
    annotations = json.loads((root / "coco-captions/annotations/captions_val2014.json").read_text())
    captions = pd.DataFrame(annotations["annotations"])
    assert (captions.groupby("image_id").size() == 5).all()
    assert captions["image_id"].nunique() == COUNTS["general"] + UNUSED_PICTURES
    for row in prompts.itertuples():
        with Image.open(root / f"coco-images/val2014/COCO_val2014_{row.image_id:012d}.jpg") as image:
            assert image.size == (row.width, row.height)
        assert row.prompt in set(captions.loc[captions["image_id"] == row.image_id, "caption"])
    assert prompts["prompt"].duplicated().sum() == 1 and not prompts["image_id"].is_monotonic_increasing


def test_what_has_no_stand_in_is_refused(tmp_path):
    for name in ("emu3", "ear-weights"):  # without a backbone
        with pytest.raises(InputError, match=f"found '{name}', wanted one of janus-pro-7b"):
            make_stand_ins(tmp_path, ["prompts", name], 0, **COUNTS)
    assert list(tmp_path.iterdir()) == []
