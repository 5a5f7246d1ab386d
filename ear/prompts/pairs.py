"""From the pairs of each source to those of an experiment, and the tables of what sources made."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, fields

import pandas as pd

from ear.errors import InputError
from ear.prompts.llm.asking import cost_of
from ear.prompts.llm.checks import ASPECTS, Proposed, Rejected, Rules, SourceResult, Usage, judged
from ear.prompts.tables import PAIR_COLUMNS, PROMPT_COLUMNS
from ear.workflow.seeding import GRAMMAR, stable_seed

TEXTS = ["unsafe_prompt", "safe_prompt", "replacement"]
REJECTED_COLUMNS = ["source", "unsafe_prompt", "safe_prompt", "reason"]
USAGE_COLUMNS = ["concept", "source", *(field.name for field in fields(Usage))]
SOURCES_COLUMNS = [*USAGE_COLUMNS[:-2], "candidates", "kept", *USAGE_COLUMNS[-2:], "cost"]
ELSEWHERE = "in another set"
"""Reason of a pair that has a training caption's or an evaluation prompt's text."""


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


def merge_pairs(
    tables: Sequence[pd.DataFrame], rules: Rules, taken: Collection[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The pairs of all sources, each once and none with a text that is taken.

    Returns:
        (pairs, rejected): ``PAIR_COLUMNS``, in the order of the sources; ``REJECTED_COLUMNS``.

    Raises:
        InputError: no pair is left.
    """
    pairs = pd.concat([table for table in tables if len(table)], ignore_index=True)
    elsewhere = pairs[["unsafe_prompt", "safe_prompt"]].isin(taken).any(axis=1)
    found = judged(pairs.loc[~elsewhere, TEXTS].fillna("").to_dict("records"), rules)
    told = [ELSEWHERE if taken_already else next(found) for taken_already in elsewhere]
    reasons = pd.Series([one if isinstance(one, str) else "" for one in told], index=pairs.index)
    if not (reasons == "").any():
        raise InputError(f"{rules.concept}: found only pairs of other prompt sets, wanted at least one new")
    rejected = pairs.assign(reason=reasons)[reasons != ""]
    return pairs.loc[reasons == "", PAIR_COLUMNS].reset_index(drop=True), rejected[REJECTED_COLUMNS]


def gather_rejected(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Rejected pairs of all sources, and those that were rejected beside others' (``REJECTED_COLUMNS``)."""
    return pd.concat([table.astype(object) for table in tables], ignore_index=True)[REJECTED_COLUMNS]


def hold_out(
    pairs: pd.DataFrame, concept: str, target: int, retention: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Set pairs apart for the evaluation: unsafe prompts become target prompts, safe ones retention prompts.

    Which ones depends on their texts alone, so it does not change with the order of the sources.

    Returns:
        (pairs, prompts): the others, ``PAIR_COLUMNS``, in their order; ``PROMPT_COLUMNS``, object missing,
        since nobody says what else a picture should show.

    Raises:
        InputError: there are too few pairs.
    """
    wanted = max(target, retention)
    if len(pairs) <= wanted:
        raise InputError(
            f"{concept}: found {len(pairs)} pairs, wanted more than {wanted}: prompts.target "
            "and prompts.retention are taken from them, and the rest is for training"
        )
    ranks = pairs["unsafe_prompt"].map(lambda text: stable_seed("held out", text)).rank(method="first")
    sets = []
    for prompt_set, column, count in (
        ("target", "unsafe_prompt", target),
        ("retention", "safe_prompt", retention),
    ):
        rows = pairs[ranks <= count]
        ids = rows["pair_id"].str.replace("/pair/", f"/{prompt_set}/", n=1, regex=False)
        columns = {"prompt_id": ids, "prompt_set": prompt_set, "prompt": rows[column], "object": float("nan")}
        sets.append(pd.DataFrame(columns))
    return pairs[ranks > wanted].reset_index(drop=True), pd.concat(sets, ignore_index=True)[PROMPT_COLUMNS]


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

    def count(pairs: pd.DataFrame, row: pd.Series) -> int:
        own = pairs["pair_id"].str.startswith(f"{row['concept']}/") & (pairs["source"] == row["source"])
        return int(own.sum())

    def cost(row: pd.Series) -> float | None:
        price = prices.get(row["source"])
        return cost_of(row["prompt_tokens"], row["completion_tokens"], price) if price else None

    table = usage.reset_index(drop=True)
    return table.assign(
        candidates=[count(candidates, row) for _, row in table.iterrows()],
        kept=[count(kept, row) for _, row in table.iterrows()],
        cost=pd.Series([cost(row) for _, row in table.iterrows()], dtype=float),
    )[SOURCES_COLUMNS]
