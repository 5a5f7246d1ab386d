"""Guided sampling of image tokens, many prompts in lockstep, each with random numbers of its own.

The decoding loop is transformers' Janus generation (classifier-free guidance, static KV cache) with one
difference: the random number of each token comes from the image's own generator, so an image depends on
(weights, prompt, seed) and on nothing else that shares its batch.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import StaticCache

from ear.janus import Backbone, Encoding, Tokens


def uniforms(seeds: Sequence[int], count: int) -> Tensor:
    """Random numbers of images, (B, count) float64 in [0, 1): row i from seed i alone, on every machine."""
    rows = [np.random.Generator(np.random.Philox(seed)).random(count) for seed in seeds]
    return torch.from_numpy(np.stack(rows))


def guided(logits: Tensor, guidance: float) -> Tensor:
    """Classifier-free guidance, uncond + s · (cond − uncond).

    Args:
        logits: (2B, V), rows [conditional; unconditional].
        guidance: s; 1 is the conditional distribution itself.

    Returns:
        (B, V).
    """
    conditional, unconditional = logits.chunk(2)
    return unconditional + guidance * (conditional - unconditional)


def choose(logits: Tensor, temperature: float, uniform: Tensor) -> Tensor:
    """Pick tokens by inverting the cumulative distribution, in float64.

    Args:
        logits: (B, V).
        temperature: divides the logits; 0 takes the most likely token.
        uniform: (B,) float64 in [0, 1), one number a row.

    Returns:
        (B,) int64 in [0, V).
    """
    if temperature == 0:
        return logits.argmax(dim=-1)
    cumulative = (logits.double() / temperature).softmax(dim=-1).cumsum(dim=-1)
    threshold = uniform.to(logits.device)[:, None] * cumulative[:, -1:]
    return torch.searchsorted(cumulative, threshold, right=True)[:, 0].clamp_max(logits.shape[-1] - 1)


@torch.no_grad()
def sample(
    backbone: Backbone, tokens: Tokens, uniform: Tensor, guidance: float, temperature: float
) -> Tensor:
    """Sample all image tokens of a batch of prompts.

    Args:
        backbone: the model.
        tokens: B left-padded prompts.
        uniform: (B, T) float64 in [0, 1), T image tokens.
        guidance: scale of classifier-free guidance.
        temperature: softmax temperature; 0 decodes greedily.

    Returns:
        (B, T) int64 codebook indices.
    """
    steps = uniform.shape[1]
    rows = backbone.with_unconditional(tokens)
    mask = torch.cat([rows.mask, rows.mask.new_ones(len(rows), steps - 1)], dim=1)  # (2B, L + T − 1)
    positions = (mask.cumsum(dim=1) - 1).clamp_min(0)
    cache = StaticCache(config=backbone.model.config.get_text_config(), max_cache_len=mask.shape[1])
    embeds = backbone.embed_text(rows.ids)  # (2B, L, D), later (2B, 1, D)
    seen, drawn = 0, []
    for step in range(steps):
        seen += embeds.shape[1]
        hidden = backbone.language_model(
            inputs_embeds=embeds,
            attention_mask=mask[:, :seen],
            position_ids=positions[:, seen - embeds.shape[1] : seen],
            past_key_values=cache,
        ).last_hidden_state[:, -1]
        logits = guided(backbone.image_logits(hidden), guidance)
        drawn.append(choose(logits, temperature, uniform[:, step]))
        embeds = backbone.embed_image(drawn[-1].repeat(2)[:, None])
    return torch.stack(drawn, dim=1)


def sample_prompts(
    backbone: Backbone,
    prompts: Sequence[str],
    seeds: Sequence[int],
    encoding: Encoding,
    guidance: float,
    temperature: float,
) -> Tensor:
    """Encode prompts and sample their image tokens: B texts, B seeds → (B, T) int64."""
    tokens = backbone.encode(prompts, encoding)
    return sample(backbone, tokens, uniforms(seeds, backbone.num_image_tokens), guidance, temperature)
