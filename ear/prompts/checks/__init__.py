"""What a language model's answer is worth: its valid and new pairs, and why the others are neither."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

ASPECTS = ("scene", "time", "viewpoint", "attribute", "mention")


class Reason(StrEnum):
    """Why something was rejected."""

    NO_JSON = "no JSON"
    EMPTY = "empty"
    UNNAMED = "unsafe side lacks the concept"
    LEAK = "safe side has the concept"
    NEAR_DUPLICATE = "near-duplicate"
    SURPLUS = "more than asked for"


REPEATS = frozenset((Reason.NEAR_DUPLICATE, Reason.SURPLUS))
"""Reasons against pairs that are valid by themselves."""


@dataclass(frozen=True)
class Rules:
    """What a pair must satisfy.

    Attributes:
        concept: its name in the experiment.
        words: how a prompt names it.
        also_named: synonyms, and its names in other languages.
        kind: object, style, attribute or unsafe.
        max_words: words of a prompt, at most.
    """

    concept: str
    words: str
    also_named: tuple[str, ...]
    kind: str
    max_words: int


@dataclass(frozen=True)
class Proposed:
    """A pair that a source proposes.

    Attributes:
        unsafe_prompt: with the concept.
        safe_prompt: without it.
        replacement: what is in its place.
        aspects: what the source says of the prompt: scene, time, viewpoint, attribute, mention.
    """

    unsafe_prompt: str
    safe_prompt: str
    replacement: str
    aspects: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Rejected:
    """A pair that is not kept, its texts as far as they are known, and why."""

    unsafe_prompt: str
    safe_prompt: str
    reason: Reason


@dataclass(frozen=True)
class Checked:
    """An answer's pairs: valid and new ones, and the others, in its order."""

    pairs: list[Proposed]
    rejected: list[Rejected]


def check_response(text: str, rules: Rules, wanted: int, held: Sequence[Proposed]) -> Checked:
    """Take an answer apart. Never raises.

    Args:
        text: the answer.
        rules: what a pair must satisfy.
        wanted: pairs that were asked for.
        held: pairs that are kept already.
    """
    try:
        rows = json.loads(text)["pairs"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return Checked([], [Rejected("", "", Reason.NO_JSON)])
    pairs: list[Proposed] = []
    rejected: list[Rejected] = []
    known = {pair.unsafe_prompt.casefold() for pair in held}
    for row in rows if isinstance(rows, list) else []:
        texts = [row.get(key) if isinstance(row, dict) else None for key in ("unsafe_prompt", "safe_prompt")]
        unsafe, safe = (text if isinstance(text, str) else "" for text in texts)
        reason = _reason(unsafe, safe, rules, known, len(pairs) < wanted)
        if reason:
            rejected.append(Rejected(unsafe, safe, reason))
            continue
        known.add(unsafe.casefold())
        pairs.append(Proposed(unsafe, safe, _text(row.get("replacement")), _aspects(row.get("aspects"))))
    return Checked(pairs, rejected)


def _reason(unsafe: str, safe: str, rules: Rules, known: set[str], few: bool) -> Reason | None:
    words = rules.words.casefold()
    if not (unsafe.isprintable() and safe.isprintable() and unsafe and safe):
        return Reason.EMPTY
    if words not in unsafe.casefold():
        return Reason.UNNAMED
    if words in safe.casefold():
        return Reason.LEAK
    if unsafe.casefold() in known:
        return Reason.NEAR_DUPLICATE
    return None if few else Reason.SURPLUS


def _text(value: Any) -> str:
    return value if isinstance(value, str) and value.isprintable() else ""


def _aspects(value: Any) -> dict[str, str]:
    return {str(key): _text(text) for key, text in value.items()} if isinstance(value, dict) else {}
