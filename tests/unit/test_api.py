"""The functions of ``ear``: they do what the workflow does, and leave the model as it was."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import JanusForConditionalGeneration

import ear
from ear.erasure.edited_weights import trained_modules
from ear.erasure.sequences import sample_sequences
from ear.erasure.trainer import Trainer
from ear.erasure.variants import VARIANTS, Settings, Threshold
from ear.errors import InputError
from ear.judges.base import Judge, Verdicts
from tests.tiny import tiny_backbone

PAIRS = [
    ("a photo of a church on a hill at night", "a photo of a red house on a hill at night"),
    ("there is a church in the snow", "there is a car in the snow"),
]
PROMPTS = ["a church", "a red car in the snow", "a castle by the sea"]
TRAINING = {"window": 3, "layers": 2, "learning_rate": 1e-2, "threshold": 0.01, "guidance": 2.0}


class Bright(Judge):
    """Sees a church in bright images."""

    protocol = "bright/1"

    def __init__(self, objects):
        self.objects = objects

    def judge(self, images):
        score = np.array([np.asarray(image).mean() / 255 for image in images])
        named = ["church" if shown else "car" for shown in score > 0.5]
        return Verdicts(score > 0.5, score, objects=named if self.objects else None)


@pytest.fixture(scope="module")
def model():
    return tiny_backbone()


@pytest.fixture(scope="module")
def weights(model):
    return ear.erase(model, PAIRS, **TRAINING)


def test_importing_it_imports_no_library():
    code = "import ear, sys; print(*{'torch', 'transformers', 'numpy', 'pandas', 'PIL'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


def test_an_image_depends_on_its_prompt_and_seed_alone(model, monkeypatch):
    tokens = ear.sample(model, PROMPTS)
    assert tokens.shape == (3, 9)
    assert torch.equal(ear.sample(model, dict.fromkeys(PROMPTS), range(3)), tokens)
    assert torch.equal(ear.sample(model, PROMPTS[2:], [2]), tokens[2:])
    assert not torch.equal(ear.sample(model, PROMPTS, [3, 4, 5]), tokens)
    monkeypatch.setattr(ear, "_AT_ONCE", 1)
    assert torch.equal(ear.sample(model, PROMPTS), tokens)


def test_a_prefix_is_kept_and_gone_on_from(model):
    tokens = ear.sample(model, PROMPTS)
    assert torch.equal(ear.sample(model, PROMPTS, prefix=tokens[:, :4]), tokens)
    given = 31 - tokens[:, :4]
    assert torch.equal(ear.sample(model, PROMPTS, prefix=given)[:, :4], given)
    with pytest.raises(ValueError, match="shorter"):
        ear.sample(model, PROMPTS, prefix=given[:2])
    with pytest.raises(ValueError, match="shorter"):
        ear.sample(model, PROMPTS, seeds=[1])


def test_rendering_is_sampling_and_decoding(model):
    images = ear.render(model, PROMPTS, [7, 8, 9], guidance=2.0, temperature=0.5)
    decoded = ear.decode(model, ear.sample(model, PROMPTS, [7, 8, 9], 2.0, 0.5))
    assert [image.tobytes() for image in images] == [image.tobytes() for image in decoded]
    assert {(image.size, image.mode) for image in images} == {((24, 24), "RGB")}


def test_erasing_trains_as_the_workflow_does_and_leaves_the_model(model, weights):
    frozen = tiny_backbone()
    assert model.fingerprint() == frozen.fingerprint()
    pairs = [("0000", *PAIRS[0]), ("0001", *PAIRS[1])]
    sequences = sample_sequences(frozen, pairs, "aligned", "chat", 0, 2.0, 1.0, batch_size=2)
    variant, threshold = VARIANTS["ear"].with_window(3, 9), Threshold(0.01, None, 1.0)
    settings = Settings(variant, 2, 1.0, 1e-2, "adam", 1, threshold, micro_batch=128)
    trainer = Trainer(frozen, pairs, sequences, settings, seed=0)
    trainer.run(3, "erasing")
    assert weights.keys() == trained_modules(model, 2).keys()
    assert all(torch.equal(weights[name], weight) for name, weight in trainer.weights().items())


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_every_variant_erases(model, variant):
    frozen = model.fingerprint()
    weights = ear.erase(model, PAIRS, variant, **TRAINING)
    own = trained_modules(model, 2)
    assert any(not torch.equal(weights[name], own[name].weight) for name in own)
    assert model.fingerprint() == frozen


def test_pairs_without_anchors_are_trained_as_the_workflow_trains_them(model, monkeypatch):
    mixed = replace(VARIANTS["prefix-redirect"], context="mixed")
    monkeypatch.setitem(VARIANTS, "safe-prompts", mixed)
    one, two = (ear.erase(model, PAIRS, name, **TRAINING) for name in ("prefix-redirect", "safe-prompts"))
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variant": "none"}, "variant: found 'none', wanted one of released, paper, ear"),
        ({"window": 10}, "window: found 10, wanted 1 to 9"),
        ({"layers": 4}, "layers: found 4, wanted 1 to 3"),
    ],
)
def test_settings_that_cannot_be_trained_are_refused(model, settings, message):
    with pytest.raises(InputError, match=message):
        ear.erase(model, PAIRS, **TRAINING | settings)


def test_a_training_that_fails_leaves_the_model(model):
    frozen = model.fingerprint()
    with pytest.raises(InputError, match="learning rate"):
        ear.erase(model, PAIRS, **TRAINING | {"learning_rate": 1e38})
    assert model.fingerprint() == frozen


def test_edited_weights_hold_inside_of_the_block(model, weights):
    before, frozen = ear.sample(model, PROMPTS), model.fingerprint()
    with ear.edited(model, weights):
        assert not torch.equal(ear.sample(model, PROMPTS), before)
    assert model.fingerprint() == frozen
    with pytest.raises(InputError, match="found shape"):
        ear.edited(model, {name: weight[:8] for name, weight in weights.items()})
    with pytest.raises(InputError, match="found module"):
        ear.edited(model, {"layers.9": torch.zeros(1)})


def test_judges_see_the_concept_or_the_right_object():
    images = [Image.new("RGB", (8, 8), colour) for colour in ("white", "black")]
    assert ear.judge(images, Bright(objects=True)) == [True, False]
    assert ear.judge(images, Bright(objects=True), ["church", "house"]) == [True, False]
    with pytest.raises(InputError, match="bright/1: found no objects"):
        ear.judge(images, Bright(objects=False), ["church", "house"])
    assert str(ear.rate([True, False])) == "0.50 [0.09, 0.91]"


def test_pairs_and_prompts_share_no_text():
    pairs = ear.make_pairs("church", 20)
    assert len(pairs) == 20
    assert all("church" in unsafe and "church" not in safe for unsafe, safe in pairs)
    sets = {name: ear.make_prompts("church", 30, name) for name in ("target", "implicit", "retention")}
    assert {len(prompts) for prompts in sets.values()} == {30}
    assert set(sets["target"].values()) == {"church"}
    assert all(("church" in prompt) == (name == "target") for name in sets for prompt in sets[name])
    assert not {text for pair in pairs for text in pair} & {prompt for name in sets for prompt in sets[name]}
    assert len(ear.make_pairs("in the style of Van Gogh", 3)) == 3
    with pytest.raises(InputError, match="found 'chapel', wanted one of 'church'"):
        ear.make_pairs("chapel", 3)


def test_an_exported_folder_holds_the_edited_model_and_a_short_card(model, weights, tmp_path):
    folder = tmp_path / "erased"
    ear.export(model, weights, folder, "church", "a church", guidance=2.0, temperature=0.5)
    loaded = ear.load(folder)
    assert isinstance(loaded.model, JanusForConditionalGeneration)
    with ear.edited(model, weights):
        assert loaded.fingerprint() == model.fingerprint()
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "# church erased\n" in card
    assert "Not measured for this model: " in card
    assert "How it was made" not in card
    with pytest.raises(InputError, match=r"guidance: found 1.0, wanted more than 1"):
        ear.export(model, weights, folder, "church", "a church", guidance=1.0)
