"""Small random Liquids: transformers' Gemma or Llama, a Janus or a diffusers image tokenizer, seeded weights."""

import torch
from diffusers import VQModel
from transformers import (
    GemmaConfig,
    GemmaForCausalLM,
    GenerationConfig,
    JanusVQVAE,
    JanusVQVAEConfig,
    LlamaConfig,
    LlamaForCausalLM,
)

from ear.models.image_tokenizers import ImageTokenizer
from ear.models.liquid import Liquid
from ear.world.liquid import build_tokenizer

CODES = 32


def tiny_vqgan() -> VQModel:
    """diffusers' VQGAN of two resolutions: 3 × 3 codes of pictures of 6 × 6 pixels."""
    return VQModel(
        block_out_channels=(32, 64),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=2,
        latent_channels=8,
        num_vq_embeddings=CODES,
        sample_size=6,
    )


def tiny_liquid(seed: int = 0, family: str = "gemma", dtype: str = "float32") -> Liquid:
    """A backbone of nine codes, its weights wide enough that prompts and tokens matter.

    Gemma's heads are wider than hidden / heads, and its output is tied to its input; Llama groups its heads.
    """
    tokenizer = build_tokenizer()
    tokens = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    shape = {
        "vocab_size": len(tokenizer) + CODES,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "max_position_embeddings": 128,
        **tokens,
    }
    if family == "gemma":
        model = GemmaForCausalLM(GemmaConfig(**shape, num_key_value_heads=4, head_dim=16))
        vq = tiny_vqgan()
    else:
        model = LlamaForCausalLM(LlamaConfig(**shape, num_key_value_heads=2, tie_word_embeddings=False))
        small = {"embed_dim": 8, "num_embeddings": CODES, "latent_channels": 32, "base_channels": 32}
        vq = JanusVQVAE(JanusVQVAEConfig(**small, channel_multiplier=(1, 1), num_res_blocks=0, num_patches=3))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in [*model.parameters(), *vq.parameters()]:
            if parameter.ndim > 1:
                size = parameter.shape[1:].numel() ** 0.5
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 1.5 / size)
    model.generation_config = GenerationConfig(**tokens)
    kind = getattr(torch, dtype)
    return Liquid(model.to(kind), tokenizer, ImageTokenizer(vq.to(kind)))
