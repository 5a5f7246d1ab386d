"""The decoding step: one image token a row through the language model, with a key-value cache.

On the CPU the step is transformers' own code, with faster kernels and a cache that reads no more memory than
it must. On a GPU it is compiled into one CUDA graph, for which every shape stands still: prompts of any
length share the few widths that ``GPU_BLOCK`` leaves, and the cache of the last shape is used again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from transformers import Cache, StaticCache
from transformers.cache_utils import DynamicLayer

from ear.janus import Backbone, Tokens
from ear.kernels import onednn_linears

CPU_BLOCK, GPU_BLOCK = 16, 128  # columns by which a cache is made wider

_static_caches: WeakKeyDictionary[nn.Module, tuple[tuple[int, int], StaticCache]] = WeakKeyDictionary()


class Decoder:
    """Reads prompts, then one image token a step.

    Args:
        backbone: the model.
        rows: R left-padded prompts.
        steps: T, image tokens that will be drawn.
    """

    def __init__(self, backbone: Backbone, rows: Tokens, steps: int) -> None:
        options = compile_options(backbone.device)
        self._backbone = backbone
        self._rows = rows
        self._width = _rounded(rows.length + steps - 1, GPU_BLOCK if options else CPU_BLOCK)  # N columns
        if options:
            self._step = _compiled_step(**options)
            self._block = self._width
            self._cache = _static_cache(backbone, len(rows), self._width)
        else:
            self._step = decoding_step
            self._block = CPU_BLOCK
            layers = backbone.model.config.get_text_config().num_hidden_layers
            self._cache = Cache(layers=[_BlockLayer() for _ in range(layers)])
        # Added to the attention's scores: 0 where a column is seen. Made once, not anew in each step.
        self._hidden = torch.finfo(backbone.model.dtype).min
        self._mask = torch.full(
            (len(rows), 1, 1, self._width), self._hidden, dtype=backbone.model.dtype, device=backbone.device
        )
        self._mask[..., : rows.length].masked_fill_(rows.mask[:, None, None].bool(), 0)
        self._seen = rows.length
        self._positions = rows.mask.sum(dim=1, keepdim=True)  # (R, 1) of the next token

    def read_prompts(self) -> Tensor:
        """Logits of the first image token: (R, V)."""
        rows, length = self._rows, self._rows.length
        width = _rounded(length, self._block)
        later = torch.ones(length, width, dtype=torch.bool, device=rows.ids.device).triu(1)  # (L, width)
        hidden = self._backbone.language_model(
            inputs_embeds=self._backbone.embed_text(rows.ids),
            attention_mask=self._mask[..., :width].masked_fill(later, self._hidden),  # (R, 1, L, width)
            position_ids=(rows.mask.cumsum(dim=1) - 1).clamp_min(0),
            past_key_values=self._cache,
        ).last_hidden_state[:, -1]
        return self._backbone.image_logits(hidden)

    def read(self, codes: Tensor) -> Tensor:
        """Logits of the next image token: (R,) codebook indices → (R, V), good until the next call."""
        self._mask[..., self._seen] = 0
        self._seen += 1
        width = _rounded(self._seen, self._block)
        torch.compiler.cudagraph_mark_step_begin()
        logits = self._step(
            self._backbone.model, codes, self._mask[..., :width], self._positions, self._cache
        )
        self._positions = self._positions + 1
        return logits


def decoding_step(model: Any, codes: Tensor, mask: Tensor, positions: Tensor, cache: Cache) -> Tensor:
    """Logits (R, V) after one more image token in each row.

    Args:
        model: transformers' Janus model.
        codes: (R,) int64 codebook indices.
        mask: (R, 1, 1, N), added to the attention's scores.
        positions: (R, 1) int64.
        cache: keys and values of all tokens before.
    """
    hidden = model.model.language_model(
        inputs_embeds=model.prepare_embeddings_for_image_generation(codes[:, None]),
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
    ).last_hidden_state[:, -1]
    return model.model.generation_head(hidden)


def compile_options(device: torch.device) -> dict[str, Any]:
    """Options of ``torch.compile``, none where the step stays as it is: no CPU is sure to have a compiler."""
    return {"mode": "reduce-overhead"} if device.type == "cuda" else {}


@contextmanager
def cpu_kernels(backbone: Backbone, rows: int) -> Iterator[None]:
    """The faster kernels for many rows of one query in float32 on the CPU; anything else stays as it is.

    Attention by plain matrix products is a sixth faster than the fused kernel (in float32 alone: transformers
    has its softmax in float32, whatever the model's dtype is). For linear layers see
    :func:`~ear.kernels.onednn_linears`.

    Args:
        backbone: the model.
        rows: of the batch.
    """
    model = cast(Any, backbone.language_model)
    if backbone.device.type != "cpu" or backbone.model.dtype != torch.float32:
        yield
        return
    attention = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        with onednn_linears(backbone, rows):
            yield
    finally:
        model.set_attn_implementation(attention)


def free_memory() -> None:
    """Give back what is kept between batches: static caches, CUDA graphs, the allocator's free blocks."""
    _static_caches.clear()
    if torch.cuda.is_available():
        torch.compiler.reset()
        torch.cuda.empty_cache()


class _BlockLayer(DynamicLayer):
    """Keys and values of one layer in memory that grows by ``CPU_BLOCK`` columns.

    Decoding on the CPU is bound by reading the cache. Growing token by token copies it each time, a cache of
    full width is read whole each time, and a view of its filled part is slower still, since gaps stop the
    processor from reading ahead. Columns not yet filled are zero and must be masked.
    """

    filled = 0

    def update(self, keys: Tensor, values: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(keys, values)
            self.keys, self.values = keys[:, :, :0], values[:, :, :0]
        stop = self.filled + keys.shape[2]
        if stop > self.keys.shape[2]:
            self.keys = self._grown(self.keys, _rounded(stop, CPU_BLOCK))
            self.values = self._grown(self.values, _rounded(stop, CPU_BLOCK))
        self.keys[:, :, self.filled : stop] = keys
        self.values[:, :, self.filled : stop] = values
        self.filled = stop
        return self.keys, self.values  # (R, heads, columns, D / heads)

    def _grown(self, old: Tensor, columns: int) -> Tensor:
        rows, heads, _, width = old.shape
        new = old.new_zeros(rows, heads, columns, width)
        new[:, :, : self.filled] = old[:, :, : self.filled]
        return new


@cache
def _compiled_step(**options: Any) -> Any:
    return torch.compile(decoding_step, fullgraph=True, dynamic=False, **options)


def _static_cache(backbone: Backbone, rows: int, width: int) -> StaticCache:
    """An empty cache; the last one where its shape fits, since a CUDA graph holds its addresses."""
    shape, found = _static_caches.get(backbone.model, ((0, 0), None))
    if shape == (rows, width):
        found.reset()
        return found
    _static_caches.pop(backbone.model, None)  # before the next one is made: one of them at a time
    made = StaticCache(config=backbone.model.config.get_text_config(), max_cache_len=width)
    _static_caches[backbone.model] = (rows, width), made
    return made


def _rounded(count: int, block: int) -> int:
    """``count`` rounded up to a multiple of ``block``."""
    return -(-count // block) * block
