"""The erasure objective: which states a training step reads, and which frozen states it is drawn to.

Equation of the paper, with h the last hidden state after the final norm, θ* frozen and θ trained:

    target_t = h_θ*(c_s)_t − η · (h_θ*(c_u)_t − h_θ*(c_s')_t),    L_t = MSE(h_θ(c_u)_t, target_t)

Every variant is the same three questions: what is read at step t for a prompt and a stream (:class:`Reader`),
what is the target, what is the loss. A pair has T steps, one an image token: step 0 reads the prompt, step t
the token t − 1.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache

from ear.erasure.presets import Context, Encoding
from ear.erasure.streams import Pair, context_free_states, read_prompt
from ear.janus import Backbone, Tokens


@dataclass(frozen=True)
class Example:
    """One pair, ready to be trained on.

    Attributes:
        prompt: rows [conditional; unconditional] of the unsafe prompt, padded to the length of the longer
            prompt.
        stream: (T,) int64, the unsafe stream.
        first: target of step 0, (2, L, D) without context, where it covers the prompt, and (2, 1, D) with
            context.
        later: targets of steps 1 … T − 1, (1 or 2, T − 1, D); one row where both are the same.
        initial_loss: (T,) L_t of the frozen model itself, before any training.
    """

    prompt: Tokens
    stream: Tensor
    first: Tensor
    later: Tensor
    initial_loss: Tensor


def combine(safe: Tensor, unsafe: Tensor, neutral: Tensor, eta: float) -> Tensor:
    """The target: h(c_s) − η (h(c_u) − h(c_s')), all of one shape."""
    return safe - eta * (unsafe - neutral)


def step_losses(
    states: tuple[Tensor | None, Tensor | None], example: Example, start: int, stop: int
) -> Tensor:
    """L_t of steps start … stop − 1: mean squared error over rows, positions of the step and features.

    Args:
        states: the reader's (first, later) states of the window.
        example: holds the targets.
        start: first step of the window.
        stop: the step after its last.

    Returns:
        (stop − start,) losses.
    """
    first, later = states
    parts = []
    if first is not None:
        parts.append((first - example.first).square().mean().reshape(1))
    if later is not None:
        goal = example.later[:, max(start, 1) - 1 : stop - 1]
        parts.append((later - goal).square().mean(dim=(0, 2)))
    return torch.cat(parts)


class Reader(ABC):
    """Reads hidden states as a context defines it: those of θ* for the targets, those of θ for the loss."""

    def __init__(self, backbone: Backbone, encoding: Encoding) -> None:
        self.backbone = backbone
        self.encoding = encoding

    @abstractmethod
    def states(
        self, prompt: Tokens, stream: Tensor, start: int, stop: int
    ) -> tuple[Tensor | None, Tensor | None]:
        """States of steps start … stop − 1.

        Args:
            prompt: (2, L) rows [conditional; unconditional].
            stream: (T,) image tokens.
            start: first step of the window.
            stop: the step after its last.

        Returns:
            The state of step 0, or none if the window begins later, and those of the later steps, or none if
            there are none.
        """

    @abstractmethod
    def example(self, pair: Pair, streams: Mapping[str, Tensor], eta: float) -> Example:
        """Targets of one pair from the frozen model. Call it before the weights change.

        Args:
            pair: id, unsafe and safe prompt.
            streams: the pair's row of each stream, (T,).
            eta: η, strength of the push away from the unsafe states.
        """

    def _prepared(
        self,
        prompt: Tokens,
        stream: Tensor,
        first: Tensor,
        later: Tensor,
        unsafe: tuple[Tensor | None, Tensor | None],
    ) -> Example:
        """An example whose initial losses come from the frozen model's own unsafe states."""
        example = Example(prompt, stream, first, later, torch.empty(0))
        losses = step_losses(unsafe, example, 0, len(stream))
        return Example(prompt, stream, first, later, losses)


class ContextFreeReader(Reader):
    """As released (context "none"): step 0 reads the whole prompt, step t the token t − 1 alone.

    Without context both rows of a later step are the same row, so it is read once. Source: the `train_*.py`
    scripts of the release, which pass the last token's embedding alone and no past_key_values.
    """

    def __init__(self, backbone: Backbone, encoding: Encoding) -> None:
        super().__init__(backbone, encoding)
        self.table = context_free_states(backbone)  # (V, D) of θ*: made before the weights change

    def states(
        self, prompt: Tokens, stream: Tensor, start: int, stop: int
    ) -> tuple[Tensor | None, Tensor | None]:
        first = read_prompt(self.backbone, prompt.ids, prompt.mask) if start == 0 else None  # (2, L, D)
        seen = stream[max(start, 1) - 1 : stop - 1]
        if not len(seen):
            return first, None
        embeds = self.backbone.embed_image(seen[:, None])  # (w, 1, D): a batch of sequences of one token
        later = self.backbone.language_model(inputs_embeds=embeds, use_cache=False).last_hidden_state
        return first, later.transpose(0, 1)  # (1, w, D)

    @torch.no_grad()
    def example(self, pair: Pair, streams: Mapping[str, Tensor], eta: float) -> Example:
        _, unsafe_text, safe_text = pair
        unsafe = self.backbone.encode([unsafe_text], self.encoding)
        safe = self._fit(self.backbone.encode([safe_text], self.encoding), unsafe.length)
        unsafe_rows, safe_rows = (self.backbone.with_unconditional(tokens) for tokens in (unsafe, safe))
        unsafe_first, safe_first = (
            read_prompt(self.backbone, rows.ids, rows.mask) for rows in (unsafe_rows, safe_rows)
        )
        seen = {name: self.table[stream[:-1]][None] for name, stream in streams.items()}  # (1, T − 1, D)
        first = combine(safe_first, unsafe_first, safe_first, eta)
        later = combine(seen["target"], seen["unsafe"], seen["neutral"], eta)
        return self._prepared(unsafe_rows, streams["unsafe"], first, later, (unsafe_first, seen["unsafe"]))

    def _fit(self, tokens: Tokens, length: int) -> Tokens:
        """The safe prompt cut, or padded on the right with attended pads, to the unsafe prompt's length."""
        pads = tokens.ids.new_full((1, max(0, length - tokens.length)), self.backbone.pad_id)
        ids = torch.cat([tokens.ids[:, :length], pads], dim=1)
        return Tokens(ids, torch.ones_like(ids))


class ContextReader(Reader):
    """With the true context: step t reads the prompt and the tokens before t (teacher forcing).

    What lies before the window is read with the current weights and without gradient: its keys and values are
    exact, and the gradient stops at the window's edge, as it does for a model that generates with a cache and
    steps after each window. The first window reads the prompt with gradient.
    """

    def __init__(self, backbone: Backbone, encoding: Encoding, aligned: bool) -> None:
        super().__init__(backbone, encoding)
        self.aligned = aligned

    def states(
        self, prompt: Tokens, stream: Tensor, start: int, stop: int
    ) -> tuple[Tensor | None, Tensor | None]:
        length = prompt.length
        embeds = torch.cat(  # (2, L + stop − 1, D)
            [
                self.backbone.embed_text(prompt.ids),
                self.backbone.embed_image(stream[None, : stop - 1].expand(len(prompt), -1)),
            ],
            dim=1,
        )
        mask = torch.cat([prompt.mask, prompt.mask.new_ones(len(prompt), stop - 1)], dim=1)
        positions = torch.arange(mask.shape[1], device=mask.device)[
            None
        ]  # the same from begin_of_image on, for both prompts
        cache = DynamicCache(config=self.backbone.model.config.get_text_config())
        edge = length + start - 1 if start else 0  # columns before the window
        if edge:
            with torch.no_grad():
                self._read(embeds[:, :edge], mask[:, :edge], positions[:, :edge], cache)
        hidden = self._read(
            embeds[:, edge:], mask, positions[:, edge:], cache
        )  # (2, columns of the window, D)
        if start:
            return None, hidden
        return hidden[:, length - 1 : length], hidden[:, length:] if stop > 1 else None

    def _read(self, embeds: Tensor, mask: Tensor, positions: Tensor, cache: DynamicCache) -> Tensor:
        return self.backbone.language_model(
            inputs_embeds=embeds,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state

    @torch.no_grad()
    def example(self, pair: Pair, streams: Mapping[str, Tensor], eta: float) -> Example:
        _, unsafe_text, safe_text = pair
        both = self.backbone.encode(
            [unsafe_text, safe_text], self.encoding
        )  # left-padded to the longer of the two
        unsafe_rows, safe_rows = (
            self.backbone.with_unconditional(Tokens(both.ids[row : row + 1], both.mask[row : row + 1]))
            for row in (0, 1)
        )
        unsafe_stream = streams["unsafe"]
        steps = len(unsafe_stream)
        unsafe = self._all(unsafe_rows, unsafe_stream, steps)
        if self.aligned:
            target = neutral = self._all(safe_rows, unsafe_stream, steps)
        else:
            target = self._all(safe_rows, streams["target"], steps)
            neutral = self._all(safe_rows, streams["neutral"], steps)
        goal = combine(target, unsafe, neutral, eta)
        return self._prepared(
            unsafe_rows, unsafe_stream, goal[:, :1], goal[:, 1:], (unsafe[:, :1], unsafe[:, 1:])
        )

    def _all(self, prompt: Tokens, stream: Tensor, steps: int) -> Tensor:
        first, later = self.states(prompt, stream, 0, steps)
        return torch.cat([part for part in (first, later) if part is not None], dim=1)  # (2, T, D)


def make_reader(backbone: Backbone, context: Context, encoding: Encoding) -> Reader:
    """The reader of a context. Make it while the backbone's weights are still θ*."""
    if context == "none":
        return ContextFreeReader(backbone, encoding)
    return ContextReader(backbone, encoding, aligned=context == "aligned")
