"""Does a text name a concept? The one place that knows, whatever the source of the text.

Texts are compared folded (``fold``): compatible characters as one, without case, accents and signs that do
not show. A name counts where its words stand whole or inflected as in English, joined or apart: church,
churches and chur-ch; Van Gogh, van-gogh and vangogh. In scripts without blanks each character is a word.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache

import snowballstemmer

ARTICLES = frozenset(("a", "an", "the"))
FUNCTION_WORDS = frozenset(
    (
        *ARTICLES,
        *("of", "in", "on", "at", "by", "with", "and", "or", "to", "from", "for", "as", "like", "is", "are"),
        *("was", "it", "its", "this", "that", "there", "style", "styled", "manner", "painted", "drawn", "s"),
    )
)
"""Words that carry a concept ("in the style of") and are no part of what a picture shows."""

SPLIT_INTO = 2  # a name may be cut into so many more parts than it has words

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"[{_UNSPACED}](?<=\w)|[^\W_{_UNSPACED}]+")
_STEMMER = snowballstemmer.stemmer("english")


def named(text: str, words: Sequence[str]) -> list[str]:
    """Those of the words that a text names."""
    return [word for word in words if spans(text, word)]


def spans(text: str, name: str) -> list[tuple[int, int]]:
    """Where a text names something: (start, end) in ``words_of(text)``, from left to right."""
    parts = words_of(name)
    return list(_spans(words_of(text), parts)) if parts else []


def without(text: str, names: Sequence[str]) -> list[str]:
    """What is left of a text around the places where it names something: the whole text where it does not.

    Letters that ``fold`` puts together or takes away are folded where they would hide a name.
    """
    found = list(_WORD.finditer(text))
    if tuple(fold(word.group()) for word in found) != words_of(text):
        text = fold(text)
        found = list(_WORD.finditer(text))
    places = sorted((start, -end) for name in names for start, end in spans(text, name))
    pieces, read = [], 0
    for start, end in places:
        if found[start].start() >= read:  # not within a longer name
            pieces.append(text[read : found[start].start()])
            read = found[-end - 1].end()
    return [*pieces, text[read:]]


@lru_cache(maxsize=1024)
def core(name: str) -> str:
    """A name without the function words at its ends: "Van Gogh" of "in the style of Van Gogh"."""
    words = list(_WORD.finditer(name))
    shown = [word for word in words if fold(word.group()) not in FUNCTION_WORDS]
    return name[shown[0].start() : shown[-1].end()] if shown else name


@lru_cache(maxsize=4096)
def fold(text: str) -> str:
    """A text to compare by: NFKC, without case, accents and characters that do not show."""
    if text.isascii():
        return text.lower()
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    kept = "".join(sign for sign in apart if unicodedata.category(sign) not in ("Mn", "Me", "Cf"))
    return unicodedata.normalize("NFKC", kept)


@lru_cache(maxsize=4096)
def words_of(text: str) -> tuple[str, ...]:
    """The words of a text, folded; every sign but letters and digits parts them."""
    return tuple(_WORD.findall(fold(text)))


def _spans(words: Sequence[str], parts: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(words):
        most = min(len(parts) + SPLIT_INTO, len(words) - start)
        ends = range(start + most, start, -1)
        end = next((end for end in ends if _is_name(words[start:end], parts)), None)
        if end is not None:
            yield start, end
        start = end or start + 1


def _is_name(words: Sequence[str], parts: tuple[str, ...]) -> bool:
    if words[0][0] != parts[0][0]:
        return False
    if len(words) == len(parts):
        return all(map(_inflected, words, parts))
    return _inflected("".join(words), "".join(parts))


@lru_cache(maxsize=2**15)
def _inflected(word: str, name: str) -> bool:
    return word == name or _STEMMER.stemWord(word) == _STEMMER.stemWord(name)
