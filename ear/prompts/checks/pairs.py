"""A pair and its concept: named on one side, absent from the other, and little else between them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ear.prompts.checks.form import malformed, tidy, unusual
from ear.prompts.checks.hostile import hostile
from ear.prompts.checks.records import ASPECTS, EXPLICIT, IMPLICIT, Proposed, Reason, Rules
from ear.prompts.checks.similarity import MAX_CHANGED, changed_share, gist, same_words
from ear.prompts.minors import UNSAFE, speaks_of_minors
from ear.prompts.naming import ENGLISH, EVERY_LANGUAGE, spans, traces, words_of
from ear.prompts.tables import REMOVED

MAX_REPLACEMENT = 6  # words
MAX_ASPECT = 6  # words
_NOTHING = frozenset(("", "none", "null", "n/a", "removed", "nothing", REMOVED))


@dataclass(frozen=True)
class Valid:
    """A valid pair, and what tells it from others: the gist of either side."""

    pair: Proposed
    unsafe_gist: str
    safe_gist: str


def check_pair(item: Any, rules: Rules) -> Valid | Reason:
    """Check what stands where a pair should, by itself.

    Args:
        item: any value that JSON can have.
        rules: what a pair must satisfy.

    Returns:
        The pair, or the first reason against it.
    """
    match item:
        case {"unsafe_prompt": str(unsafe), "safe_prompt": str(safe)}:
            replacement = item.get("replacement")
        case _:
            return Reason.WRONG_TYPE
    if not isinstance(replacement, str | None):
        return Reason.WRONG_TYPE
    unsafe, safe, replacement = tidy(unsafe), tidy(safe), tidy(replacement or "")
    if replacement.lower() in _NOTHING:
        replacement = REMOVED
    if reason := _first_of_texts(unsafe, safe, replacement, rules):
        return reason
    return _of_concept(unsafe, safe, replacement, _aspects(item), rules)


def gists(pair: Proposed, rules: Rules) -> tuple[str, str]:
    """What tells a pair from others: the gist of its unsafe and of its safe side."""
    words = words_of(pair.unsafe_prompt)
    return gist(words, _places(pair.unsafe_prompt, rules)), gist(words_of(pair.safe_prompt), set())


def _first_of_texts(unsafe: str, safe: str, replacement: str, rules: Rules) -> Reason | None:
    """The first reason against any of the texts."""
    texts = {unsafe: rules.max_words, safe: rules.max_words}
    if replacement != REMOVED:
        texts = {replacement: MAX_REPLACEMENT} | texts
    if rules.kind == UNSAFE and any(map(speaks_of_minors, texts)):
        return Reason.MINORS
    for reasons in (
        [malformed(text, most) for text, most in texts.items()],
        [hostile(text) for text in texts],
        [unusual(text) for text in texts],
    ):
        if found := [reason for reason in reasons if reason]:
            return min(found, key=list(Reason).index)
    return None


def _of_concept(
    unsafe: str, safe: str, replacement: str, aspects: Mapping[str, str], rules: Rules
) -> Valid | Reason:
    unsafe_words, safe_words = words_of(unsafe), words_of(safe)
    if same_words(unsafe_words, safe_words):
        return Reason.EQUAL
    concept = _places(unsafe, rules)
    if not concept:
        return Reason.UNNAMED
    if any(traces(safe, name, languages) for name, languages in _names(rules)):
        return Reason.LEAK
    replaced = set() if replacement == REMOVED else _covered(safe, replacement, ENGLISH)
    if replacement != REMOVED and not replaced:
        return Reason.NO_REPLACEMENT
    if changed_share(unsafe_words, concept, safe_words, replaced) > MAX_CHANGED:
        return Reason.TOO_DIFFERENT
    mention = aspects.get("mention")
    told = dict(aspects) | {"mention": mention if mention == IMPLICIT else EXPLICIT}
    pair = Proposed(unsafe, safe, replacement, told)
    return Valid(pair, gist(unsafe_words, concept), gist(safe_words, set()))


@lru_cache(maxsize=64)
def _names(rules: Rules) -> tuple[tuple[str, Sequence[str]], ...]:
    """The concept's names, each with the languages whose inflections count."""
    return (rules.words, ENGLISH), *((name, EVERY_LANGUAGE) for name in rules.also_named)


def _places(text: str, rules: Rules) -> set[int]:
    """Places of the words that name the concept."""
    return {place for name, languages in _names(rules) for place in _covered(text, name, languages)}


def _covered(text: str, name: str, languages: Sequence[str]) -> set[int]:
    return {place for start, end in spans(text, name, languages) for place in range(start, end)}


def _aspects(item: Mapping[str, Any]) -> dict[str, str]:
    """Aspects of the picture that the response tells, as far as they are fit for a table.

    They decide nothing, so that one that is not fit is left out.
    """
    told = item.get("aspects")
    told = told if isinstance(told, dict) else item
    aspects = {}
    for name in ASPECTS:
        value = told.get(name)
        if isinstance(value, str):
            value = tidy(value.lower())
            if not (malformed(value, MAX_ASPECT) or hostile(value) or unusual(value)):
                aspects[name] = value
    return aspects
