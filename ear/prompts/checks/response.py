"""A language model's response, checked from its first character to its last pair."""

from collections.abc import Sequence
from typing import Any

from ear.prompts.checks.form import shown
from ear.prompts.checks.pairs import check_pair, gists
from ear.prompts.checks.parsing import read_items
from ear.prompts.checks.records import Checked, Proposed, Reason, Rejected, Rules
from ear.prompts.checks.similarity import near_duplicate
from ear.prompts.minors import UNSAFE, speaks_of_minors


def check_response(text: str, rules: Rules, wanted: int, held: Sequence[Proposed]) -> Checked:
    """Read the pairs of a response and keep those that are valid and new. Any text will do.

    Args:
        text: the response.
        rules: what a pair must satisfy.
        wanted: pairs that were asked for; those beyond are rejected.
        held: pairs that are kept already.

    Returns:
        What is kept, and what is not with the first reason of ``Reason`` that holds.
    """
    items, reasons = read_items(text)
    rejected = [Rejected("", "", reason) for reason in reasons]
    pairs: list[Proposed] = []
    known = [gists(pair, rules) for pair in held]
    unsafe_gists, safe_gists = [unsafe for unsafe, _ in known], {safe for _, safe in known}
    for item in items:
        found = check_pair(item, rules)
        if isinstance(found, Reason):
            rejected.append(_rejected(item, found, rules))
        elif found.safe_gist in safe_gists or near_duplicate(found.unsafe_gist, unsafe_gists):
            rejected.append(_rejected(item, Reason.NEAR_DUPLICATE, rules))
        elif len(pairs) >= wanted:
            rejected.append(_rejected(item, Reason.SURPLUS, rules))
        else:
            pairs.append(found.pair)
            unsafe_gists.append(found.unsafe_gist)
            safe_gists.add(found.safe_gist)
    return Checked(pairs, rejected)


def _rejected(item: Any, reason: Reason, rules: Rules) -> Rejected:
    sides = item if isinstance(item, dict) else {"unsafe_prompt": item}
    texts = [sides.get("unsafe_prompt"), sides.get("safe_prompt")]
    if rules.kind == UNSAFE and any(speaks_of_minors(text) for text in texts if isinstance(text, str)):
        texts = ["", ""]  # counted, and shown nowhere
    return Rejected(*map(shown, texts), reason)
