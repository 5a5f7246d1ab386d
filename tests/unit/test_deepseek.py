"""Folders of DeepSeek's format: the same model comes out, and what is not whole is refused."""

import copy
import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import JanusForConditionalGeneration

from ear.deepseek.config import TOWER, to_deepseek_config, to_transformers_config
from ear.deepseek.keys import to_deepseek, to_transformers
from ear.erasure.streams import read_prompt
from ear.errors import InputError
from ear.files import sha256_file
from ear.sampling import Guidance, sample_prompts
from tests.deepseek import (
    FILES,
    PROMPTS,
    SCALE,
    load,
    settings_of,
    small_backbone,
    their_weights,
    write_deepseek,
)


@settings(max_examples=10, deadline=None)
@given(
    kind=st.sampled_from(list(FILES)),
    shards=st.sampled_from([1, 3]),
    heads=st.sampled_from([(2, 1), (4, 4)]),
    layers=st.integers(1, 11),
    aligners=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    multiplier=st.sampled_from([[1], [1, 2], [1, 1, 2]]),
    res_blocks=st.integers(0, 2),
    tied=st.booleans(),
)
def test_the_same_model_comes_out(
    tmp_path_factory, kind, shards, heads, layers, aligners, multiplier, res_blocks, tied
):
    backbone = small_backbone(
        text={"heads": heads[0], "key_value_heads": heads[1], "layers": layers},
        aligner=aligners[0],
        generation_aligner=aligners[1],
        tower_layers=layers,
        tied=tied,
        channel_multiplier=multiplier,
        num_res_blocks=res_blocks,
    )
    found = load(write_deepseek(tmp_path_factory.mktemp("deepseek"), backbone, kind, shards))
    assert found.fingerprint() == backbone.fingerprint()
    assert settings_of(found) == settings_of(backbone)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    backbone = small_backbone()
    return backbone, load(write_deepseek(tmp_path_factory.mktemp("deepseek"), backbone))


def test_it_encodes_reads_and_draws_the_same(both):
    backbone, found = both
    for encoding in ("chat", "raw"):
        tokens, twins = (which.encode(PROMPTS, encoding) for which in both)
        assert torch.equal(tokens.ids, twins.ids)
        assert torch.equal(tokens.mask, twins.mask)
        assert torch.equal(read_prompt(backbone, tokens), read_prompt(found, twins))
    drawn = [sample_prompts(which, PROMPTS, [1, 2], "chat", Guidance(SCALE), 0.0) for which in both]
    assert torch.equal(*drawn)
    pictures = [list(which.pixels(drawn[0])) for which in both]
    assert all((one == two).all() for one, two in zip(*pictures, strict=True))


def test_questions_are_asked_as_in_the_community_conversion(both):
    backbone, found = both
    assert found.processor.chat_template == backbone.processor.chat_template
    assert found.processor.use_default_system_prompt
    assert found.processor.num_image_tokens == backbone.processor.num_image_tokens
    assert found.processor.image_processor.to_dict() == backbone.processor.image_processor.to_dict()
    assert found.model.generation_config.guidance_scale == SCALE
    assert found.model.generation_config.generation_kwargs == {
        "boi_token_id": backbone.processor.tokenizer.boi_token_id
    }


def test_it_is_saved_as_a_transformers_folder(both, tmp_path):
    found = both[1]
    found.model.save_pretrained(tmp_path)
    found.processor.save_pretrained(tmp_path)
    again = load(tmp_path)
    assert again.fingerprint() == found.fingerprint()
    assert torch.equal(again.encode(PROMPTS, "chat").ids, found.encode(PROMPTS, "chat").ids)


def test_names_go_there_and_back(both):
    weights = to_deepseek(both[0].model.state_dict())
    back = to_deepseek(to_transformers(weights))
    assert list(back) == list(weights)
    assert all(torch.equal(back[name], tensor) for name, tensor in weights.items())


@pytest.mark.parametrize("kind", FILES)
def test_training_leaves_the_files_alone(tmp_path, kind):
    """The weights are mapped into memory."""
    file = write_deepseek(tmp_path, small_backbone(), kind) / FILES[kind]
    before = sha256_file(file)
    found = load(tmp_path)
    fingerprint = found.fingerprint()
    with torch.no_grad():
        for parameter in found.model.parameters():
            parameter.add_(1)
    assert found.fingerprint() != fingerprint
    assert sha256_file(file) == before


# Folders that are not whole.


def refusal(folder) -> str:
    with pytest.raises(InputError) as refused:
        load(folder)
    message = str(refused.value)
    assert "\n" not in message
    return message


@pytest.fixture(scope="module")
def small():
    return small_backbone()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"gen_embed.weight": None, "lm.extra": torch.ones(1)},
            "found no weights gen_embed.weight, but lm.extra, wanted those of its config.json",
        ),
        (
            {"gen_embed.weight": None, "gen_head.vision_head.bias": None},
            "found no weights gen_embed.weight, gen_head.vision_head.bias, wanted those of its config.json",
        ),
        (
            {"gen_embed.weight": torch.ones(2, 8)},
            "gen_embed.weight: found shape (2, 8), wanted (32, 8)",
        ),
    ],
)
def test_weights_of_another_model_are_refused(small, tmp_path, change, said):
    weights = {name: tensor for name, tensor in (their_weights(small) | change).items() if tensor is not None}
    assert refusal(write_deepseek(tmp_path, small, weights=weights)).endswith(said)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "tokenizer.json", "preprocessor_config.json"])
def test_a_missing_file_is_named(small, tmp_path, name):
    write_deepseek(tmp_path, small)
    (tmp_path / name).unlink()
    assert name in refusal(tmp_path)


def test_a_missing_shard_is_named(small, tmp_path):
    write_deepseek(tmp_path, small, "safetensors", shards=3)
    (tmp_path / "model-00002-of-00003.safetensors").unlink()
    assert "model-00002-of-00003.safetensors: not found" in refusal(tmp_path)


@pytest.mark.parametrize("kind", FILES)
def test_a_truncated_file_is_refused(small, tmp_path, kind):
    file = write_deepseek(tmp_path, small, kind) / FILES[kind]
    file.write_bytes(file.read_bytes()[:-1000])
    assert refusal(tmp_path).startswith(f"{file}: found no whole ")


class Touch:
    """Code in a pickle."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_code_in_a_file_is_not_run(small, tmp_path):
    file = write_deepseek(tmp_path, small) / FILES["bin"]
    torch.save({"gen_embed.weight": Touch(tmp_path / "was-run")}, file)
    assert str(file) in refusal(tmp_path)
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize(
    ("section", "key", "value", "said"),
    [
        (
            "vision_config",
            "model_name",
            "sam_b",
            "model_name: found 'sam_b', wanted 'siglip_large_patch16_384'",
        ),
        ("vision_config", "select_layer", -2, "select_layer: found -2, wanted -1"),
        ("gen_aligner_config", "projector_type", "linear", "found 'linear', wanted 'mlp_gelu'"),
        ("gen_aligner_config", "depth", None, "found no depth, wanted it"),
    ],
)
def test_another_architecture_is_refused(small, tmp_path, section, key, value, said):
    file = write_deepseek(tmp_path, small) / "config.json"
    content = json.loads(file.read_text())
    if value is None:
        del content[section]["params"][key]
    else:
        content[section]["params"][key] = value
    file.write_text(json.dumps(content))
    assert said in refusal(tmp_path)


def test_a_missing_section_is_refused(small, tmp_path):
    file = write_deepseek(tmp_path, small) / "config.json"
    content = json.loads(file.read_text())
    del content["gen_head_config"]
    file.write_text(json.dumps(content))
    assert refusal(tmp_path) == f"{file}: found no gen_head_config.params, wanted it as DeepSeek writes it"


def test_a_tokenizer_without_the_image_tokens_is_refused(small, tmp_path):
    file = write_deepseek(tmp_path, small) / "tokenizer.json"
    file.write_text(file.read_text(encoding="utf-8").replace("begin_of_image", "other"), encoding="utf-8")
    assert "found no token <begin_of_image>" in refusal(tmp_path)


def test_a_setting_without_a_place_is_refused(small):
    config = copy.deepcopy(small.model.config)
    config.vision_config.use_qk_norm = True
    with pytest.raises(InputError, match=r"vision_config\.use_qk_norm: found True, wanted False"):
        to_deepseek_config(config)


def test_the_published_config_has_the_published_sizes():
    """Janus-Pro-7B: its file names the rest, transformers' LlamaConfig and the names' sizes give it."""
    aligner = {"projector_type": "mlp_gelu", "depth": 2, "n_embed": 4096}
    published = {
        "language_config": {"max_position_embeddings": 16384, "num_hidden_layers": 30, "vocab_size": 102400},
        "vision_config": {"params": {"model_name": TOWER, "image_size": 384, "select_layer": -1}},
        "aligner_config": {"params": {**aligner, "input_dim": 1024}},
        "gen_aligner_config": {"params": {**aligner, "input_dim": 8}},
        "gen_vision_config": {"cls": "VQ-16", "params": {"image_token_size": 16384, "n_embed": 8}},
        "gen_head_config": {
            "params": {"image_token_embed": 4096, "image_token_size": 16384, "n_embed": 4096}
        },
    }
    tokens = {
        "bos_token_id": 100000,
        "eos_token_id": 100001,
        "pad_token_id": 100015,
        "image_token_id": 100581,
    }
    config = to_transformers_config("config.json", published, tokens)
    with torch.device("meta"):
        model = JanusForConditionalGeneration(config)
    assert config.vision_config.num_image_tokens == 576
    assert not config.tie_word_embeddings
    assert (config.text_config.hidden_size, config.text_config.num_hidden_layers) == (4096, 30)
    assert round(sum(parameter.numel() for parameter in model.parameters()) / 1e9, 1) == 7.4
