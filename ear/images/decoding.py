"""The decoding step: one image token a row through the language model, with a key-value cache.

On the CPU the step is transformers' own code, with faster kernels and a cache that reads no more memory than
it must. On a GPU it is compiled into one CUDA graph, for which every shape stands still: batches of any size
and prompts of any length share the few shapes that :mod:`ear.models.memory` pads them to, and the cache of
the last shape is used again. Where a GPU's step cannot be compiled, it runs as it is.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import Cache, StaticCache
from transformers.cache_utils import DynamicLayer

from ear.errors import FULL, one_line
from ear.models.backbone import Backbone, Tokens
from ear.models.device import ran_out_of_memory
from ear.models.memory import padded_columns, padded_images
from ear.workflow.machine import missing_for_compiling

MANY_ROWS = 32  # with fewer, oneDNN costs more than it saves


@contextmanager
def onednn_linears(backbone: Backbone, rows: int) -> Iterator[None]:
    """Linear layers of the language model go through oneDNN, as compiled models' do, without gradient.

    On processors that are not Intel's, MKL leaves half of their vector units idle: 1.3 to 2.2 times faster on
    an AMD EPYC for 100 to 2 600 rows of width 128. Only in float32 on the CPU, for many ``rows`` at once.
    """
    suits = backbone.device.type == "cpu" and backbone.model.dtype == torch.float32
    if rows < MANY_ROWS or not suits or not torch.backends.mkldnn.is_available():
        yield
        return
    with torch.no_grad():
        for linear in backbone.linears:
            linear.forward = partial(_linear, linear)  # type: ignore[method-assign]
        try:
            yield
        finally:
            for linear in backbone.linears:
                del linear.forward


def _linear(linear: nn.Linear, inputs: Tensor) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(inputs, linear.weight, linear.bias, "none", [], "")


CPU_BLOCK = 16  # columns by which a cache is made wider
MOST_SHAPES = 48  # compiled ones that are kept; torch itself gives up on a function after many more

logger = logging.getLogger(__name__)

_static_caches: WeakKeyDictionary[nn.Module, tuple[tuple[int, int], StaticCache]] = WeakKeyDictionary()
_shapes: set[tuple[int, int, int]] = set()  # (model, rows, columns) that the step was compiled for
_uncompiled: list[str] = []  # why this process compiles no longer: nothing, or one reason


class NotCompiledError(Exception):
    """The step could not be compiled; from now on this process runs it as it is. Begin the batch again."""


class Decoder:
    """Reads prompts, then one of T image tokens a step, with the forced tokens behind it.

    The R left-padded prompts are one of each image, then the next of each image, and so on.
    """

    def __init__(self, backbone: Backbone, rows: Tokens, steps: int, per_image: int) -> None:
        read = backbone.layout.columns[steps - 1]  # columns of the image
        options = {} if _uncompiled else compile_options(backbone.device)
        still = bool(options) or backbone.device.type == "cuda"  # whether every shape stands still
        self._backbone = backbone
        self._count = len(rows)
        self._options = options
        if still:
            rows = _padded(rows, per_image * padded_images(len(rows) // per_image))
            self._width = padded_columns(rows.length, read)  # N columns
            self._block = self._width
            self._cache = _static_cache(backbone, len(rows), self._width)
        else:
            self._width = _rounded(rows.length + read, CPU_BLOCK)
            self._block = CPU_BLOCK
            layers = backbone.model.config.get_text_config().num_hidden_layers
            self._cache = Cache(layers=[_BlockLayer() for _ in range(layers)])
        self._rows = rows
        # Added to the attention's scores: 0 where a column is seen. Made once, not anew in each step.
        self._hidden = torch.finfo(backbone.model.dtype).min
        self._mask = torch.full(
            (len(rows), 1, 1, self._width), self._hidden, dtype=backbone.model.dtype, device=backbone.device
        )
        self._mask[..., : rows.length].masked_fill_(rows.mask[:, None, None].bool(), 0)
        self._seen = rows.length
        self._step = 0
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
        return self._backbone.image_logits(hidden[: self._count])

    def read(self, codes: Tensor) -> Tensor:
        """Logits of the next image token: (R,) codebook indices → (R, V), good until the next call.

        Raises:
            NotCompiledError: the step cannot be compiled here.
        """
        if len(self._rows) > self._count:
            codes = functional.pad(codes, (0, len(self._rows) - self._count))
        logits = self._read(self._backbone.image_ids(codes))
        self._step += 1
        for word in self._backbone.layout.forced.get(self._step, ()):
            logits = self._read(torch.full_like(codes, word))
        return logits[: self._count]

    def _read(self, ids: Tensor) -> Tensor:
        """Logits behind one more column of the image."""
        self._mask[..., self._seen] = 0
        self._seen += 1
        width = _rounded(self._seen, self._block)
        step = self._compiled if self._options else decoding_step
        logits = step(self._backbone, ids, self._mask[..., :width], self._positions, self._cache)
        self._positions = self._positions + 1
        return logits

    def _compiled(self, *inputs: Any) -> Tensor:
        """The compiled step; where its shape is new, it is compiled first."""
        shape = (id(self._backbone.model), len(self._rows), self._width)
        if shape not in _shapes and len(_shapes) >= MOST_SHAPES:
            forget_compiled()
        _shapes.add(shape)
        torch.compiler.cudagraph_mark_step_begin()
        try:
            return _compiled_step(**self._options)(*inputs)
        except Exception as error:
            cause = getattr(error, "inner_exception", error)  # a compiler's backend's, which torch wraps
            if ran_out_of_memory(error) or getattr(cause, "errno", None) in FULL:
                raise
            _give_up_compiling(f"torch could not compile it: {type(cause).__name__}: {one_line(cause)}")
            forget_compiled()
            raise NotCompiledError from error


def decoding_step(backbone: Backbone, ids: Tensor, mask: Tensor, positions: Tensor, cache: Cache) -> Tensor:
    """Logits (R, V) of a model after one more column of an image in each row.

    Ids (R,), as ``Backbone.embed_columns`` takes them, and positions (R, 1) are int64; the mask (R, 1, 1, N)
    is added to the attention's scores.
    """
    hidden = backbone.language_model(
        inputs_embeds=backbone.embed_columns(ids[:, None]),
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
    ).last_hidden_state[:, -1]
    return backbone.image_logits(hidden)


def compile_options(device: torch.device) -> dict[str, Any]:
    """Options of ``torch.compile``; none where the step stays as it is: on the CPU, or without a compiler."""
    if device.type != "cuda":
        return {}
    if missing := missing_for_compiling():
        _give_up_compiling(missing)
        return {}
    return {"mode": "reduce-overhead"}


@contextmanager
def cpu_kernels(backbone: Backbone, rows: int) -> Iterator[None]:
    """The faster kernels for a batch of rows of one query in float32 on the CPU.

    Attention by plain matrix products is a sixth faster than the fused kernel (in float32 alone: transformers
    has its softmax in float32, whatever the model's dtype is).
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


def kept_bytes(backbone: Backbone) -> int:
    """Bytes of the static cache that is kept for the next batch, or given up where that has another shape."""
    _, found = _static_caches.get(backbone.model, ((0, 0), None))
    layers = found.layers if found else []
    return sum(layer.keys.nbytes + layer.values.nbytes for layer in layers if layer.is_initialized)


def free_memory() -> None:
    """Give back what is kept between batches: caches and the allocator's free blocks."""
    _static_caches.clear()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def forget_compiled() -> None:
    """Give up compiled code, its CUDA graphs and their memory; what is needed is compiled again."""
    if _shapes:
        _shapes.clear()
        torch.compiler.reset()


class _BlockLayer(DynamicLayer):
    """Keys and values of one layer in memory that grows by ``CPU_BLOCK`` columns, those not yet filled zero.

    Decoding on the CPU is bound by reading the cache: growing token by token copies it each time, a cache of
    full width is read whole each time, and a view of its filled part is slower still.
    """

    filled = 0

    def update(self, keys: Tensor, values: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(keys, values)
            self.keys, self.values = keys[:, :, :0], values[:, :, :0]
        stop = self.filled + keys.shape[2]
        if more := _rounded(stop, CPU_BLOCK) - self.keys.shape[2]:
            self.keys = functional.pad(self.keys, (0, 0, 0, more))
            self.values = functional.pad(self.values, (0, 0, 0, more))
        self.keys[:, :, self.filled : stop] = keys
        self.values[:, :, self.filled : stop] = values
        self.filled = stop
        return self.keys, self.values  # (R, heads, columns, D / heads)


@cache
def _compiled_step(**options: Any) -> Any:
    # By default torch ends the job at the ninth shape.
    settings = {"fullgraph": True, "dynamic": False, "recompile_limit": 4 * MOST_SHAPES, **options}
    return torch.compile(decoding_step, **settings)


def _give_up_compiling(reason: str) -> None:
    _uncompiled.append(reason)
    logger.warning(
        "decoding runs without compilation, which costs about 0.8 ms a decoder layer (24 ms a token of "
        "Janus-Pro-7B): %s",
        reason,
    )


def _padded(rows: Tokens, count: int) -> Tokens:
    """Rows with copies of the last one below them, ``count`` in all; what they give is dropped."""
    rows_of = torch.arange(count, device=rows.ids.device).clamp_max(len(rows) - 1)
    return Tokens(rows.ids[rows_of], rows.mask[rows_of])


def _static_cache(backbone: Backbone, rows: int, width: int) -> StaticCache:
    """An empty cache; the last one where its shape fits, since a CUDA graph holds its addresses."""
    shape, found = _static_caches.get(backbone.model, ((0, 0), None))
    if shape == (rows, width):
        found.reset()
        return found
    _static_caches.pop(backbone.model, None)  # before the next one is made: one of them at a time
    found = None  # else the old one lives on in this frame
    if backbone.device.type == "cuda":
        torch.cuda.empty_cache()  # while a graph is warmed up, torch gives no unused blocks back
    made = StaticCache(config=backbone.model.config.get_text_config(), max_cache_len=width)
    _static_caches[backbone.model] = (rows, width), made
    return made


def _rounded(count: int, block: int) -> int:
    """``count`` rounded up to a multiple of ``block``."""
    return -(-count // block) * block
