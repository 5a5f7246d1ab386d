"""From all sources' pairs to those of an experiment, and to evaluation prompts where there is no grammar."""

import json
from collections.abc import Collection, Sequence

import pandas as pd

from ear.errors import InputError
from ear.prompts.checks import Proposed, Rules, check_response
from ear.prompts.sources import REJECTED_COLUMNS
from ear.prompts.tables import PAIR_COLUMNS, PROMPT_COLUMNS
from ear.seeding import stable_seed

ELSEWHERE = "in another set"
"""Reason of a pair that has a training caption's or an evaluation prompt's text."""


def merge_pairs(
    tables: Sequence[pd.DataFrame], rules: Rules, taken: Collection[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The pairs of all sources, each once.

    Args:
        tables: ``PAIR_COLUMNS`` of each source, whose own pairs are valid and unique.
        rules: that every pair satisfies.
        taken: texts that no pair may have.

    Returns:
        (pairs, rejected): ``PAIR_COLUMNS``, in the order of the sources; ``REJECTED_COLUMNS``.

    Raises:
        InputError: no pair is left.
    """
    kept: list[pd.DataFrame] = []
    rejected: list[tuple[str, str, str, str]] = []
    before: list[Proposed] = []
    for table in tables:
        reasons = [_reason(pair, rules, before, taken) for pair in _proposed(table)]
        fine = [not reason for reason in reasons]
        kept.append(table.loc[fine, PAIR_COLUMNS])
        before += _proposed(kept[-1])
        texts = table[["source", "unsafe_prompt", "safe_prompt"]].itertuples(index=False, name=None)
        rejected += [(*text, reason) for text, reason in zip(texts, reasons, strict=True) if reason]
    if not before:
        raise InputError(f"{rules.concept}: found no pair that is in no other set, wanted at least one")
    pairs = pd.concat([table for table in kept if len(table)], ignore_index=True)
    return pairs, pd.DataFrame(rejected, columns=REJECTED_COLUMNS)


def gather_rejected(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Rejected pairs of all sources, and those that were rejected beside others' (``REJECTED_COLUMNS``)."""
    return pd.concat([table.astype(object) for table in tables], ignore_index=True)[REJECTED_COLUMNS]


def _proposed(table: pd.DataFrame) -> list[Proposed]:
    texts = table[["unsafe_prompt", "safe_prompt", "replacement"]].fillna("")
    return [Proposed(*row) for row in texts.itertuples(index=False, name=None)]


def _reason(pair: Proposed, rules: Rules, before: Sequence[Proposed], taken: Collection[str]) -> str:
    if pair.unsafe_prompt in taken or pair.safe_prompt in taken:
        return ELSEWHERE
    if not before:
        return ""
    texts = {
        "unsafe_prompt": pair.unsafe_prompt,
        "safe_prompt": pair.safe_prompt,
        "replacement": pair.replacement,
    }
    checked = check_response(json.dumps({"pairs": [texts]}), rules, 1, before)
    return "" if checked.pairs else checked.rejected[0].reason


def hold_out(
    pairs: pd.DataFrame, concept: str, target: int, retention: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Set pairs apart for the evaluation: unsafe prompts become target prompts, safe ones retention prompts.

    Which ones depends on their texts alone, so it does not change with the order of the sources.

    Args:
        pairs: ``PAIR_COLUMNS``.
        concept: its name in the experiment.
        target: target prompts wanted.
        retention: retention prompts wanted.

    Returns:
        (pairs, prompts): the others, ``PAIR_COLUMNS``, in their order; ``PROMPT_COLUMNS``, object missing,
        since nobody says what else a picture should show.

    Raises:
        InputError: there are too few pairs.
    """
    wanted = max(target, retention)
    if len(pairs) <= wanted:
        raise InputError(
            f"{concept}: found {len(pairs)} pairs, wanted more than {wanted}: prompts.target and "
            f"prompts.retention are held out of them, and the rest is trained on"
        )
    ranks = pairs["unsafe_prompt"].map(lambda text: stable_seed("held out", text)).rank(method="first")
    sets = []
    for prompt_set, column, count in (
        ("target", "unsafe_prompt", target),
        ("retention", "safe_prompt", retention),
    ):
        rows = pairs[ranks <= count]
        sets.append(
            pd.DataFrame(
                {
                    "prompt_id": rows["pair_id"].str.replace("/pair/", f"/{prompt_set}/", n=1, regex=False),
                    "prompt_set": prompt_set,
                    "prompt": rows[column],
                    "object": float("nan"),
                }
            )
        )
    return pairs[ranks > wanted].reset_index(drop=True), pd.concat(sets, ignore_index=True)[PROMPT_COLUMNS]
