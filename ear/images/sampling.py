"""Guided sampling of image tokens, many prompts in lockstep, each with random numbers of its own.

The loop is transformers' Janus generation (classifier-free guidance) with one difference: the random number
of each token comes from the image's own generator, so an image depends on (weights, prompt, seed, guidance)
and on nothing else that shares its batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import shorten

import numpy as np
import torch
from torch import Tensor

from ear.errors import InputError
from ear.images.decoding import Decoder, NotCompiledError, cpu_kernels
from ear.models.backbone import Backbone, Encoding, Tokens, left_padded, unpadded
from ear.models.finite import FiniteWatch


@dataclass(frozen=True)
class Guidance:
    """How the logits of several prompts make those that are drawn from.

    With c, u and n the logits given the prompt, its unconditional twin and the negative prompt, all three
    read along the same image tokens: ``u + scale · (c − u) − strength · (n − u)``. Sources: composable
    diffusion (arXiv 2206.01714) and Safe Latent Diffusion (arXiv 2211.05105), there on a noise estimate.

    Attributes:
        scale: of classifier-free guidance; 1 is the conditional distribution itself.
        negative: prompt that the logits are pushed away from.
        strength: how far, at least 0.

    Raises:
        InputError: a strength that is negative or has no prompt.
    """

    scale: float
    negative: str | None = None
    strength: float = 0.0

    def __post_init__(self) -> None:
        if self.strength < 0:
            raise InputError(f"guidance: found strength {self.strength}, wanted at least 0")
        if self.strength and not self.negative:
            raise InputError(
                f"guidance: found strength {self.strength} without a negative prompt, wanted one"
            )

    @property
    def rows(self) -> int:
        """Rows of the batch that one image takes: conditional, unconditional and perhaps negative."""
        return 3 if self.strength else 2


def random_numbers(seeds: Sequence[int], count: int) -> Tensor:
    """Random numbers of images, (B, count) float64 in [0, 1): row i from seed i alone, on every machine."""
    rows = [np.random.Generator(np.random.Philox(seed)).random(count) for seed in seeds]
    return torch.from_numpy(np.stack(rows))


def guided(logits: Tensor, guidance: Guidance) -> Tensor:
    """Guided logits: (2B, V), rows [conditional; unconditional], or (3B, V) with [negative] → (B, V)."""
    conditional, unconditional, *negative = logits.chunk(guidance.rows)
    pushed = unconditional + guidance.scale * (conditional - unconditional)
    for away in negative:
        pushed = pushed - guidance.strength * (away - unconditional)
    return pushed


def choose(logits: Tensor, temperature: float, uniform: Tensor, top_k: int | None = None) -> Tensor:
    """Pick tokens by inverting the cumulative distribution, in float64.

    Args:
        logits: (B, V).
        temperature: divides the logits; 0 takes the most likely token.
        uniform: (B,) float64 in [0, 1), one number a row.
        top_k: only so many of the likeliest tokens are picked from, and those that are as likely as the last.

    Returns:
        (B,) int64 in [0, V).
    """
    if temperature == 0:
        return logits.argmax(dim=-1)
    if top_k and top_k < logits.shape[-1]:
        logits = logits.masked_fill(logits < logits.topk(top_k).values[:, -1:], -torch.inf)
    cumulative = (logits.double() / temperature).softmax(dim=-1).cumsum(dim=-1)
    threshold = uniform.to(logits.device)[:, None] * cumulative[:, -1:]
    return torch.searchsorted(cumulative, threshold, right=True)[:, 0].clamp_max(logits.shape[-1] - 1)


@torch.no_grad()
def sample(
    backbone: Backbone,
    tokens: Tokens,
    uniform: Tensor,
    guidance: Guidance,
    temperature: float,
    negative: Tokens | None = None,
    prefix: Tensor | None = None,
    names: Sequence[str] = (),
) -> Tensor:
    """Sample the image tokens of a batch of prompts: all of them, or those after a given beginning.

    Args:
        backbone: the model.
        tokens: B left-padded prompts.
        uniform: (B, T) float64 in [0, 1), T image tokens.
        guidance: how the rows' logits are put together.
        temperature: 0 decodes greedily.
        negative: the negative prompt, one row; needed where ``guidance`` has a strength.
        prefix: (B, k) int64, the first k ≤ T tokens where they are given. Token t is drawn with the same
            number of ``uniform`` as without a prefix.
        names: B, of the images, for errors.

    Returns:
        (B, T) int64 codebook indices.

    Raises:
        InputError: logits that are not finite.
    """
    rows = guidance_rows(backbone, tokens, guidance, negative)
    uniform = uniform.to(backbone.device)
    given = [] if prefix is None else list(prefix.to(backbone.device).unbind(dim=1))

    def drawn() -> Tensor:
        codes, watch = list(given), FiniteWatch()
        decoder = Decoder(backbone, rows, uniform.shape[1], guidance.rows)
        logits = decoder.read_prompts()
        for step in range(uniform.shape[1]):
            if step:
                logits = decoder.read(codes[step - 1].repeat(guidance.rows))
            if step == len(codes):
                pushed = guided(logits, guidance)
                watch.see(step, pushed)
                codes.append(choose(pushed, temperature, uniform[:, step], backbone.top_k))
        watch.require(lambda row: image_words(backbone, tokens, row, names))
        return torch.stack(codes, dim=1)

    with cpu_kernels(backbone, len(rows)):
        try:
            return drawn()
        except NotCompiledError:
            return drawn()


def image_words(backbone: Backbone, tokens: Tokens, row: int, names: Sequence[str] = ()) -> str:
    """An image in words, for errors: its name, where there is one, and its prompt."""
    words = backbone.tokenizer.decode(tokens.ids[row][tokens.mask[row].bool()])
    return " ".join(["image", *names[row : row + 1], repr(shorten(words, 200, placeholder=" …"))])


def guidance_rows(
    backbone: Backbone, tokens: Tokens, guidance: Guidance, negative: Tokens | None = None
) -> Tokens:
    """Rows [conditional; unconditional] of B prompts, and [negative] where the guidance has a strength.

    All are padded on the left to one length, so that the image begins in one column.
    """
    if not guidance.strength:
        return backbone.with_unconditional(tokens)
    assert negative is not None, "a guidance with a strength has a negative prompt"
    prompts = unpadded(backbone.with_unconditional(tokens))
    return left_padded([*prompts, *unpadded(negative) * len(tokens)], backbone.pad_id)


def sample_prompts(
    backbone: Backbone,
    prompts: Sequence[str],
    seeds: Sequence[int],
    encoding: Encoding,
    guidance: Guidance,
    temperature: float,
    prefix: Tensor | None = None,
    steps: int | None = None,
    names: Sequence[str] = (),
) -> Tensor:
    """Encode prompts and sample all or the first ``steps`` of their image tokens.

    B texts, B seeds and perhaps B names → (B, T) int64.
    """
    tokens = backbone.encode(prompts, encoding)
    negative = backbone.encode([guidance.negative], encoding) if guidance.negative else None
    uniform = random_numbers(seeds, steps or backbone.num_image_tokens)
    return sample(backbone, tokens, uniform, guidance, temperature, negative, prefix, names)
