"""Logits that are not finite end a job with one line: nothing is drawn, answered, searched or trained from them."""

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from ear.errors import InputError
from ear.evaluation.attacks.attacked_model import AttackedModel
from ear.evaluation.attacks.relearning_set import relearn
from ear.evaluation.attacks.search import case_losses, open_prompts, token_gradients
from ear.images.batching import BatchSize
from ear.images.captions import caption_images, yes_scores
from ear.images.sampling import Guidance, random_numbers, sample, sample_prompts
from ear.models.finite import FiniteWatch
from ear.workflow.jobs import job
from tests.tiny import tiny_backbone
from tests.unit.erasure.test_erasure import PAIRS, Trainer, chosen, sequences_of
from tests.unit.erasure.test_erasure import VARIANTS as METHODS
from tests.unit.images.test_render import PROMPTS, render

TEXTS = ["a church on a hill", "a boat by the sea", "a church"]
GUIDANCE = Guidance(2.0)
MLP, HEAD = "model.language_model.layers.1.mlp.up_proj", "model.generation_head.vision_head"


def broken(module, value=torch.nan, **shape):
    """A backbone with one weight of a module that is not finite."""
    backbone = tiny_backbone(**shape)
    with torch.no_grad():
        backbone.model.get_submodule(module).weight[3, 1] = value
    return backbone


@pytest.fixture
def finish(tmp_path, capsys):
    """Runs work as a job that has to end with one line; gives that line."""

    def run(work):
        snakemake = SimpleNamespace(log=[str(tmp_path / "job.log")])
        with pytest.raises(SystemExit) as caught, job(snakemake):
            work()
        assert caught.value.code == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert "not finite" in line or "found a loss of" in line
        return line

    return run


@pytest.mark.parametrize(("module", "value"), [(MLP, torch.nan), (MLP, torch.inf), (HEAD, -torch.inf)])
def test_no_image_is_drawn_of_a_broken_model(finish, tmp_path, module, value):
    folder = tmp_path / "shard0"
    line = finish(lambda: render(broken(module, value, dtype="bfloat16"), folder))
    first = PROMPTS["prompt_id"].isin([re.match(r"error: image (\S+) ", line)[1]])
    assert first.sum() == 1
    assert PROMPTS["prompt"][first].iloc[0] in line
    assert ", image token 0: found logits that are not finite" in line
    assert list(folder.glob("*.png")) == []


def test_the_first_step_and_its_image_are_named():
    sound = tiny_backbone()
    tokens = sound.encode(TEXTS, "chat")
    codes = sample(sound, tokens, random_numbers(range(3), 9), GUIDANCE, 0.8)
    code = codes[0, 0].item()
    step, row = min((step, row) for row, step in (codes[:, :-1] == code).nonzero().tolist())
    with torch.no_grad():
        sound.model.model.generation_embeddings.weight[code] = torch.nan
    # Of rows that break in one step, the first one is named; the prompt is, where there is no name.
    with pytest.raises(InputError, match=rf"{TEXTS[row]}.*, image token {step + 1}: found logits"):
        sample(sound, tokens, random_numbers(range(3), 9), GUIDANCE, 0.8)


@pytest.mark.parametrize(
    ("guidance", "temperature"), [(Guidance(1.0), 0.0), (Guidance(2.0, "a church", strength=1.0), 0.8)]
)
def test_neither_guidance_nor_greed_hides_it(guidance, temperature):
    with pytest.raises(InputError, match="image token 0"):
        sample_prompts(broken(MLP), TEXTS, range(3), "chat", guidance, temperature)


def test_no_image_is_made_by_a_broken_decoder(finish, tmp_path):
    folder, backbone = tmp_path / "shard0", tiny_backbone()
    with torch.no_grad():
        backbone.model.model.vqmodel.decoder.conv_out.weight[0] = torch.nan
    assert "decoding image tokens: found pixels" in finish(lambda: render(backbone, folder))
    assert list(folder.glob("*.png")) == []


def test_no_sequences_are_sampled_of_a_broken_model(finish):
    line = finish(lambda: sequences_of(broken(MLP), chosen(METHODS["ear"], 0.1)))
    assert "a photo of a church on a hill at night" in line


@pytest.mark.parametrize("method", ["released", "ear", "prefix-redirect"])
def test_no_teacher_is_a_broken_model(finish, method):
    settings = chosen(METHODS[method])
    sequences = sequences_of(tiny_backbone(), settings)
    line = finish(lambda: Trainer(broken(MLP), PAIRS, sequences, settings, seed=1))
    assert "pair " in line and "image token 0: found a loss of nan" in line


@pytest.mark.parametrize("module", [MLP, "lm_head"])
def test_no_picture_is_described_or_asked_about_by_a_broken_model(finish, tmp_path, module):
    picture = tmp_path / "0.png"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(picture)
    backbone = broken(module, torch.inf, grid=8)
    line = finish(lambda: caption_images(backbone, [picture], "test", max_new_tokens=3))
    assert f"caption of {picture}, word 0" in line
    line = finish(lambda: yes_scores(backbone, [picture], "church"))
    assert f"question about 'church' and {picture}" in line
    assert not backbone.model.get_output_embeddings()._forward_hooks


def test_no_attack_goes_on_with_a_broken_model(finish):
    backbone = broken(MLP)
    images = torch.zeros(1, 9, dtype=torch.int64)
    case = (open_prompts(backbone, TEXTS[:1])[0], torch.tensor([7, 8]), images[0])
    line = finish(lambda: case_losses(backbone, [case]))
    assert f"searched prompt {TEXTS[0]!r}: found a loss of nan" in line
    finish(lambda: token_gradients(backbone, [case], torch.arange(5)))
    attacked, names = (
        AttackedModel(backbone, None, GUIDANCE, 1.0, BatchSize(1)),
        ["layers.0.self_attn.q_proj"],
    )
    prompts = pd.DataFrame({"prompt_id": ["a"], "prompt": TEXTS[:1]})
    line = finish(lambda: relearn(attacked, names, TEXTS[:1], images, prompts, [2], 1, 1e-3, 0))
    assert "relearning, step 1" in line


def test_a_watch_keeps_the_first_of_each_row():
    watch, numbers = FiniteWatch(), torch.zeros(3, 4)
    watch.require(str)  # nothing was seen
    watch.see(0, numbers)
    watch.require(str)
    numbers[2, 1] = torch.inf
    watch.see(1, numbers)
    numbers[0, 3] = torch.nan
    watch.see(2, numbers)
    watch.see(3, torch.zeros(3, 4))
    with pytest.raises(InputError, match=r"^row 2, image token 1: "):
        watch.require("row {}".format)
