"""A backbone's folder: the model is Janus, its tokenizer is Janus', and legacy names are no faults."""

import json
import shutil

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import JanusForConditionalGeneration

from ear.commands.stand_ins.tiny_diffusion import write_stable_diffusion
from ear.errors import InputError
from ear.images.diffusion import load_pipeline
from ear.models.chat_format import BOS
from ear.models.families import load_backbone
from tests.tiny import tiny_backbone


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("janus")
    backbone = tiny_backbone()
    backbone.model.save_pretrained(folder)
    backbone.processor.save_pretrained(folder)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "janus")


def load(folder):
    return load_backbone(str(folder), "float32", "cpu")


def refusal(folder):
    with pytest.raises(InputError) as refused:
        load(folder)
    told = str(refused.value)
    assert "\n" not in told and str(folder) in told
    return told


def edited(file, change):
    """Change a JSON file: by a function that is given its content, or by what is put over it."""
    content = json.loads(file.read_text(encoding="utf-8"))
    content = change(content) or content if callable(change) else content | change
    file.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model_type": "opt"}, "model_type: found 'opt', wanted 'janus' or"),
        (
            {"model_type": "multi_modality"},
            "found 'multi_modality', DeepSeek's own format, wanted 'janus' or",
        ),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "found quantised 'janus'"),
    ],
)
def test_another_model_is_refused_before_any_weight_is_allocated(folder, change, said, monkeypatch):
    def build(*_, **__):
        raise AssertionError("a model was built")

    monkeypatch.setattr(JanusForConditionalGeneration, "from_pretrained", build)
    monkeypatch.setattr(JanusForConditionalGeneration, "__init__", build)
    edited(folder / "config.json", change)
    assert said in refusal(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_json_that_is_none_is_one_line(folder, name):
    (folder / name).write_text("404: Not Found")
    assert f"{name}: found " in refusal(folder)


def words_run_together(settings):
    settings["decoder"] = {"type": "Fuse"}


def begun_twice(settings):
    settings["post_processor"]["single"].insert(0, settings["post_processor"]["single"][0])


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        (
            "tokenizer.json",
            {"post_processor": None},
            f"found a photo of a church, wanted {BOS} first",
        ),
        ("tokenizer.json", begun_twice, f"wanted {BOS} first, and only once"),
        (
            "tokenizer.json",
            words_run_together,
            "after encoding 'a photo of a church', wanted its blanks kept",
        ),
        ("tokenizer_config.json", {"pad_token": None}, "pad_token: found None"),
        ("config.json", {"image_token_id": 4}, "image_token: found 3, wanted 4 as in config.json"),
    ],
)
def test_a_tokenizer_that_is_not_janus_is_one_line(folder, file, change, said):
    edited(folder / file, change)
    assert said in refusal(folder)


# Two matrices or one.


def without_ties(settings):
    settings.pop("tie_word_embeddings")
    settings["text_config"].pop("tie_word_embeddings", None)


def test_a_missing_text_head_is_not_replaced_by_the_embeddings(folder):
    assert load(folder).model.config.tie_word_embeddings is True  # as its config says
    edited(folder / "config.json", without_ties)
    assert "found no weights lm_head.weight" in refusal(folder)


def test_a_text_head_of_its_own_is_kept_and_said_to_be_one(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors["lm_head.weight"] = tensors["model.language_model.embed_tokens.weight"] + 1
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    edited(folder / "config.json", without_ties)
    model = load(folder).model
    assert model.config.tie_word_embeddings is False
    assert torch.equal(model.lm_head.weight, tensors["lm_head.weight"])


# Names of older checkpoints.


def renamed(file, name=lambda name: name, **more):
    """Give tensors other names, and put some more beside them."""
    with safe_open(file, framework="pt") as handle:
        metadata = handle.metadata()
    tensors = {name(key): tensor for key, tensor in load_file(file).items()} | more
    file.unlink()
    save_file(tensors, file, metadata=metadata)


def test_a_backbone_may_hold_frequencies_that_models_compute_today(folder):
    name = "model.language_model.layers.0.self_attn.rotary_emb.inv_freq"
    renamed(folder / "model.safetensors", **{name: torch.ones(4)})
    assert load(folder).fingerprint() == tiny_backbone().fingerprint()


def test_the_names_of_the_published_stable_diffusion_are_known(tmp_path):
    """Its text encoder has a prefix and positions, its VAE the attention's names of 2022."""
    write_stable_diffusion(tmp_path)
    before = load_pipeline(tmp_path, "cpu", "float32")
    renamed(
        tmp_path / "text_encoder/model.safetensors",
        lambda name: f"text_model.{name.removeprefix('text_model.')}",
        **{"text_model.embeddings.position_ids": torch.arange(77)[None]},
    )
    older = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}

    def as_in_2022(name):
        for new, old in older.items():
            name = name.replace(new, old) if "mid_block.attentions" in name else name
        return name

    renamed(tmp_path / "vae/diffusion_pytorch_model.safetensors", as_in_2022)
    after = load_pipeline(tmp_path, "cpu", "float32")
    for part in ("text_encoder", "vae"):
        new, old = (getattr(pipeline, part).state_dict() for pipeline in (before, after))
        assert new.keys() == old.keys() and all(torch.equal(new[key], old[key]) for key in new)


def test_a_checkpoint_with_more_layers_than_its_config_is_refused(folder):
    def shorter(settings):
        settings["text_config"]["num_hidden_layers"] = 2

    edited(folder / "config.json", shorter)
    assert "found unknown weights model.language_model.layers.2." in refusal(folder)
