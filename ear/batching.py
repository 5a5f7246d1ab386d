"""Work in batches as large as memory allows: the size is found by trying."""

import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

from ear.decoding import free_memory
from ear.errors import InputError

T = TypeVar("T")
R = TypeVar("R")
logger = logging.getLogger(__name__)


class BatchSize:
    """How many items are worked on at once: halved where memory runs out, and so for the rest of the job.

    Args:
        wanted: the size to begin with.
    """

    def __init__(self, wanted: int) -> None:
        self.wanted = self.size = wanted

    def each(self, items: Sequence[T], work: Callable[[Sequence[T]], R]) -> Iterator[R]:
        """Work on consecutive parts of ``items``, as large as memory allows; results in order.

        Args:
            items: what to work on.
            work: is called again, with fewer items, where it ran out of memory.

        Raises:
            InputError: memory runs out with a single item.
        """
        start = 0
        while start < len(items):
            part = items[start : start + self.size]
            done = True
            try:
                result = work(part)
            except (RuntimeError, MemoryError) as error:
                if not ran_out_of_memory(error):
                    raise
                done = False  # halve outside of the handler: until it ends, the traceback holds the tensors
            if done:
                yield result
                start += len(part)
            else:
                self._halve(len(part))

    def _halve(self, tried: int) -> None:
        if tried == 1:
            raise InputError(
                "batch size: found too little memory for 1 at a time, wanted a device with more memory, a "
                "smaller dtype (backbone.dtype) or fewer jobs beside this one"
            )
        self.size = tried // 2
        logger.warning("out of memory with %d at once: going on with %d", tried, self.size)
        gc.collect()
        free_memory()


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an error is a failed allocation, on whichever device (torch has no class for the CPU's)."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
