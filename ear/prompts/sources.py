"""Tables of what sources made: their pairs, the rejected ones with their reasons, and what all of it took."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields

import pandas as pd

from ear.prompts.checks import ASPECTS, Proposed, Rejected
from ear.prompts.models.base import SourceResult, Usage
from ear.prompts.models.budget import Price
from ear.prompts.names import GRAMMAR
from ear.prompts.tables import PAIR_COLUMNS

REJECTED_COLUMNS = ["source", "unsafe_prompt", "safe_prompt", "reason"]
USAGE_COLUMNS = ["concept", "source", *(field.name for field in fields(Usage))]
SOURCES_COLUMNS = [*USAGE_COLUMNS[:-2], "candidates", "kept", *USAGE_COLUMNS[-2:], "cost"]


def source_pairs(concept: str, words: str, source: str, by: str, pairs: Sequence[Proposed]) -> pd.DataFrame:
    """Pairs of a source as a table.

    A pair's id holds its source and its place there: more pairs, or further sources, change no id.

    Args:
        concept: its name in the experiment.
        words: how a prompt names it.
        source: name of the source.
        by: its kind.
        pairs: in their order.

    Returns:
        ``PAIR_COLUMNS`` and ``ASPECTS``, which are empty where the source does not say.
    """
    prefix = f"{concept}/pair/" + ("" if by == GRAMMAR else f"{source}-")
    rows = [
        (
            *(f"{prefix}{number:04d}", one.unsafe_prompt, one.safe_prompt, words, one.replacement, source),
            *(one.aspects.get(aspect, "") for aspect in ASPECTS),
        )
        for number, one in enumerate(pairs)
    ]
    return pd.DataFrame(rows, columns=[*PAIR_COLUMNS, *ASPECTS])


def rejected_pairs(source: str, rejected: Sequence[Rejected]) -> pd.DataFrame:
    """Rejected pairs as a table (``REJECTED_COLUMNS``); the checks have made their texts fit for one."""
    rows = [(source, one.unsafe_prompt, one.safe_prompt, one.reason) for one in rejected]
    return pd.DataFrame(rows, columns=REJECTED_COLUMNS)


def usage_row(concept: str, source: str, result: SourceResult) -> pd.DataFrame:
    """What a source's pairs of a concept took, one row (``USAGE_COLUMNS``)."""
    return pd.DataFrame([{"concept": concept, "source": source, **asdict(result.usage)}])[USAGE_COLUMNS]


def sources_table(
    usage: pd.DataFrame,
    candidates: pd.DataFrame,
    kept: pd.DataFrame,
    prices: Mapping[str, Mapping[str, float]],
) -> pd.DataFrame:
    """What became of each source's pairs.

    Args:
        usage: ``USAGE_COLUMNS``, a row a (concept, source).
        candidates: pair_id and source of all concepts' pairs before the visual filter.
        kept: likewise after it.
        prices: source → what its endpoint charges; sources without a price are left out.

    Returns:
        ``SOURCES_COLUMNS``: cost is empty without a price.
    """
    rows = []
    for row in usage.to_dict("records"):
        price = prices.get(row["source"])
        tokens = row["prompt_tokens"], row["completion_tokens"]
        rows.append(
            row
            | {
                "candidates": _count(candidates, row["concept"], row["source"]),
                "kept": _count(kept, row["concept"], row["source"]),
                "cost": Price(**price).of(*tokens) if price else None,
            }
        )
    return pd.DataFrame(rows)[SOURCES_COLUMNS]


def _count(pairs: pd.DataFrame, concept: str, source: str) -> int:
    own = pairs["pair_id"].str.startswith(f"{concept}/") & (pairs["source"] == source)
    return int(own.sum())
