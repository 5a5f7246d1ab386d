"""Stable Diffusion: an image depends on weights, settings, prompt and seed, and on nothing else."""

import shutil

import pandas as pd
import pytest
import torch
from PIL import Image

from ear.commands.stand_ins.tiny_diffusion import write_stable_diffusion
from ear.errors import InputError
from ear.images.batching import BatchSize
from ear.images.diffusion import load_pipeline, render_diffusion
from ear.images.rendering import MANIFEST_COLUMNS, image_seed, shard_rows

TEXTS = ["an oil painting", "a statue in a museum", "a boat", "a hill at dawn, by a lake", "a statue " * 60]
PROMPTS = pd.DataFrame(
    {
        "prompt_id": [f"nudity/target/{number:04d}" for number in range(len(TEXTS))],
        "prompt_set": "target",
        "prompt": TEXTS,
        "object": None,
        "window": 0,
    }
)


def pipeline_of(seed, folder):
    torch.manual_seed(seed)
    write_stable_diffusion(folder)
    return folder


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    return pipeline_of(0, tmp_path_factory.mktemp("models") / "stable-diffusion")


def render(pipeline, folder, prompts=PROMPTS, batch_size=2, **other):
    settings = {"experiment_seed": 5, "guidance": 7.5, "steps": 3, "size": 64, "dtype": "float32"} | other
    return render_diffusion(
        pipeline, prompts, folder, device="cpu", batch_size=BatchSize(batch_size), desc="test", **settings
    )


def test_batch_size_order_and_shard_leave_the_images_alone(pipeline, tmp_path):
    rows = render(pipeline, tmp_path / "two")
    assert list(rows.columns) == MANIFEST_COLUMNS
    assert rows["seed"].tolist() == [image_seed(5, prompt_id) for prompt_id in PROMPTS["prompt_id"]]
    with Image.open(tmp_path / "two" / rows["file"].iloc[0]) as image:
        assert (image.mode, image.size) == ("RGB", (64, 64))
    reference = rows["sha256"]
    assert reference.nunique() == len(PROMPTS)
    whole = render(pipeline, tmp_path / "batch5", batch_size=5)
    assert whole["sha256"].equals(reference)
    backwards = render(pipeline, tmp_path / "backwards", shard_rows(PROMPTS.iloc[::-1], 0, 2), batch_size=1)
    assert backwards["sha256"].tolist() == reference.tolist()[::-2]


@pytest.mark.parametrize("other", [{"experiment_seed": 6}, {"guidance": 3.0}, {"steps": 4}, {"pipeline": 1}])
def test_images_of_anything_else_are_not_taken_for_these(pipeline, tmp_path, other):
    before = render(pipeline, tmp_path / "images", PROMPTS[:2])
    if "pipeline" in other:
        pipeline, other = pipeline_of(1, tmp_path / "other"), {}
    after = render(pipeline, tmp_path / "images", PROMPTS[:2], **other)
    assert (before["sha256"] != after["sha256"]).all()


def test_no_safety_checker_stands_between_the_images_and_the_judge(pipeline):
    loaded = load_pipeline(pipeline, "cpu", "bfloat16")
    assert loaded.safety_checker is None
    assert {part.dtype for part in (loaded.unet, loaded.vae, loaded.text_encoder)} == {torch.bfloat16}


def test_a_folder_that_is_no_whole_pipeline_is_one_clear_line(pipeline, tmp_path):
    with pytest.raises(InputError, match=r"model_index\.json: not found, wanted a diffusers folder"):
        load_pipeline(tmp_path, "cpu", "float32")
    shutil.copytree(pipeline, tmp_path / "broken")
    (tmp_path / "broken/unet/diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(InputError, match=r"broken/unet: found no weights, .* of a diffusers folder") as error:
        load_pipeline(tmp_path / "broken", "cpu", "float32")
    assert "\n" not in str(error.value)


def test_a_size_that_the_latents_cannot_have_is_one_clear_line(pipeline, tmp_path):
    with pytest.raises(InputError, match="size: found 100, wanted a multiple of 8"):
        render(pipeline, tmp_path, size=100)
