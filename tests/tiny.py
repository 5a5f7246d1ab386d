"""Small random backbones: real transformers classes, real processor, weights drawn from a seed."""

import torch
from transformers import (
    JanusConfig,
    JanusForConditionalGeneration,
    JanusVisionConfig,
    JanusVQVAEConfig,
    LlamaConfig,
)

from ear.models.janus import Janus
from ear.world.backbone import build_processor


def tiny_backbone(
    seed: int = 0,
    hidden: int = 32,
    heads: int = 4,
    key_value_heads: int | None = None,
    layers: int = 3,
    grid: int = 3,
    codes: int = 32,
    dtype: str = "float32",
) -> Janus:
    """A backbone with grid² image tokens, its weights wide enough that prompts and tokens matter."""
    processor = build_processor(num_image_tokens=grid**2)
    tokenizer = processor.tokenizer
    config = JanusConfig(
        text_config=LlamaConfig(
            hidden_size=hidden,
            intermediate_size=2 * hidden,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=key_value_heads or heads,
            vocab_size=len(tokenizer),
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            max_position_embeddings=256,
        ),
        vision_config=JanusVisionConfig(
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            image_size=8 * grid,
            patch_size=8,
            projection_dim=hidden,
            num_image_tokens=grid**2,
            depth=1,
        ),
        vq_config=JanusVQVAEConfig(
            embed_dim=8,
            num_embeddings=codes,
            latent_channels=32,
            base_channels=32,
            channel_multiplier=(1, 1, 1, 1),
            num_res_blocks=0,
            projection_dim=hidden,
            image_token_embed_dim=hidden,
        ),
        image_token_id=tokenizer.convert_tokens_to_ids(tokenizer.image_token),
    )
    generator = torch.Generator().manual_seed(seed)
    model = JanusForConditionalGeneration(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.copy_(
                    torch.randn(parameter.shape, generator=generator) * 1.5 / parameter.shape[-1] ** 0.5
                )
    model.generation_config.update(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model.generation_config.generation_kwargs = {
        "boi_token_id": tokenizer.convert_tokens_to_ids(tokenizer.boi_token)
    }
    return Janus(model.to(getattr(torch, dtype)), processor)
