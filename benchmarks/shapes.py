"""Backbones with random weights, of the shapes that are measured: speed does not depend on what is learnt."""

from pathlib import Path

import torch
import yaml
from transformers import (
    JanusConfig,
    JanusForConditionalGeneration,
    JanusVisionConfig,
    JanusVQVAEConfig,
    LlamaConfig,
)

from ear.models.backbone import DTYPES, Backbone
from ear.models.janus import Janus
from ear.world.backbone import build_backbone, build_processor
from ear.world.vq import build_vq

JANUS_PRO = {
    "janus-pro-1b": {"hidden": 2048, "layers": 24, "heads": 16, "intermediate": 5632},
    "janus-pro-7b": {"hidden": 4096, "layers": 30, "heads": 32, "intermediate": 11008},
}
IMAGE_TOKENS, WORDS = 576, 102400
SHAPES = ("mini", *JANUS_PRO)


def random_backbone(shape: str, dtype: str, device: str) -> Backbone:
    """A backbone of a shape of ``SHAPES``; its words are the mini world's in each."""
    torch.manual_seed(0)
    if shape == "mini":
        recipe = Path(__file__).parents[1] / "configs/mini-world.yaml"
        training = yaml.safe_load(recipe.read_text(encoding="utf-8"))["training"]
        image = training["vq"]
        settings = {key: image[key] for key in ("base_channels", "latent_channels", "embed_dim")}
        settings |= {"num_embeddings": image["codes"], "num_patches": image["grid"]}
        vq = build_vq(settings | {"channel_multiplier": [1] * 4, "num_res_blocks": 0}, seed=0)
        processor = build_processor(image["grid"] ** 2)
        model = build_backbone(vq, processor, **training["architecture"], seed=0)
        return Janus(model.to(device, DTYPES[dtype]), processor, shape)
    processor = build_processor(IMAGE_TOKENS)
    numbers = JANUS_PRO[shape]
    config = JanusConfig(
        text_config=LlamaConfig(
            vocab_size=WORDS,
            hidden_size=numbers["hidden"],
            intermediate_size=numbers["intermediate"],
            num_hidden_layers=numbers["layers"],
            num_attention_heads=numbers["heads"],
            num_key_value_heads=numbers["heads"],
            max_position_embeddings=16384,
        ),
        vision_config=JanusVisionConfig(projection_dim=numbers["hidden"], num_image_tokens=IMAGE_TOKENS),
        vq_config=JanusVQVAEConfig(
            projection_dim=numbers["hidden"], image_token_embed_dim=numbers["hidden"], num_patches=24
        ),
    )
    before = torch.get_default_dtype()
    torch.set_default_dtype(DTYPES[dtype])
    try:
        with torch.device(device):  # 14 GB are made where they stay
            model = JanusForConditionalGeneration(config)
    finally:
        torch.set_default_dtype(before)
    tokenizer = processor.tokenizer
    tokens = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    model.generation_config.update(**tokens)
    model.generation_config.generation_kwargs = {"boi_token_id": tokenizer.boi_token_id}
    return Janus(model.to(device), processor, shape)
