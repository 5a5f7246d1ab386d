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
from ear.workflow.files import sha256_file

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
    reference = render(pipeline, tmp_path / "two").set_index("prompt_id")["sha256"]
    assert reference.nunique() == len(PROMPTS)
    for batch_size in (1, 5):
        rows = render(pipeline, tmp_path / f"batch{batch_size}", batch_size=batch_size)
        assert rows["sha256"].tolist() == reference.tolist()
    backwards = render(pipeline, tmp_path / "backwards", PROMPTS.iloc[::-1])
    assert backwards["sha256"].tolist() == reference.tolist()[::-1]
    for shard in range(2):
        rows = render(pipeline, tmp_path / f"shard{shard}", shard_rows(PROMPTS, shard, 2)).set_index(
            "prompt_id"
        )
        assert rows["sha256"].equals(reference.loc[rows.index])


def test_the_manifest_lists_whole_pngs_with_the_seeds_of_all_methods(pipeline, tmp_path):
    rows = render(pipeline, tmp_path)
    assert list(rows.columns) == MANIFEST_COLUMNS
    assert rows["seed"].tolist() == [image_seed(5, prompt_id) for prompt_id in PROMPTS["prompt_id"]]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(rows["file"])
    for name, digest in zip(rows["file"], rows["sha256"], strict=True):
        with Image.open(tmp_path / name) as image:
            assert (image.mode, image.size) == ("RGB", (64, 64))
        assert sha256_file(tmp_path / name) == digest


@pytest.mark.parametrize("other", [{"experiment_seed": 6}, {"guidance": 3.0}, {"steps": 4}, {"size": 72}])
def test_images_of_other_settings_are_not_taken_for_these(pipeline, tmp_path, other):
    before = render(pipeline, tmp_path)
    after = render(pipeline, tmp_path, **other)
    assert (before["sha256"] != after["sha256"]).all()


def test_images_of_other_weights_are_not_taken_for_these(pipeline, tmp_path):
    before = render(pipeline, tmp_path / "shard0")
    after = render(pipeline_of(1, tmp_path / "other"), tmp_path / "shard0")
    assert (before["sha256"] != after["sha256"]).all()


def test_resumption_draws_only_what_is_missing_and_the_same(pipeline, tmp_path):
    rows = render(pipeline, tmp_path)
    kept, lost = (tmp_path / rows["file"].iloc[row] for row in (0, 3))
    before = kept.stat().st_mtime_ns
    lost.unlink()
    assert render(pipeline, tmp_path).equals(rows)
    assert kept.stat().st_mtime_ns == before


def test_no_safety_checker_stands_between_the_images_and_the_judge(pipeline):
    loaded = load_pipeline(pipeline, "cpu", "bfloat16")
    assert loaded.safety_checker is None
    assert {part.dtype for part in (loaded.unet, loaded.vae, loaded.text_encoder)} == {torch.bfloat16}


def test_prompts_that_are_cut_are_counted_in_the_log(pipeline, tmp_path, caplog):
    with caplog.at_level("INFO"):
        render(pipeline, tmp_path)
    assert "1 of 5 prompts end after 77 tokens, the rest is cut" in caplog.text


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
