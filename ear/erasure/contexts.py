"""Hidden states as a context defines them: θ*'s for the teacher, θ's for the loss.

A window is read in micro-batches, so that activations of no more than ``micro_batch`` image tokens (and, in
the first, of the prompt) are in memory at once, whatever W is. The gradient is exact.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from itertools import chain

import torch
from torch import Tensor
from transformers import DynamicCache

from ear.erasure.cost import TEACHER
from ear.erasure.objectives import Example, Objective, States
from ear.erasure.sequences import Pair, context_free_states, cuts, fitted, prompts_of, read_alone, read_prompt
from ear.erasure.variants import SEQUENCE_NAMES, Variant
from ear.images.batching import BatchSize, fitting
from ear.images.decoding import onednn_linears
from ear.models.backbone import Backbone, Tokens, left_padded, unpadded
from ear.models.finite import require_losses
from ear.models.memory import PAIR_ROWS, PAIRS_AT_ONCE, frozen_states
from ear.workflow.progress import progress

Keep = Callable[[Tensor], Tensor | None]
"""L_t of a window, (w,) → the factor of each in the loss, or None for no step."""


class Reader(ABC):
    """Reads windows of one variant. Make it while the backbone's weights are still θ*."""

    def __init__(self, backbone: Backbone, variant: Variant, objective: Objective, micro_batch: int) -> None:
        self.backbone = backbone
        self.variant = variant
        self.objective = objective
        self.micro_batch = BatchSize(micro_batch)

    @torch.no_grad()
    def examples(self, pairs: Sequence[Pair], sequences: Mapping[str, Tensor]) -> list[Example]:
        """The pairs with their teachers, from the frozen model. Call it before the weights change.

        Args:
            pairs: P pairs.
            sequences: name → (P, T) int64, rows in the order of ``pairs``.
        """
        sequences = {name: sequence.to(self.backbone.device) for name, sequence in sequences.items()}

        def read(rows: Sequence[int]) -> list[Example]:
            of_part = {name: sequence[list(rows)] for name, sequence in sequences.items()}
            return list(self._examples([pairs[row] for row in rows], of_part))

        texts = [text for pair in pairs for text in pair[1:]]
        length = self.backbone.encode(texts, self.variant.encoding).length
        size = fitting(
            self.backbone, PAIRS_AT_ONCE, lambda shape, some: frozen_states(shape, some * PAIR_ROWS, length)
        )
        batches = BatchSize(size).each(range(len(pairs)), read)
        total = -(-len(pairs) // size)
        shown = progress(batches, desc=TEACHER, unit=f"{size} pairs", total=total)
        examples = list(chain.from_iterable(shown))
        for (pair_id, *_), example in zip(pairs, examples, strict=True):
            require_losses(example.initial_losses, partial("pair {}, image token {}".format, pair_id))
        return examples

    def _examples(self, pairs: Sequence[Pair], sequences: Mapping[str, Tensor]) -> Iterator[Example]:
        unsafe, safe = (
            unpadded(self.backbone.encode([pair[side] for pair in pairs], self.variant.encoding))
            for side in (1, 2)
        )
        trained = slice(1 if self.variant.rows == "conditional" else 2)
        frozen = self._frozen(unsafe, safe, sequences)
        for (prompt, states), sequence in zip(frozen, sequences["unsafe"], strict=True):
            yield self._example(_cut(prompt, trained), sequence, states)

    def _example(
        self, prompt: Tokens, sequence: Tensor, frozen: Mapping[str, States], shares: Tensor | None = None
    ) -> Example:
        """An example with its teacher and initial losses, from the frozen states by sequence."""
        teacher = States(*(None if part is None else part.cpu() for part in self.objective.teacher(frozen)))
        example = Example(prompt, sequence, teacher, shares)
        own = frozen["unsafe"].rows(slice(len(prompt)))
        losses = self.objective.losses(own, example, 0, sequence.shape[-1])
        return replace(example, initial_losses=losses)

    def _rows(self, tokens: Tokens) -> Tokens:
        """The rows that the objective needs: [conditional; unconditional] prompts, or the prompts alone."""
        needed = self.objective.rows or self.variant.rows
        return self.backbone.with_unconditional(tokens) if needed == "both" else tokens

    def accumulate(self, example: Example, start: int, stop: int, keep: Keep) -> tuple[Tensor, Tensor | None]:
        """Read steps start … stop − 1 with the current weights, and add their gradient to the weights'.

        A window that fits into one micro-batch is one forward and one backward pass. A longer one is read
        first without gradient, micro-batch after micro-batch, and then again with it, backwards: each
        micro-batch gets, beside the gradient of its own losses, the gradient that later ones owe to its keys
        and values. This is the chain rule over the window, not a truncation of it.

        Returns:
            (w,) losses, and what ``keep`` made of them.
        """
        cache = self._before(example, start)
        size = self.micro_batch.size
        bounds = [(at, min(at + size, stop)) for at in range(start, stop, size)]
        with torch.set_grad_enabled(len(bounds) == 1):
            losses = torch.cat([self._losses(example, *bound, cache) for bound in bounds])
        factors = keep(losses.detach())
        if factors is not None:
            if len(bounds) == 1:
                (losses * factors).sum().backward()
            else:
                self._backward(example, bounds, factors, cache)
        return losses.detach(), factors

    def _losses(self, example: Example, start: int, stop: int, cache: DynamicCache | None) -> Tensor:
        states = self._read(example, start, stop, cache)
        return self.objective.losses(states, example, start, stop)

    @abstractmethod
    def _frozen(
        self, unsafe: list[Tensor], safe: list[Tensor], sequences: Mapping[str, Tensor]
    ) -> Iterator[tuple[Tokens, dict[str, States]]]:
        """For each pair, the unsafe prompt's rows and the frozen states of all steps, by sequence."""

    @abstractmethod
    def _before(self, example: Example, start: int) -> DynamicCache | None:
        """Keys and values of what lies before the window, without gradient."""

    @abstractmethod
    def _read(self, example: Example, start: int, stop: int, cache: DynamicCache | None) -> States:
        """States of steps start … stop − 1; ``cache`` holds all before them, and gets theirs."""

    def _backward(
        self, example: Example, bounds: list[tuple[int, int]], factors: Tensor, cache: DynamicCache | None
    ) -> None:
        """Gradient of a window that was read without one: of micro-batches that owe each other nothing."""
        for (at, end), part in zip(bounds, factors.split(self.micro_batch.size), strict=True):
            (self._losses(example, at, end, cache) * part).sum().backward()


class NoContext(Reader):
    """As released (context "none"): step 0 reads the whole prompt, step t the token t − 1 alone.

    Without context all rows of a later step are the same row, so it is read once, and the frozen states are a
    table over the codebook. Source: the `train_*.py` scripts of the release, which pass the last token's
    embedding alone and no past_key_values.
    """

    @cached_property
    def _table(self) -> Tensor:
        """States of the codebook's entries, (V, D)."""
        return context_free_states(self.backbone)

    def _frozen(
        self, unsafe: list[Tensor], safe: list[Tensor], sequences: Mapping[str, Tensor]
    ) -> Iterator[tuple[Tokens, dict[str, States]]]:
        pad, count = self.backbone.pad_id, len(unsafe)
        safe = [fitted(ids, len(twin), pad) for ids, twin in zip(safe, unsafe, strict=True)]
        tokens = self._rows(left_padded([*unsafe, *safe], pad))
        hidden = read_prompt(self.backbone, tokens)  # (rows · 2P, L, D)
        for pair, ids in enumerate(unsafe):
            own = slice(-len(ids), None)
            rows = {"unsafe": slice(pair, None, 2 * count), "safe": slice(pair + count, None, 2 * count)}
            states = {
                name: States(
                    hidden[rows["unsafe" if name == "unsafe" else "safe"], own],
                    self._table[sequence[pair, :-1]][None],
                )
                for name, sequence in sequences.items()
            }
            yield _cut(tokens, rows["unsafe"], own), states

    def _before(self, example: Example, start: int) -> None:
        return None

    def _read(self, example: Example, start: int, stop: int, cache: DynamicCache | None) -> States:
        first = None if start else read_prompt(self.backbone, example.prompt)  # (R, L, D)
        seen = example.sequence[max(start, 1) - 1 : stop - 1]
        return States(first, read_alone(self.backbone, seen)[None] if len(seen) else None)  # (1, w, D)


class WithContext(Reader):
    """With the true context: step t reads the prompt and the tokens before t (teacher forcing).

    What lies before the window is read with the current weights and without gradient. Exact: its keys and
    values, which are computed anew after every optimiser step. Cut, by definition of a window: the gradient
    through them, as in a model that generates with a cache and steps after each window. The first window
    reads the prompt with gradient.
    """

    def _frozen(
        self, unsafe: list[Tensor], safe: list[Tensor], sequences: Mapping[str, Tensor]
    ) -> Iterator[tuple[Tokens, dict[str, States]]]:
        count = len(unsafe)
        both = left_padded([*unsafe, *safe], self.backbone.pad_id)  # (2P, L)
        of_unsafe, of_safe = (self._rows(_cut(both, half)) for half in (slice(count), slice(count, None)))
        # Aligned, "safe" and "safe-2" are one: the safe prompt along the unsafe sequence.
        names = [name for name in self.objective.reads if name in sequences or name == "safe"]
        read = [of_unsafe if name == "unsafe" else of_safe for name in names]
        prompts = Tokens(  # (sequences · rows · P, L)
            torch.cat([tokens.ids for tokens in read]), torch.cat([tokens.mask for tokens in read])
        )
        step = len(of_unsafe)
        along = [sequences.get(name, sequences["unsafe"]).repeat(step // count, 1) for name in names]
        longest = torch.cat([of_unsafe.mask, of_safe.mask]).sum(dim=1).view(-1, count).amax(dim=0)  # (P,)
        lengths, ahead = longest.tolist(), of_unsafe.length - longest
        states = self._along(prompts, torch.cat(along), ahead.repeat(len(prompts) // count))
        for pair, length in enumerate(lengths):
            of_pair = {
                name: states.rows(slice(at * step + pair, (at + 1) * step, count))
                for at, name in enumerate(names)
            }
            if "safe" in of_pair:
                of_pair.setdefault("safe-2", of_pair["safe"])
            yield _cut(of_unsafe, slice(pair, None, count), slice(-length, None)), of_pair

    def _along(self, prompt: Tokens, sequences: Tensor, ahead: Tensor | None = None) -> States:
        """Frozen states of all steps of R prompts along R sequences, (R, T)."""
        with onednn_linears(self.backbone, rows=sequences.numel()):
            return self._states(prompt, sequences, 0, sequences.shape[1], self._empty(), ahead)

    def _before(self, example: Example, start: int) -> DynamicCache:
        cache = self._empty()
        if start:
            rows = len(example.prompt) * self._column(example.prompt, start)
            with torch.no_grad(), onednn_linears(self.backbone, rows):
                self._read(example, 0, start, cache)
        return cache

    def _read(self, example: Example, start: int, stop: int, cache: DynamicCache | None) -> States:
        assert cache is not None, "context is read into a cache"
        sequences = example.sequence.expand(len(example.prompt), -1)
        return self._states(example.prompt, sequences, start, stop, cache)

    def _states(
        self,
        prompt: Tokens,
        sequences: Tensor,
        start: int,
        stop: int,
        cache: DynamicCache,
        ahead: Tensor | None = None,
    ) -> States:
        """States of steps start … stop − 1 of R prompts along R sequences, (R, T).

        ``cache`` holds all before ``start`` and gets these steps too; ``ahead``, (R,), are columns of padding
        that two prompts have in common, which count for no position.
        """
        seen = sequences[:, max(start, 1) - 1 : stop - 1]
        parts = [self.backbone.embed_image(seen, max(start, 1) - 1)] if seen.shape[1] else []
        if not start:
            parts.insert(0, self.backbone.embed_text(prompt.ids))
        length, columns = prompt.length, self._column(prompt, stop)
        mask = torch.cat([prompt.mask, prompt.mask.new_ones(len(prompt), columns - length)], dim=1)
        # The same from begin_of_image on for prompts that were padded together.
        positions = torch.arange(self._column(prompt, start), columns, device=mask.device)[None]
        if ahead is not None:
            positions = (positions - ahead[:, None]).clamp_min(0)
        hidden = self.backbone.language_model(
            inputs_embeds=torch.cat(parts, dim=1),
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state  # (R, columns read, D)
        ends = self.backbone.layout.ends(max(start, 1), stop)
        if start:
            return States(None, hidden[:, ends])
        return States(hidden[:, length - 1 : length], hidden[:, length:][:, ends] if stop > 1 else None)

    def _backward(
        self, example: Example, bounds: list[tuple[int, int]], factors: Tensor, cache: DynamicCache | None
    ) -> None:
        assert cache is not None, "context is read into a cache"
        held = [(layer.keys, layer.values) for layer in cache.layers]  # of all columns, (R, H, S, d) each
        owed = [tuple(torch.zeros_like(part) for part in layer) for layer in held]
        parts = factors.split(self.micro_batch.size)
        for (at, end), part in zip(reversed(bounds), reversed(parts), strict=True):
            columns = slice(self._column(example.prompt, at), self._column(example.prompt, end))
            owes = at > bounds[0][0]  # to earlier micro-batches of the window
            before = [
                tuple(part[:, :, : columns.start].detach().requires_grad_(owes) for part in layer)
                for layer in held
            ]
            chunk = self._empty()
            if columns.start:
                for index, layer in enumerate(before):
                    chunk.update(*layer, index)
            loss = (self._losses(example, at, end, chunk) * part).sum()
            made = [part[:, :, columns] for layer in chunk.layers for part in (layer.keys, layer.values)]
            due = [part[:, :, columns] for layer in owed for part in layer]
            torch.autograd.backward([loss, *made], [None, *due])
            if owes:
                for debt, leaf in zip(chain(*owed), chain(*before), strict=True):
                    debt[:, :, : columns.start] += leaf.grad

    def _column(self, prompt: Tokens, step: int) -> int:
        """How many columns, of prompt and image, lie before those that a step reads."""
        return prompt.length + self.backbone.layout.columns[step - 1] if step else 0

    def _empty(self) -> DynamicCache:
        return DynamicCache(config=self.backbone.model.config.get_text_config())


class MixedContext(WithContext):
    """With the true context, along unsafe sequences that go on as the anchor's (context "mixed", "anchored").

    Rows of an example: the unsafe prompt along each of the pair's mixed sequences, then the anchor and the
    safe prompt along their own; in context "mixed" these two are one. Only the conditional rows: guidance
    subtracts the unconditional one, which goes on with whatever has been drawn so far and so pushes away from
    it.
    """

    def _examples(self, pairs: Sequence[Pair], sequences: Mapping[str, Tensor]) -> Iterator[Example]:
        count, steps = self.variant.cuts, self.backbone.num_image_tokens
        dtype, device = self.backbone.model.dtype, self.backbone.device
        unsafe_name, *kept_names = SEQUENCE_NAMES[self.variant.context]
        kept_sequences = torch.stack([sequences[name] for name in kept_names], dim=1)  # (P, 1 or 2, T)
        for pair, unsafe, kept in zip(pairs, sequences[unsafe_name], kept_sequences, strict=True):
            texts = [prompts_of(pair)[name] for name in (unsafe_name, *kept_names)]
            unsafe_ids, *kept_ids = unpadded(self.backbone.encode(texts, self.variant.encoding))
            prompt = left_padded([*[unsafe_ids] * count, *kept_ids], self.backbone.pad_id)
            cut = cuts(pair[0], count, steps).to(device)
            begun = torch.arange(steps, device=device) < cut[:, None]  # (J, T), as the unsafe sequence does
            along = torch.cat([torch.where(begun, unsafe, kept[0]), kept])  # (R, T)
            retained = torch.full((len(kept), steps), self.variant.retain, dtype=dtype, device=device)
            shares = torch.cat([(~begun).to(dtype) / count, retained])  # (R, T)
            states = self._along(prompt, along)
            frozen = {"unsafe": states, "kept": states.rows(slice(-len(kept), None))}
            yield self._example(prompt, along, frozen, shares)


def _cut(tokens: Tokens, rows: slice, columns: slice = slice(None)) -> Tokens:
    return Tokens(tokens.ids[rows, columns], tokens.mask[rows, columns])


READERS: dict[str, type[NoContext | WithContext]] = {
    "none": NoContext,
    "independent": WithContext,
    "aligned": WithContext,
    "mixed": MixedContext,
    "anchored": MixedContext,
}
"""Context → its reader."""
