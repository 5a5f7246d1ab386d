"""The recipe of the mini world's models, small: from nothing to folders with cards, and an experiment that takes them."""

import json

import pytest
import yaml
from huggingface_hub import ModelCard

from ear.workflow.files import sha256_file
from tests.workflow.repository import (
    config_of,
    copy_of_the_repository,
    planned_counts,
    snakemake,
    write_config,
)

pytestmark = pytest.mark.slow
SMALL = {
    "images": 300,
    "vq": {
        "base_channels": 32,
        "latent_channels": 32,
        "codes": 64,
        "grid": 4,
        "steps": 12,
        "free_steps": 4,
        "decoder_steps": 4,
    },
    "architecture": {
        "hidden": 32,
        "layers": 2,
        "intermediate": 64,
        "heads": 2,
        "vision_hidden": 32,
        "vision_heads": 2,
    },
    "language_model": {"steps": 6, "batch_size": 4},
    "liquid_steps": 6,
    "classifier": {"steps": 6, "batch_size": 8},
    "clip": {"steps": 6, "batch_size": 8},
}
LIBRARIES = {
    "mini-backbone": "transformers",
    "mini-liquid": "transformers",
    "mini-classifier": "timm",
    "mini-clip": "open_clip",
}


def small_recipe():
    """The repository's recipe with fewer pictures, smaller models and few steps."""
    recipe = config_of("mini-world")
    for name, keys in SMALL.items():
        recipe["training"][name] = recipe["training"][name] | keys if isinstance(keys, dict) else keys
        if isinstance(keys, dict) and "steps" in keys:
            recipe["training"][name]["threads"] = 1
            if "held_out" in recipe["training"][name]:
                recipe["training"][name] |= {"held_out": 32, "warmup_steps": 2}
    return recipe


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = copy_of_the_repository(tmp_path_factory.mktemp("recipe") / "repository")
    write_config(folder / "small.yaml", small_recipe())
    judges = folder / "ear/world/classifiers.py"  # drawing 800 pictures takes longer than all trainings
    judges.write_text(judges.read_text().replace("HELD_OUT_IMAGES = 800", "HELD_OUT_IMAGES = 100"))
    snakemake(folder, "--configfile", "small.yaml", "--cores", "2")
    return folder


def test_models_have_cards_that_say_how_they_were_made(trained):
    assert planned_counts(trained, "--configfile", "small.yaml") == {}
    models = trained / "results/mini-world/models"
    stated = yaml.safe_load((models / "assets.yaml").read_text())
    assert stated.keys() == LIBRARIES.keys()
    for name, library in LIBRARIES.items():
        folder = models / name
        files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        card = ModelCard.load(files.pop("README.md"))
        assert card.data.library_name == library
        assert stated[name]["sha256"] == {file: sha256_file(path) for file, path in files.items()}
        assert stated[name]["size"] == sum(path.stat().st_size for path in files.values())
        assert all(digest in card.text for digest in stated[name]["sha256"].values())
        assert "snakemake --configfile small.yaml" in card.text and "torch 2." in card.text
    psnr = json.loads((trained / "results/mini-world/training/vq.json").read_text())["psnr_db"]
    assert f"| VQ tokenizer, psnr db | {psnr:,.4g} |" in (models / "mini-backbone/README.md").read_text()


def test_an_experiment_takes_the_new_models_from_root_and_notices_newer_ones(trained):
    assert len(list((trained / "results/mini-world/figures").iterdir())) == 2
    own = write_config(
        trained / "own.yaml", config_of("smoke") | {"assets": {"root": "results/mini-world/models"}}
    )
    snakemake(trained, "assets", *own)
    models, used = trained / "results/mini-world/models", trained / "results/smoke/models"
    for name in LIBRARIES.keys() - {"mini-liquid"}:  # the smoke experiment draws with the Janus
        record = json.loads((used / name / "asset.json").read_text())
        assert record["source"].startswith("assets.root, in place of this repository")
        for file, one in record["files"].items():
            assert (used / name / file).resolve() == models / name / file
            assert one["sha256"] == sha256_file(models / name / file)
    assert planned_counts(trained, "assets", *own) == {}
    (models / "mini-clip/tokenizer.json").write_text((models / "mini-clip/tokenizer.json").read_text() + "\n")
    assert planned_counts(trained, "assets", *own)["fetch_asset"] == 1
