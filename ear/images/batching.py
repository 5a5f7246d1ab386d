"""Work in batches as large as memory allows: begun with what should fit, and halved where it does not."""

import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import TypeVar

import torch

from ear.errors import InputError
from ear.images.decoding import forget_compiled, free_memory, kept_bytes
from ear.models import memory
from ear.models.backbone import Backbone
from ear.models.device import free_bytes, ran_out_of_memory
from ear.models.memory import Dimensions

T = TypeVar("T")
R = TypeVar("R")
logger = logging.getLogger(__name__)


class BatchSize:
    """How many items are worked on at once: halved where memory runs out, and so for the rest of the job.

    Each kind of work has one of its own: what is too much for one is not for another.
    """

    def __init__(self, wanted: int) -> None:
        self.wanted = self.size = wanted

    def each(
        self, items: Sequence[T], work: Callable[[Sequence[T]], R], fits: int | None = None
    ) -> Iterator[R]:
        """Work on consecutive parts of ``items``, as large as memory allows; results in order.

        Args:
            items: what to work on.
            work: is called again, with fewer items, where it ran out of memory.
            fits: how many of these items should fit; None where that is not known.

        Raises:
            InputError: memory runs out with a single item.
        """
        start = 0
        while start < len(items):
            part = items[start : start + min(self.size, fits or self.size)]
            try:
                result = work(part)
            except Exception as error:
                if not ran_out_of_memory(error):
                    raise
            else:
                yield result
                start += len(part)
                continue
            self.halve(len(part))  # not in the handler: until it ends, the traceback holds the tensors

    def halve(self, tried: int) -> None:
        """Go on with half of the size that memory ran out with. Call it outside of the error's handler."""
        if tried == 1:
            raise InputError(
                "GPU memory: found too little for a batch of 1, wanted more: use a larger GPU, a smaller "
                "backbone.dtype, or fewer jobs at once"
            )
        self.size = tried // 2
        logger.warning("out of memory with batches of %d: continuing with %d", tried, self.size)
        gc.collect()
        forget_compiled()
        free_memory()


def dimensions(backbone: Backbone) -> Dimensions:
    """Shape of a backbone that is loaded."""
    text = backbone.model.config.get_text_config()
    return Dimensions(
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        intermediate=text.intermediate_size,
        heads=text.num_attention_heads,
        key_value_heads=text.num_key_value_heads,
        head_size=getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads,
        image_tokens=backbone.num_image_tokens,
        image_columns=backbone.layout.columns[-2],
        codebook=backbone.codebook_size,
        family=backbone.family,
        image_size=int(prod(backbone.image_size) ** 0.5),
        value_bytes=backbone.model.dtype.itemsize,
        loaded=sum(parameter.numel() for parameter in backbone.model.parameters()),
    )


def fitting(backbone: Backbone, wanted: int, need: Callable[[Dimensions, int], float]) -> int:
    """The largest size up to ``wanted`` that a GPU has free memory for; on the CPU ``wanted`` itself.

    The cache of the last drawing is given up first. ``need`` gives bytes beside the weights, by the shape of
    the backbone and the size (``ear.models.memory``).
    """
    if backbone.device.type != "cuda":
        return wanted
    free_memory()
    shape = dimensions(backbone)
    size = memory.largest(wanted, free_bytes(backbone.device), lambda size: need(shape, size))
    if size < wanted:
        logger.info("batches of %d instead of %d fit into the device's free memory", size, wanted)
    return size


def drawn_at_once(backbone: Backbone, wanted: int, per_image: int, length: int) -> int:
    """As :func:`fitting`, for images of ``per_image`` guidance rows and prompts of up to ``length`` tokens.

    Unconditional rows may be longer. The last cache stays: it is used again where its shape is asked for.
    """
    if backbone.device.type != "cuda":
        return wanted
    shape = dimensions(backbone)
    free = free_bytes(backbone.device) + kept_bytes(backbone)
    longest = max(length, len(backbone.unconditional(torch.zeros(length, dtype=torch.long))))
    return memory.largest(wanted, free, lambda size: memory.drawing(shape, size, per_image, longest))
