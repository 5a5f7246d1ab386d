"""Device memory: what each kind of work needs, and how much of it fits. Arithmetic alone, without torch.

The decoder, the batch sizes and the plan all ask here, so that what is planned is what is run. Needs are
bytes beside the weights. They are upper estimates for a GPU: attention without a gradient is counted as a
fused kernel runs it, attention with one as plain matrix products in float32, which torch falls back to.

Arguments are alike throughout: ``shape`` of the backbone; ``length``, tokens of the longest prompt;
``layers``, whose attention is trained or, where ``rank`` is not 0, low-rank factors of all linear layers;
``rows``, of guidance or of a pair, that go through at once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

WIDTH_BLOCK = 128
"""Columns by which a cache of fixed width is made wider."""


class Decoder(NamedTuple):
    """Cost of a family's decoder from image tokens to pixels."""

    pictures: int  # decoded at once on a GPU
    values: int  # of a pixel, in the tensors that are held at once where they are widest
    operations: float  # of a pixel


DECODERS = {
    "janus": Decoder(16, 4 * 128, 0.57e12 / 384**2),  # four tensors of 128 channels
    "emu3": Decoder(1, 4 * 4 * 256, 63e12 / 720**2),  # of 256 channels and four frames
    "liquid": Decoder(16, 4 * 128, 0.57e12 / 384**2),
}
"""Family → its decoder: ``ear.models.catalogue.Shape``."""
PAIRS_AT_ONCE, PAIR_ROWS = 8, 6
"""Pairs whose frozen states are read in one pass, and rows of each at most: three sequences of two rows."""
USABLE = 0.95
"""Share of the free memory that is planned with; the allocator loses some between its blocks."""

FLOAT, DOUBLE = 4, 8  # bytes of a float32 and a float64
VISION_BYTES = 0.1e9  # a picture in the vision tower, of 576 patches


@dataclass(frozen=True, kw_only=True)
class Dimensions:
    """Shape of a backbone: of its decoder, and ``loaded``, weights of the whole model."""

    layers: int
    hidden: int
    intermediate: int  # width of an MLP
    heads: int
    key_value_heads: int
    head_size: int
    image_tokens: int
    image_columns: int  # tokens of an image that are read, forced ones among them, when all are drawn
    codebook: int
    image_size: int  # pixels a side
    family: str = "janus"
    value_bytes: int  # of a weight or an activation
    loaded: int

    @property
    def parameters(self) -> int:
        """Weights that a step reads: decoder layers and image head."""
        layer = self.projections + 3 * self.hidden * self.intermediate
        return self.layers * layer + self.hidden * (self.hidden + self.codebook)

    @property
    def projections(self) -> int:
        """Weights of a layer's attention: q, k, v and o."""
        return 2 * self.hidden * self.head_size * (self.heads + self.key_value_heads)

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weights that a step reads."""
        return self.parameters * self.value_bytes

    @property
    def loaded_bytes(self) -> int:
        """Bytes of all weights."""
        return self.loaded * self.value_bytes

    @property
    def cached_bytes(self) -> int:
        """Keys and values of one token of one row, in all layers."""
        return 2 * self.layers * self.key_value_heads * self.head_size * self.value_bytes

    def trained_bytes(self, layers: int, rank: int = 0) -> int:
        """The edited weights: attention projections of so many layers, or factors, in float32, of a rank."""
        if not rank:
            return layers * self.projections * self.value_bytes
        attention = self.head_size * (self.heads + self.key_value_heads)
        ends = 2 * (2 * self.hidden + attention) + 3 * (self.hidden + self.intermediate)
        return layers * rank * ends * FLOAT


def padded_images(images: int) -> int:
    """Images that a batch of fixed shape is padded to, so that few shapes are compiled: a power of two."""
    return 1 << (images - 1).bit_length()


def padded_columns(length: int, read: int) -> int:
    """Columns of a cache of fixed width: ``length`` of the prompt and those of the image that are read."""
    return -(-(length + read) // WIDTH_BLOCK) * WIDTH_BLOCK


def drawing(shape: Dimensions, images: int, rows: int, length: int) -> float:
    """Sampling a batch of images, each in so many rows, and decoding it to pixels."""
    images = padded_images(images)
    lanes, columns = rows * images, padded_columns(length, shape.image_columns)
    prompt = _passed(shape, lanes, length, columns)
    chosen = lanes * shape.codebook * FLOAT + 3 * images * shape.codebook * DOUBLE
    decoder = DECODERS[shape.family]
    pixels = min(images, decoder.pictures) * shape.image_size**2 * decoder.values * shape.value_bytes
    return lanes * columns * shape.cached_bytes + max(prompt, chosen, pixels)


def frozen_states(shape: Dimensions, rows: int, length: int) -> float:
    """Reading the frozen model's states along whole images: cache, one layer's pass, states."""
    columns = length + shape.image_columns
    states = 2 * rows * columns * shape.hidden * shape.value_bytes  # the teacher's are made from them
    logits = 4 * shape.image_tokens * shape.codebook * FLOAT  # of one pair at a time
    return rows * columns * shape.cached_bytes + _passed(shape, rows, columns, columns) + states + logits


def training(
    shape: Dimensions,
    rows: int,
    micro_batch: int,
    length: int,
    layers: int,
    rank: int = 0,
    moments: bool = True,
) -> float:
    """Erasing: the activations of ``micro_batch`` image tokens of a window, and all that is held beside them.

    Of Adam that is two ``moments`` of each weight too. Teacher states wait in the machine's own memory.
    """
    columns = length + shape.image_columns
    tokens = min(micro_batch, shape.image_tokens) + length  # the first one reads the prompt too
    # θ*, the gradient, a temporary of the optimiser's step, and the moments; of factors themselves too, and a
    # copy in the model's dtype.
    copies = 3 + 2 * moments + 2 * (rank > 0)
    weights = copies * shape.trained_bytes(layers, rank)
    caches = 3 * rows * columns * shape.cached_bytes  # what a window reads, its gradient, and a copy
    logits = 4 * rows * tokens * shape.codebook * FLOAT
    return _saved(shape, rows, tokens, columns, layers, rank) + weights + caches + logits


def answering(shape: Dimensions, images: int, length: int, answer: int) -> float:
    """Captions of images, or answers about them, of so many tokens; 0 for a question that one pass answers.

    The length counts the tokens of the picture.
    """
    cache = images * (length + answer) * shape.cached_bytes
    layer = cache / shape.layers  # a layer's keys and values are copied when a token is added
    return cache + layer + max(images * VISION_BYTES, _passed(shape, images, length, length))


def relearning(shape: Dimensions, images: int, length: int, layers: int, parts: int) -> float:
    """Benign fine-tuning on whole images; the gradients of a step's ``parts`` are held until it is taken."""
    weights = shape.trained_bytes(layers)
    masters = 5 * weights * FLOAT / shape.value_bytes  # float32: weights, moments, gradient, a temporary
    return gradients(shape, images, length, shape.image_tokens, layers) + parts * weights + masters


def gradients(shape: Dimensions, images: int, length: int, tokens: int, layers: int = 0) -> float:
    """A forward and a backward pass over the first ``tokens`` image tokens of images, and their logits.

    No layer is trained where the gradient is the prompt's.
    """
    columns = length + tokens * shape.image_columns // shape.image_tokens
    logits = images * tokens * shape.codebook * (3 * FLOAT + shape.value_bytes)
    return _saved(shape, images, columns, columns, layers) + logits


def largest(wanted: int, free: float, need: Callable[[int], float]) -> int:
    """The largest size up to ``wanted`` whose need, in bytes, fits into the free ones.

    1 where none does, which is then tried all the same.
    """
    return next((size for size in range(wanted, 1, -1) if need(size) <= USABLE * free), 1)


def _passed(shape: Dimensions, rows: int, tokens: int, columns: int) -> float:
    """One layer's tensors in a pass without a gradient: ``tokens`` new ones that see ``columns`` in all."""
    width = shape.heads * shape.head_size
    sequence = (3 * FLOAT + 2 * shape.value_bytes) * shape.hidden  # the norm's in float32
    layer = max(4 * width, 3 * shape.intermediate) * shape.value_bytes
    mask = 2 * columns * shape.value_bytes
    return rows * tokens * (sequence + layer + mask)


def _saved(shape: Dimensions, rows: int, tokens: int, columns: int, trained: int, rank: int = 0) -> float:
    """What all layers save for the backward pass, and one layer more for its temporaries.

    A layer saves, in float32, the inputs of its two norms, its attention's queries, keys and values and the
    weights of the attention; in the model's dtype the three inner tensors of its MLP and, where its
    projections are trained, their inputs: with LoRA those of all its linear layers, and what A makes of them.
    """
    width = shape.heads * shape.head_size
    in_float = FLOAT * (2 * shape.hidden + 2 + width + shape.heads * (columns + 1))
    in_dtype = shape.value_bytes * (3 * shape.intermediate + columns / shape.layers)  # and the mask
    layer = rows * (tokens * (in_float + in_dtype) + columns * 2 * FLOAT * width)
    inputs = rows * tokens * (shape.hidden + width) * shape.value_bytes
    if rank:
        inputs += rows * tokens * (shape.hidden + shape.intermediate + 7 * rank) * shape.value_bytes
    return (shape.layers + 1) * layer + trained * inputs + rows * tokens * FLOAT * 2 * shape.hidden
