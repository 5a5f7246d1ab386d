"""Seeds that are the same everywhere, and names that stand in configs, folders and tables alike."""

import hashlib
from operator import index

ORIGINAL = "original"
"""The method that trains nothing: the model before erasure, which all others are compared with."""

ALL_SEEDS = "all"
"""The seed of rows over all fine-tuning seeds."""

GRAMMAR, PUBLISHED = "grammar", "published"
"""Sources of prompt pairs: the mini world's grammar, and the authors' files."""


def stable_seed(*parts: str | int) -> int:
    """A 63-bit seed from names and whole numbers, the same on every machine and in every process.

    Args:
        parts: for example (experiment seed, prompt id, sample index). ``("a", 1)`` and ``("a1",)`` give
            different seeds.
    """
    # By kind and not by type: a number read from a table (numpy.int64) gives the seed of the same int.
    text = "\x1f".join(f"str:{part}" if isinstance(part, str) else f"int:{index(part)}" for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
