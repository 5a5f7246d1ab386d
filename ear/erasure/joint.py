"""Several concepts erased together: their pairs alternate, so that none is forgotten over the others.

Or one concept after the other, to see what comes back of the first. Pairs of which the safe prompt or the
anchor names another of the concepts are left out: they would teach what is to be forgotten ("a church in the
style of Van Gogh" to be read as "a church").
"""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import zip_longest

import numpy as np
import torch
from torch import Tensor

from ear.erasure.sequences import Pair
from ear.erasure.variants import Order
from ear.errors import InputError
from ear.prompts.naming import named
from ear.workflow.seeding import stable_seed


def training_order(
    sizes: Sequence[int], order: Order, seed: int, passes: int = 1, sequential: bool = False
) -> list[int]:
    """Rows of the concepts' pairs, one table after the other, as they are trained on.

    Args:
        sizes: number of pairs of each concept.
        order: pairs of a concept as in the file, or shuffled by the seed as in a training alone.
        seed: seed of the fine-tuning.
        passes: over the pairs.
        sequential: all passes over the pairs of a concept, then over those of the next; else one pair of
            each in turn, and a concept that runs out is passed over.
    """
    tables = []
    for start, size in zip(np.cumsum([0, *sizes]), sizes, strict=False):
        rows = np.arange(size)
        if order == "seed":
            rows = np.random.Generator(np.random.Philox(stable_seed(seed, "order"))).permutation(size)
        tables.append((start + rows).tolist())
    if sequential:
        return [row for table in tables for row in table * passes]
    return [row for turn in zip_longest(*tables) for row in turn if row is not None] * passes


def without_others(
    pairs: Sequence[Pair], sequences: Mapping[str, Tensor], others: Sequence[str]
) -> tuple[list[Pair], dict[str, Tensor]]:
    """The pairs of a concept of which only the unsafe prompt names another concept, with their sequences.

    Args:
        pairs: P prompt pairs.
        sequences: name → (P, T).
        others: words of the concepts that are erased together with this one.

    Raises:
        InputError: no pair is left.
    """
    rows = [row for row, pair in enumerate(pairs) if not any(named(text, others) for text in pair[2:])]
    if not rows:
        words = " and ".join(map(repr, others))
        raise InputError(
            f"pairs: found none of {len(pairs)} whose safe prompt and anchor avoid {words}, wanted some"
        )
    return [pairs[row] for row in rows], {name: sequence[rows] for name, sequence in sequences.items()}


def joined(
    parts: Sequence[tuple[Sequence[Pair], Mapping[str, Tensor]]],
) -> tuple[list[Pair], dict[str, Tensor]]:
    """Pairs and sequences, name → (P, T), of several concepts, one after the other."""
    return (
        [pair for pairs, _ in parts for pair in pairs],
        {name: torch.cat([sequences[name] for _, sequences in parts]) for name in parts[0][1]},
    )


def hash_of_pairs(digests: Sequence[str]) -> str:
    """What edited weights say of their tables of pairs: SHA-256 of the one, or of the lines of several."""
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()
