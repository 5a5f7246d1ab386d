"""The names of Janus' weights, DeepSeek's and transformers': one table, read both ways.

The rows of classifier-free guidance are no part of this: DeepSeek's loops interleave them along the batch
(conditional, unconditional, conditional, …), transformers' and ours put all conditional ones first. That
matters where logits of the two are compared, and nowhere in the weights.

Sources: the module names of DeepSeek's `janus/models` (modeling_vlm, siglip_vit, vq_model, projector) and of
transformers' `modeling_janus`.
"""

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

TOWER, ENCODER = "vision_model.vision_tower", "model.vision_model"
VQ = "gen_vision_model"
DEEPEST_ALIGNER = 8  # linear layers; the published ones have 2
ALIGNERS = (("aligner", "model.aligner"), ("gen_aligner", "model.generation_aligner"))
PROJECTIONS = ("q_proj", "k_proj", "v_proj")

RULES: tuple[tuple[str, str], ...] = (
    ("language_model.model", "model.language_model"),
    ("language_model.lm_head", "lm_head"),
    ("gen_embed", "model.generation_embeddings"),
    ("gen_head.output_mlp_projector", "model.generation_head.proj_out"),
    ("gen_head.vision_head", "model.generation_head.vision_head"),
    # A sequence of linear layers with an activation after each, which has a number too.
    *((f"{theirs}.layers.0", f"{ours}.fc1") for theirs, ours in ALIGNERS),
    *(
        (f"{theirs}.layers.{2 * layer}", f"{ours}.hidden_layers.{layer - 1}")
        for theirs, ours in ALIGNERS
        for layer in range(1, DEEPEST_ALIGNER)
    ),
    (f"{TOWER}.patch_embed.proj", f"{ENCODER}.embeddings.patch_embedding"),
    (f"{TOWER}.pos_embed", f"{ENCODER}.embeddings.position_embedding.weight"),
    (f"{TOWER}.blocks.*.norm1", f"{ENCODER}.encoder.layers.*.layer_norm1"),
    (f"{TOWER}.blocks.*.attn.qkv", f"{ENCODER}.encoder.layers.*.self_attn.q_proj"),  # and k_proj, v_proj
    (f"{TOWER}.blocks.*.attn.proj", f"{ENCODER}.encoder.layers.*.self_attn.projection_layer"),
    (f"{TOWER}.blocks.*.norm2", f"{ENCODER}.encoder.layers.*.layer_norm2"),
    (f"{TOWER}.blocks.*.mlp", f"{ENCODER}.encoder.layers.*.mlp"),
    (f"{TOWER}.norm", f"{ENCODER}.post_layernorm"),
    (f"{VQ}.encoder.conv_blocks.*.res", "model.vqmodel.encoder.down.*.block"),
    (f"{VQ}.encoder.conv_blocks", "model.vqmodel.encoder.down"),
    (f"{VQ}.decoder.conv_blocks.*.res", "model.vqmodel.decoder.up.*.block"),
    (f"{VQ}.decoder.conv_blocks", "model.vqmodel.decoder.up"),
    *(
        (f"{VQ}.{side}.mid.{index}", f"model.vqmodel.{side}.mid.{name}")
        for side in ("encoder", "decoder")
        for index, name in enumerate(("block_1", "attn_1", "block_2"))
    ),
    (VQ, "model.vqmodel"),
)
"""(DeepSeek's prefix, transformers' prefix), the first that fits counts; ``*`` is the number of a layer."""

UNUSED = (f"{TOWER}.attn_pool.", f"{VQ}.quantize.codebook_used")
"""In DeepSeek's files, not in transformers' model: a pooling that Janus skips, a count from VQ training."""


def _compiled(rules: Iterable[tuple[str, str]]) -> list[tuple[re.Pattern[str], str]]:
    return [
        (re.compile(re.escape(found).replace(r"\*", r"(\d+)") + r"(?=\.|$)"), wanted.replace("*", r"\1"))
        for found, wanted in rules
    ]


_TO_TRANSFORMERS = _compiled(RULES)
_TO_DEEPSEEK = _compiled((ours, theirs) for theirs, ours in RULES)


def _renamed(name: str, rules: list[tuple[re.Pattern[str], str]]) -> str:
    """The name by the first rule that fits; as it is where none does."""
    for pattern, wanted in rules:
        if match := pattern.match(name):
            return match.expand(wanted) + name[match.end() :]
    return name


def to_transformers(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """DeepSeek's weights by transformers' names; names that no rule knows stay as they are.

    The vision tower's fused qkv (3D, …) becomes three projections, its positions (1, N, D) become (N, D), and
    what ``UNUSED`` names is left out. All other tensors are passed on, not copied.
    """
    named: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if name.startswith(UNUSED):
            continue
        wanted = _renamed(name, _TO_TRANSFORMERS)
        if _is_fused(name):
            parts = zip(PROJECTIONS, tensor.chunk(len(PROJECTIONS)), strict=True)
            named |= {wanted.replace(PROJECTIONS[0], part): rows.clone() for part, rows in parts}
        else:
            named[wanted] = tensor.squeeze(0) if _is_positions(name) else tensor
    return named


def to_deepseek(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of :func:`to_transformers`, without what ``UNUSED`` names."""
    named: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        wanted = _renamed(name, _TO_DEEPSEEK)
        if _is_fused(wanted):
            parts = [weights[name.replace(PROJECTIONS[0], part)] for part in PROJECTIONS]
            named[wanted] = torch.cat(parts)
        elif not _is_part(name):
            named[wanted] = tensor[None] if _is_positions(wanted) else tensor
    return named


def _is_fused(theirs: str) -> bool:
    return theirs.startswith(TOWER) and ".attn.qkv." in theirs


def _is_positions(theirs: str) -> bool:
    return theirs == f"{TOWER}.pos_embed"


def _is_part(ours: str) -> bool:
    """Whether a tensor goes into DeepSeek's qkv behind the queries, under whose name it is put."""
    return ours.startswith(ENCODER) and any(f".{part}." in ours for part in PROJECTIONS[1:])
