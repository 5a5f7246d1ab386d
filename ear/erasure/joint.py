"""Several concepts in one adapter: their pairs alternate, so that none is forgotten over the others.

One of each concept in turn, each concept's pairs in the order in which it would be trained alone; a concept
that runs out is passed over. Or one concept after the other, to see what comes back of the first. Pairs of
which the safe prompt names another of the concepts are left out: they would teach what is to be forgotten ("a
church in the style of Van Gogh" to be read as "a church").
"""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from ear.erasure.sequences import Pair
from ear.erasure.variants import Order
from ear.errors import InputError
from ear.prompts.naming import named
from ear.workflow.seeding import stable_seed

Row = TypeVar("Row")


def training_order(sizes: Sequence[int], order: Order, seed: int, in_turn: bool = False) -> list[int]:
    """Rows of the concepts' pairs, one table after the other, in the order of training.

    Args:
        sizes: number of pairs of each concept.
        order: pairs of a concept as in the file, or shuffled by the seed.
        seed: seed of the fine-tuning.
        in_turn: all pairs of a concept, then all of the next; else their pairs alternate.
    """
    starts = np.cumsum([0, *sizes[:-1]])
    rows = [start + _order(size, order, seed) for start, size in zip(starts, sizes, strict=True)]
    turns = rows if in_turn else zip_longest(*rows)
    return [int(row) for turn in turns for row in turn if row is not None]


def in_passes(rows: Sequence[Row], passes: int, sizes: Sequence[int]) -> list[Row]:
    """Rows as they are trained on: all passes over the first ``sizes[0]`` of them, then over the next."""
    stops = np.cumsum(sizes).tolist()
    blocks = [list(rows[stop - size : stop]) for stop, size in zip(stops, sizes, strict=True)]
    return [row for block in blocks for row in block * passes]


def _order(size: int, order: Order, seed: int) -> np.ndarray:
    if order == "file":
        return np.arange(size)
    return np.random.Generator(np.random.Philox(stable_seed(seed, "order"))).permutation(size)


def without_others(
    pairs: Sequence[Pair], streams: Mapping[str, Tensor], others: Sequence[str]
) -> tuple[list[Pair], dict[str, Tensor]]:
    """The pairs of a concept whose safe prompt names none of the other concepts, with their streams.

    Args:
        pairs: P prompt pairs.
        streams: name → (P, T).
        others: words of the concepts that are erased together with this one.

    Raises:
        InputError: no pair is left.
    """
    rows = [row for row, (_, _, safe) in enumerate(pairs) if not named(safe, others)]
    if not rows:
        raise InputError(
            f"pairs: found none of {len(pairs)} whose safe prompt is without "
            f"{' and '.join(map(repr, others))}, wanted at least one"
        )
    return [pairs[row] for row in rows], {name: stream[rows] for name, stream in streams.items()}


def joined(
    parts: Sequence[tuple[Sequence[Pair], Mapping[str, Tensor]]],
) -> tuple[list[Pair], dict[str, Tensor]]:
    """Pairs and streams of several concepts, one after the other.

    Args:
        parts: pairs and streams (name → (P, T)) of each concept.
    """
    names = list(parts[0][1])
    return (
        [pair for pairs, _ in parts for pair in pairs],
        {name: torch.cat([streams[name] for _, streams in parts]) for name in names},
    )


def hash_of_pairs(digests: Sequence[str]) -> str:
    """What an adapter says of the tables of pairs that it was made from.

    Args:
        digests: hexadecimal SHA-256 of each concept's table, in the order of the concepts.

    Returns:
        The hash of the one table; of several, the SHA-256 of their hashes, a line each.
    """
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()
