"""DeepSeek's names mean what DeepSeek's code means by them: the same images come out of the same weights."""

import importlib
from functools import partial

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from transformers import PreTrainedConfig

from ear.deepseek.config import TOWER, to_deepseek_config
from ear.deepseek.keys import UNUSED, to_deepseek
from ear.sampling import Guidance, sample_prompts
from tests.deepseek import (
    PROMPTS,
    SCALE,
    aligned,
    interleaved,
    load,
    our_states,
    small_backbone,
    their_image,
    their_pixels,
    their_weights,
    write_deepseek,
)

PACKAGE = "git+https://github.com/deepseek-ai/Janus"


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    backbone = small_backbone()
    return backbone, load(write_deepseek(tmp_path_factory.mktemp("deepseek"), backbone))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("prompt", PROMPTS)
def test_an_image_is_what_deepseeks_modules_compute(seed, prompt, tmp_path):
    backbone = small_backbone(seed)
    weights = their_weights(backbone)
    tokens, states = their_image(weights, backbone, prompt)
    found = load(write_deepseek(tmp_path, backbone, weights=weights))
    assert torch.equal(sample_prompts(found, [prompt], [0], "chat", Guidance(SCALE), 0.0), tokens)
    assert (our_states(found, prompt, tokens) - states).abs().max() <= 1e-5
    assert len(tokens.unique()) > 3


def test_an_image_is_seen_as_timms_tower_sees_it(both):
    """DeepSeek's SigLIP is timm's transformer."""
    backbone, found = both
    vision, weights = backbone.model.config.vision_config, their_weights(backbone)
    tower = VisionTransformer(
        img_size=vision.image_size,
        patch_size=vision.patch_size,
        embed_dim=vision.hidden_size,
        depth=vision.num_hidden_layers,
        num_heads=vision.num_attention_heads,
        class_token=False,
        global_pool="map",
        num_classes=0,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
    ).eval()
    prefix = "vision_model.vision_tower."
    held = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
    held = {key: value for key, value in held.items() if not key.startswith("attn_pool")}
    report = tower.load_state_dict(held, strict=False)
    assert not report.unexpected_keys
    assert all(key.startswith("attn_pool") for key in report.missing_keys)
    pixels = torch.randn(
        2, 3, vision.image_size, vision.image_size, generator=torch.Generator().manual_seed(0)
    )
    with torch.no_grad():
        wanted = aligned(weights, "aligner", vision.depth, tower.forward_features(pixels))
        seen = found.model.model.get_image_features(pixels, return_dict=True).pooler_output
    assert (seen.reshape(wanted.shape) - wanted).abs().max() <= 1e-4


def test_tokens_are_decoded_as_by_deepseeks_decoder(both):
    backbone, found = both
    tokens = torch.arange(2 * backbone.num_image_tokens).view(2, -1) % backbone.codebook_size
    vq = backbone.model.config.vq_config
    wanted = their_pixels(their_weights(backbone), tokens, vq.num_patches, vq)
    with torch.no_grad():
        decoded = found.model.decode_image_tokens(tokens).permute(0, 3, 1, 2)
    assert (decoded - wanted).abs().max() <= 1e-4


@pytest.fixture
def deepseek(monkeypatch):
    """Modules of DeepSeek's package by name, where it can be imported.

    transformers makes a dataclass of each config class since its version 5, which those of 2025 are not fit
    for: here they stay the plain classes they were.
    """
    with monkeypatch.context() as patch:
        patch.setattr(PreTrainedConfig, "__init_subclass__", classmethod(lambda cls, **_: None))
        try:
            names = ("modeling_vlm", "siglip_vit", "vq_model")
            return {name: importlib.import_module(f"janus.models.{name}") for name in names}
        except Exception as error:  # whatever a package of another time meets
            pytest.skip(
                f"DeepSeek's package cannot be imported ({error}): pip install {PACKAGE} "
                "(`janus` on PyPI is an unrelated queue)"
            )


def test_parity_with_deepseeks_package(deepseek, monkeypatch, tmp_path):
    modeling, towers, quantisers = deepseek.values()
    # Sizes that their code fixes: 128 channels, two residual blocks a level.
    backbone = small_backbone(base_channels=128, num_res_blocks=2, channel_multiplier=[1, 1])
    vision, vq = backbone.model.config.vision_config, backbone.model.config.vq_config
    sizes = {
        "image_size": vision.image_size,
        "patch_size": vision.patch_size,
        "width": vision.hidden_size,
        "layers": vision.num_hidden_layers,
        "heads": vision.num_attention_heads,
        "mlp_ratio": vision.mlp_ratio,
        "global_pool": "map",
        "use_checkpoint": False,
    }
    monkeypatch.setitem(towers.SigLIP_MODEL_CONFIG, TOWER, sizes)
    arguments = quantisers.ModelArgs(
        codebook_size=vq.num_embeddings,
        codebook_embed_dim=vq.embed_dim,
        encoder_ch_mult=vq.channel_multiplier,
        decoder_ch_mult=vq.channel_multiplier,
        z_channels=vq.latent_channels,
    )
    monkeypatch.setitem(quantisers.VQ_models, "VQ-16", lambda: quantisers.VQModel(arguments))
    settings = modeling.MultiModalityConfig(**to_deepseek_config(backbone.model.config))
    theirs = modeling.MultiModalityCausalLM(settings).eval()
    report = theirs.load_state_dict(to_deepseek(backbone.model.state_dict()), strict=False)
    assert not report.unexpected_keys
    assert all(key.startswith(UNUSED) for key in report.missing_keys)
    # And back: their weights as a folder of theirs.
    found = load(write_deepseek(tmp_path, backbone, weights=theirs.state_dict()))
    for prompt in PROMPTS:
        embeds = theirs.language_model.get_input_embeddings()(interleaved(backbone, prompt))
        tokens, states = [], []
        with torch.no_grad():
            for _ in range(backbone.num_image_tokens):
                states.append(theirs.language_model.model(inputs_embeds=embeds).last_hidden_state[:, -1])
                logits = theirs.gen_head(states[-1])
                guided = logits[1::2] + SCALE * (logits[0::2] - logits[1::2])
                tokens.append(guided.argmax(-1))
                image = theirs.prepare_gen_img_embeds(tokens[-1].repeat(2)[:, None])
                embeds = torch.cat([embeds, image], dim=1)
        drawn = torch.stack(tokens, dim=1)
        assert torch.equal(sample_prompts(found, [prompt], [0], "chat", Guidance(SCALE), 0.0), drawn)
        assert (our_states(found, prompt, drawn) - torch.stack(states, dim=1)).abs().max() <= 1e-5
