"""Token sequences of the frozen model θ*, sampled once and shared by every variant and window.

Since the sequences come from θ* alone, all pairs and all sequences are sampled in lockstep before any
training. Source: the paper's Section "Windowed Gradient Accumulation"; `train_*.py` of the release sample
inside of the training loop.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from ear.erasure.variants import ANCHORED, SEQUENCE_NAMES, Context, Encoding
from ear.errors import InputError
from ear.images.batching import BatchSize, drawn_at_once
from ear.images.sampling import Guidance, choose, guided, image_words, random_numbers, sample
from ear.models.backbone import Backbone, Tokens, left_padded, unpadded
from ear.models.finite import FiniteWatch
from ear.models.weights import check_file, loading
from ear.prompts.naming import without
from ear.workflow.files import atomic_path
from ear.workflow.seeding import stable_seed

logger = logging.getLogger(__name__)

# Words of the seeds are fixed: with others, the same settings would give other weights.
SEEDED_BY = {"unsafe": "unsafe", "safe": "target", "safe-2": "neutral", "anchor": "anchor"}

Pair = tuple[str, ...]
"""(pair id, unsafe prompt, safe prompt), and the anchor in context "anchored"."""


def pairs_of(
    table: pd.DataFrame, context: Context, names: Sequence[str] = (), anchors: Sequence[str] = ()
) -> list[Pair]:
    """Pairs of a table, in context "anchored" with their anchors.

    The anchor of a pair is its unsafe prompt with a phrase in place of each of the concept's names; phrases
    take turns. Without phrases, or where the unsafe prompt holds no name, it is the safe prompt.

    Args:
        table: columns ``ear.prompts.tables.PAIR_COLUMNS``.
        context: context that the pairs are trained in.
        names: names of the concept.
        anchors: phrases that can stand in a name's place.
    """
    plain = table[["pair_id", "unsafe_prompt", "safe_prompt"]].itertuples(index=False, name=None)
    if context != ANCHORED:
        return list(plain)
    pairs: list[Pair] = []
    phrases, nameless = cycle(anchors), 0
    for pair_id, unsafe, safe in plain:
        phrase, pieces = next(phrases, ""), without(unsafe, names)
        anchor = phrase.join(pieces) if phrase and len(pieces) > 1 else safe
        pairs.append((pair_id, unsafe, safe, anchor))
        nameless += len(pieces) == 1
    if anchors and nameless:
        message = "%d of %d unsafe prompts hold none of %s: their safe prompts are their anchors"
        logger.warning(message, nameless, len(pairs), ", ".join(map(repr, names)))
    return pairs


def prompts_of(pair: Pair) -> dict[str, str]:
    """The prompt of each token sequence of a pair, by the sequence's name."""
    _, unsafe, safe, *anchor = pair
    return {"unsafe": unsafe, "safe": safe, "safe-2": safe, "anchor": anchor[0] if anchor else safe}


def sample_sequences(
    backbone: Backbone,
    pairs: Sequence[Pair],
    context: Context,
    encoding: Encoding,
    seed: int,
    guidance: float,
    temperature: float,
    batch_size: int,
) -> dict[str, Tensor]:
    """Sample the sequences that a context needs.

    Args:
        backbone: the frozen model θ*.
        pairs: P prompt pairs.
        context: "none" samples as the release does, each token from the one before it alone; the others
            sample images.
        encoding: how prompts are encoded.
        seed: with the pair's id and the sequence's name it fixes every random number.
        guidance: scale of classifier-free guidance.
        temperature: softmax temperature.
        batch_size: prompts sampled at once.

    Returns:
        For each name of ``SEQUENCE_NAMES[context]`` a (P, T) int64 tensor, rows in the order of ``pairs``.
    """
    names, steps = SEQUENCE_NAMES[context], backbone.num_image_tokens
    jobs: list[tuple[Tensor, int]] = []
    for name in names:
        ids = unpadded(backbone.encode([prompts_of(pair)[name] for pair in pairs], encoding))
        if name == "unsafe":
            lengths = [len(prompt) for prompt in ids]
        elif context == "none":
            ids = [fitted(safe, size, backbone.pad_id) for safe, size in zip(ids, lengths, strict=True)]
        seeds = [stable_seed(seed, pair_id, SEEDED_BY[name]) for pair_id, *_ in pairs]
        jobs += zip(ids, seeds, strict=True)
    scale = Guidance(guidance)
    way: Callable[..., Tensor] = sample
    fits = None
    if context == "none":
        way = partial(_sample_without_context, context_free_states(backbone))
    else:
        fits = drawn_at_once(backbone, batch_size, scale.rows, max(len(prompt) for prompt, _ in jobs))

    def sampled(part: Sequence[tuple[Tensor, int]]) -> Tensor:
        prompts, seeds = zip(*part, strict=True)
        tokens, uniform = left_padded(prompts, backbone.pad_id), random_numbers(seeds, steps)
        return way(backbone, tokens, uniform, scale, temperature).cpu()

    sequences = torch.cat(list(BatchSize(batch_size).each(jobs, sampled, fits)))
    return dict(zip(names, sequences.split(len(pairs)), strict=True))


def cuts(pair_id: str, count: int, steps: int) -> Tensor:
    """Where a pair's J mixed sequences of T ≥ 2 tokens turn from unsafe to safe.

    Fixed by the pair's id: (J,) int64, sorted, 0 and others in 1 … ⌊T / 2⌋.
    """
    drawn = np.random.Generator(np.random.Philox(stable_seed(pair_id, "cuts")))
    return torch.from_numpy(np.append(0, np.sort(drawn.integers(1, steps // 2 + 1, count - 1))))


@torch.no_grad()
def _sample_without_context(
    table: Tensor,
    backbone: Backbone,
    tokens: Tokens,
    uniform: Tensor,
    guidance: Guidance,
    temperature: float,
) -> Tensor:
    """Sample as the release does: the first token from the prompt, each later one from its predecessor alone.

    Called with one token and no cache, both guidance rows are the same row, so guidance has no effect after
    the first token, and the states are a table over the codebook.
    """
    hidden = read_prompt(backbone, backbone.with_unconditional(tokens))[:, -1]
    drawn: list[Tensor] = []
    watch = FiniteWatch()
    for step in range(uniform.shape[1]):
        logits = backbone.image_logits(table[drawn[-1]] if step else hidden)
        if not step:
            logits = guided(logits, guidance)
        watch.see(step, logits)
        drawn.append(choose(logits, temperature, uniform[:, step], backbone.top_k))
    watch.require(lambda row: image_words(backbone, tokens, row))
    return torch.stack(drawn, dim=1)


def fitted(ids: Tensor, length: int, pad_id: int) -> Tensor:
    """A prompt cut or padded on the right, as the release fits the safe prompt to the unsafe one."""
    return functional.pad(ids[:length], (0, max(0, length - len(ids))), value=pad_id)


def read_prompt(backbone: Backbone, tokens: Tokens) -> Tensor:
    """Hidden states of left-padded prompts: (B, L) tokens → (B, L, D)."""
    return backbone.language_model(
        inputs_embeds=backbone.embed_text(tokens.ids),
        attention_mask=tokens.mask,
        position_ids=(tokens.mask.cumsum(dim=1) - 1).clamp_min(0),
        use_cache=False,
    ).last_hidden_state


def read_alone(backbone: Backbone, codes: Tensor) -> Tensor:
    """Hidden states of image tokens that are read alone, at position 0: (N,) → (N, D).

    With one token to attend to, attention returns its value, whatever query and key are: the same number as
    from the whole attention, for half the work.
    """
    model: Any = backbone.language_model
    hidden = backbone.embed_columns(backbone.image_ids(codes[:, None]))[:, 0]  # (N, D)
    for layer in model.layers:
        attention = layer.self_attn
        values = attention.v_proj(layer.input_layernorm(hidden))  # (N, KV heads · D_head)
        heads = values.unflatten(-1, (-1, attention.head_dim))
        shared = heads.repeat_interleave(attention.num_key_value_groups, dim=1)  # each KV head's queries
        hidden = hidden + attention.o_proj(shared.flatten(1))
        hidden = hidden + layer.mlp(layer.post_attention_layernorm(hidden))
    return model.norm(hidden)


@torch.no_grad()
def context_free_states(backbone: Backbone, batch_size: int = 4096) -> Tensor:
    """Hidden state of each codebook entry alone at position 0, under the current weights: (V, D)."""
    codes = torch.arange(backbone.codebook_size, device=backbone.device)
    return torch.cat([read_alone(backbone, part) for part in codes.split(batch_size)])


def made_from(backbone: Backbone, pairs: Sequence[Pair]) -> str:
    """What sequences belong to: SHA-256 of the frozen model and of the pairs in their order."""
    return hashlib.sha256(f"{backbone.source()} {list(pairs)}".encode()).hexdigest()


def save_sequences(path: str | Path, sequences: Mapping[str, Tensor], source: str) -> None:
    """Write sequences as safetensors, atomically, with what :func:`made_from` says of them."""
    with atomic_path(path) as partial:
        save_file(
            {name: value.contiguous() for name, value in sequences.items()},
            partial,
            metadata={"made_from": source},
        )


def load_sequences(path: str | Path, source: str, context: Context) -> dict[str, Tensor]:
    """Read sequences.

    Raises:
        InputError: the file is missing, not whole, of another context, or was made for another ``source``
            (:func:`made_from`).
    """
    wanted = "a file of token sequences"
    check_file(path, wanted, ".safetensors")
    with loading(path, wanted), safe_open(path, framework="pt") as handle:
        found = (handle.metadata() or {}).get("made_from", "none")
        sequences = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118 (no mapping)
    if found != source:
        raise InputError(
            f"{path}: found sequences of other weights or pairs ({found[:12]}), wanted {source[:12]}: "
            "delete the file and run the same command again"
        )
    if sequences.keys() != set(SEQUENCE_NAMES[context]):
        names = ", ".join(SEQUENCE_NAMES[context])
        raise InputError(f"{path}: found sequences {', '.join(sequences)}, wanted {names} ({context})")
    for name, sequence in sequences.items():
        if sequence.dtype != torch.int64 or sequence.ndim != 2:
            kind = f"{sequence.dtype} of shape {tuple(sequence.shape)}".removeprefix("torch.")
            raise InputError(f"{path}: {name}: found {kind}, wanted int64 tokens, pairs × tokens")
    return sequences
