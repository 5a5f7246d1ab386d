"""How alike two prompts are: the sides of a pair, and pairs among each other."""

from collections.abc import Sequence

from rapidfuzz import fuzz, process
from rapidfuzz.distance import Levenshtein

from ear.prompts.naming import ARTICLES, FUNCTION_WORDS, stem

NEAR_DUPLICATE = 94.0
"""Likeness (0 to 100: 100 less the share of characters inserted and deleted) from which two prompts are one.

Compared are the words without articles and without the concept's name. Sentences of the mini world's grammar
that differ in a word, and so in what they show, reach 93.5; a plural or a typing error gives more.
"""

MAX_CHANGED = 0.5
"""Share of words that may differ between the sides of a pair, besides concept, replacement, function words.

Replacing a church takes a word or two with it (its stained glass, its spire): one of two may go, not most.
Of the authors' 55 pairs 54 keep to that, and the one that does not tells of another place.
"""


def gist(words: Sequence[str], names: set[int]) -> str:
    """What tells a prompt from others: its words, without articles and those at ``names``."""
    return " ".join(word for place, word in enumerate(words) if place not in names and word not in ARTICLES)


def near_duplicate(of: str, among: Sequence[str]) -> bool:
    """Is there nearly the same gist among others?"""
    return process.extractOne(of, among, scorer=fuzz.ratio, score_cutoff=NEAR_DUPLICATE) is not None


def same_words(one: Sequence[str], other: Sequence[str]) -> bool:
    """Are two prompts the same but for articles and signs?"""
    return gist(one, set()) == gist(other, set())


def changed_share(
    unsafe: Sequence[str], concept: set[int], safe: Sequence[str], replacement: set[int]
) -> float:
    """Share of words that differ, in [0, 1], without concept, replacement and function words.

    Args:
        unsafe: words of one side.
        concept: places in it that name the concept.
        safe: words of the other.
        replacement: places in it that name the replacement.
    """
    one, other = _content(unsafe, concept), _content(safe, replacement)
    longest = max(len(one), len(other))
    return Levenshtein.distance(one, other) / longest if longest else 0.0


def _content(words: Sequence[str], left_out: set[int]) -> list[str]:
    return [
        stem(word) for place, word in enumerate(words) if place not in left_out and word not in FUNCTION_WORDS
    ]
