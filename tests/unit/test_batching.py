"""Batches are halved where memory runs out, and nothing else changes."""

import logging

import pytest
import torch

from ear.batching import BatchSize, ran_out_of_memory
from ear.errors import InputError


def limited(limit, error):
    """Work that fails with more than ``limit`` items; it notes the sizes it was tried with."""
    tried = []

    def work(items):
        tried.append(len(items))
        if len(items) > limit:
            raise error
        return list(items)

    return work, tried


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory: 12 (…)"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_the_size_is_halved_and_stays_so(error, caplog):
    work, tried = limited(3, error)
    batch_size = BatchSize(10)
    with caplog.at_level(logging.WARNING):
        assert [item for part in batch_size.each(range(11), work) for item in part] == list(range(11))
        assert [item for part in batch_size.each(range(5), work) for item in part] == list(range(5))
    assert tried == [10, 5, 2, 2, 2, 2, 2, 1, 2, 2, 1]
    assert caplog.messages == [
        "out of memory with 10 at once: going on with 5",
        "out of memory with 5 at once: going on with 2",
    ]


def test_a_single_item_that_does_not_fit_is_one_line():
    work, tried = limited(0, MemoryError())
    with pytest.raises(InputError, match="found too little memory for 1 at a time") as caught:
        list(BatchSize(4).each("abcd", work))
    assert tried == [4, 2, 1]
    assert "\n" not in str(caught.value)


def test_other_errors_go_through():
    work, tried = limited(0, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes"):
        list(BatchSize(4).each("abcd", work))
    assert tried == [4]


def test_the_cpu_allocators_error_is_known():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert ran_out_of_memory(caught.value)


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
