"""Batches are halved where memory runs out, and nothing else changes."""

import logging

import pytest
import torch

from ear.errors import InputError
from ear.images import batching
from ear.images.batching import BatchSize, drawn_at_once, fitting
from ear.models.memory import answering, relearning
from tests.tiny import tiny_backbone
from tests.unit.models.test_memory import JANUS_7B


def limited(limit, error):
    """Work that fails with more than ``limit`` items; it notes the sizes it was tried with."""
    tried = []

    def work(items):
        tried.append(len(items))
        if len(items) > limit:
            raise error
        return list(items)

    return work, tried


def test_the_size_is_halved_and_stays_so(caplog):
    work, tried = limited(3, MemoryError())
    batch_size = BatchSize(10)
    with caplog.at_level(logging.WARNING):
        assert [item for part in batch_size.each(range(11), work) for item in part] == list(range(11))
        assert [item for part in batch_size.each(range(5), work) for item in part] == list(range(5))
    assert tried == [10, 5, 2, 2, 2, 2, 2, 1, 2, 2, 1]
    assert caplog.messages == [
        "out of memory with batches of 10: continuing with 5",
        "out of memory with batches of 5: continuing with 2",
    ]


def test_a_single_item_that_does_not_fit_is_one_line():
    work, tried = limited(0, MemoryError())
    with pytest.raises(InputError, match="found too little for a batch of 1") as caught:
        list(BatchSize(4).each("abcd", work))
    assert tried == [4, 2, 1]
    assert "\n" not in str(caught.value)


def backend_failed(inner):
    """As a compiler's backend raises it: without a cause."""
    return torch._dynamo.exc.BackendCompilerFailed(lambda: None, inner, None)


def raised_from(inner, error):
    error.__cause__ = inner
    return error


def raised_while(inner, error):
    error.__context__ = inner
    return error


FAILED_ALLOCATIONS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory: 12 (…)"),
    torch.AcceleratorError("CUDA error: out of memory\nCompile with `TORCH_USE_CUDA_DSA`"),
    RuntimeError("CUDA driver error: out of memory"),
    RuntimeError("Triton Error [CUDA]: out of memory"),
    RuntimeError("HIP out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear if you passed in a non-c…"),
    RuntimeError("std::bad_alloc"),
    OSError(12, "Cannot allocate memory"),
    backend_failed(RuntimeError("CUDA error: out of memory")),
    raised_while(torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("operation not permitted")),
    raised_from(backend_failed(MemoryError()), ValueError("compiling failed")),
]
NEAR_MISSES = [
    RuntimeError("CUDA error: an illegal memory access was encountered"),
    RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
    RuntimeError("out of resource: shared memory, Required: 262144, Hardware limit: 232448."),
    ValueError("prompt 'CUDA out of memory, oil on canvas': not a prompt"),
    OSError(28, "No space left on device"),
    backend_failed(RuntimeError("Failed to find C compiler")),
    raised_from(MemoryError(), InputError("GPU memory: found too little for a batch of 1")),
    raised_from(ValueError("no"), raised_while(MemoryError(), RuntimeError("shapes do not match"))),
]


@pytest.mark.parametrize("error", FAILED_ALLOCATIONS, ids=lambda error: str(error)[:40] or "MemoryError")
def test_every_failed_allocation_is_known(error):
    work, tried = limited(2, error)
    assert [item for part in BatchSize(4).each(range(4), work) for item in part] == [0, 1, 2, 3]
    assert tried == [4, 2, 2]


@pytest.mark.parametrize("error", NEAR_MISSES, ids=lambda error: str(error)[:40])
def test_other_errors_are_no_failed_allocation(error):
    work, tried = limited(2, error)
    with pytest.raises(type(error)):
        list(BatchSize(4).each(range(4), work))
    assert tried == [4]


def test_no_more_is_tried_than_fits():
    work, tried = limited(100, MemoryError())
    batch_size = BatchSize(8)
    assert [item for part in batch_size.each(range(7), work, fits=3) for item in part] == list(range(7))
    assert [item for part in batch_size.each(range(9), work, fits=64) for item in part] == list(range(9))
    assert tried == [3, 3, 1, 8, 1]
    assert batch_size.size == 8  # what fits one batch says nothing of the next


class OnGpu:
    """A backbone of Janus-Pro-7B's shape, on a GPU that is not there."""

    device = torch.device("cuda")
    twin = 0  # tokens of the unconditional row; of most families as many as of the prompt

    def unconditional(self, ids):
        return ids.new_zeros(self.twin or len(ids))


@pytest.fixture
def card(monkeypatch):
    """Sets the free memory of the GPU, in bytes, and of the cache that is kept for the next batch."""
    events = []
    monkeypatch.setattr(batching, "dimensions", lambda backbone: JANUS_7B)
    monkeypatch.setattr(batching, "free_memory", lambda: events.append("freed"))

    def with_free(free, kept=0.0):
        monkeypatch.setattr(batching, "free_bytes", lambda device: free)
        monkeypatch.setattr(batching, "kept_bytes", lambda backbone: kept)
        events.clear()
        return events

    return with_free


@pytest.mark.parametrize(("free", "images"), [(10e9, 8), (27e9, 32), (69e9, 64)])
def test_as_many_are_drawn_as_the_gpu_has_room_for(card, free, images):
    events = card(free)
    assert drawn_at_once(OnGpu(), 64, 2, length=65) == images
    assert drawn_at_once(OnGpu(), 5, 2, length=65) == 5
    card(free / 3, kept=free * 2 / 3)  # the last batch's cache makes room for the next
    assert drawn_at_once(OnGpu(), 64, 2, length=65) == images
    assert events == []
    longer = OnGpu()
    longer.twin = 65
    assert drawn_at_once(longer, 64, 2, length=6) == images


def test_other_work_gives_up_the_cache_of_the_last_drawing(card):
    events = card(69e9, kept=40e9)
    assert fitting(OnGpu(), 50, lambda shape, images: answering(shape, images, 676, 48)) == 50
    assert events == ["freed"]
    card(9e9)
    assert fitting(OnGpu(), 50, lambda shape, images: answering(shape, images, 676, 48)) == 18
    assert fitting(OnGpu(), 8, lambda shape, images: relearning(shape, images, 40, 5, 1)) == 1


def test_on_the_cpu_the_config_holds():
    backbone = tiny_backbone()
    assert fitting(backbone, 128, lambda shape, size: 1e99) == 128
    assert drawn_at_once(backbone, 64, 2, 10**6) == 64


def test_the_shape_of_a_loaded_backbone():
    backbone = tiny_backbone(hidden=32, heads=4, key_value_heads=2, layers=3, grid=3, codes=32)
    shape = batching.dimensions(backbone)
    assert (shape.layers, shape.hidden, shape.intermediate) == (3, 32, 64)
    assert (shape.heads, shape.key_value_heads, shape.head_size) == (4, 2, 8)
    assert (shape.image_tokens, shape.codebook, shape.image_size, shape.value_bytes) == (9, 32, 24, 4)
    assert shape.loaded_bytes == sum(one.nbytes for one in backbone.model.parameters())


def test_memory_is_free_again_before_the_next_try():
    alive = []

    class Held:
        def __init__(self):
            alive.append(self)

        def __del__(self):
            freed.append(len(tried))

    freed, tried = [], []

    def work(items):
        tried.append(len(items))
        held = Held()
        alive.clear()
        if len(items) > 1:
            raise MemoryError
        return held is not None

    assert list(BatchSize(2).each("ab", work)) == [True, True]
    assert freed[0] == 1
