"""Token streams of the frozen model θ*, sampled once and shared by every variant and window that reads them.

Since the streams come from θ* alone, all pairs and all streams are sampled in lockstep before any training.
Source: the paper's Section "Windowed Gradient Accumulation"; `train_*.py` of the release sample inside of the
    training loop.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from ear.erasure.presets import STREAM_NAMES, Context, Encoding
from ear.errors import InputError
from ear.files import atomic_path
from ear.janus import Backbone, Tokens
from ear.sampling import choose, guided, sample, uniforms
from ear.seeding import stable_seed

Pair = tuple[str, str, str]
"""(pair id, unsafe prompt, safe prompt)"""


def sample_streams(
    backbone: Backbone,
    pairs: Sequence[Pair],
    context: Context,
    encoding: Encoding,
    seed: int,
    guidance: float,
    temperature: float,
    batch_size: int,
) -> dict[str, Tensor]:
    """Sample the streams that a context needs.

    Args:
        backbone: the frozen model θ*.
        pairs: P prompt pairs.
        context: "none" samples as the release does, each token from the one before it alone; the others
            sample images.
        encoding: how prompts are encoded.
        seed: seed of the fine-tuning run; with the pair's id and the stream's name it fixes every random
            number.
        guidance: scale of classifier-free guidance.
        temperature: softmax temperature.
        batch_size: prompts sampled at once.

    Returns:
        For each name of ``STREAM_NAMES[context]`` a (P, T) int64 tensor, rows in the order of ``pairs``.
    """
    jobs = [
        (unsafe if name == "unsafe" else safe, stable_seed(seed, pair_id, name))
        for name in STREAM_NAMES[context]
        for pair_id, unsafe, safe in pairs
    ]
    sampler = _sample_without_context if context == "none" else sample
    parts = []
    for start in range(0, len(jobs), batch_size):
        prompts, seeds = zip(*jobs[start : start + batch_size], strict=True)
        tokens = backbone.encode(prompts, encoding)
        parts.append(
            sampler(backbone, tokens, uniforms(seeds, backbone.num_image_tokens), guidance, temperature).cpu()
        )
    return dict(zip(STREAM_NAMES[context], torch.cat(parts).split(len(pairs)), strict=True))


@torch.no_grad()
def _sample_without_context(
    backbone: Backbone, tokens: Tokens, uniform: Tensor, guidance: float, temperature: float
) -> Tensor:
    """Sample as the release does: the first token from the prompt, each later one from its predecessor alone.

    Called with one token and no cache, both guidance rows are the same row, so guidance has no effect after
    the first token and the logits are a table over the codebook.
    """
    rows = backbone.with_unconditional(tokens)
    hidden = read_prompt(backbone, rows.ids, rows.mask)[:, -1]
    table = backbone.image_logits(context_free_states(backbone))  # (V, V)
    drawn = [choose(guided(backbone.image_logits(hidden), guidance), temperature, uniform[:, 0])]
    for step in range(1, uniform.shape[1]):
        drawn.append(choose(table[drawn[-1]], temperature, uniform[:, step]))
    return torch.stack(drawn, dim=1)


def read_prompt(backbone: Backbone, ids: Tensor, mask: Tensor) -> Tensor:
    """Hidden states of left-padded prompts: (B, L) ids and mask → (B, L, D)."""
    positions = (mask.cumsum(dim=1) - 1).clamp_min(0)
    return backbone.language_model(
        inputs_embeds=backbone.embed_text(ids), attention_mask=mask, position_ids=positions, use_cache=False
    ).last_hidden_state


@torch.no_grad()
def context_free_states(backbone: Backbone, batch_size: int = 4096) -> Tensor:
    """Hidden state of each codebook entry alone at position 0, under the current weights: (V, D)."""
    codes = torch.arange(backbone.codebook_size, device=backbone.device)
    parts = [
        backbone.language_model(
            inputs_embeds=backbone.embed_image(part[:, None]), use_cache=False
        ).last_hidden_state[:, 0]
        for part in codes.split(batch_size)
    ]
    return torch.cat(parts)


def save_streams(path: str | Path, streams: dict[str, Tensor], pair_ids: Sequence[str]) -> None:
    """Write streams and the ids of their pairs as safetensors, atomically."""
    with atomic_path(path) as partial:
        save_file(
            {name: value.contiguous() for name, value in streams.items()},
            partial,
            metadata={"pairs": ",".join(pair_ids)},
        )


def load_streams(path: str | Path, pair_ids: Sequence[str]) -> dict[str, Tensor]:
    """Read streams.

    Raises:
        InputError: the file was made for other pairs, or the same in another order.
    """
    with safe_open(path, framework="pt") as handle:
        found = (handle.metadata() or {}).get("pairs", "").split(",")
        if found != list(pair_ids):
            raise InputError(
                f"{path}: streams of {len(found)} other pairs, wanted those of the {len(pair_ids)} given"
            )
        return {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118 (no mapping)
