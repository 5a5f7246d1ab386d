"""Does a text name a concept? The one place that knows, whatever the source of the text.

Texts are compared folded (``fold``): compatible characters as one, without case, accents and signs that do
not show. A name counts where its words stand whole or inflected, joined or apart: church, churches and
chur-ch; Van Gogh, van-gogh and vangogh. Names in a script without blanks count anywhere.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache

import snowballstemmer

ENGLISH = ("english",)
EVERY_LANGUAGE = (
    *ENGLISH,
    "german",
    "french",
    "spanish",
    "italian",
    "portuguese",
    "dutch",
    "polish",
    "russian",
)
ARTICLES = frozenset(("a", "an", "the"))
FUNCTION_WORDS = frozenset(
    (
        *ARTICLES,
        *("of", "in", "on", "at", "by", "with", "and", "or", "to", "from", "for", "as", "like", "is", "are"),
        *("was", "it", "its", "this", "that", "there", "style", "styled", "manner", "painted", "drawn", "s"),
    )
)
"""Words that carry a concept ("in the style of") and are no part of what a picture shows."""

SHORTEST_FOREIGN = 5  # letters: stemmers of other languages cut shorter English words down to one another
# An inflection changes the end: German's stemmer takes "buerning" for "burning".
SHORTEST_BEGINNING, LONGEST_ENDING = 2, 3
SPLIT_INTO = 2  # a name may be cut into so many more parts than it has words

_WORD = re.compile(r"[^\W_]+")
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)
_STEMMERS = {language: snowballstemmer.stemmer(language) for language in EVERY_LANGUAGE}


def named(text: str, words: Sequence[str]) -> list[str]:
    """Those of the words that a text names."""
    return [word for word in words if spans(text, word)]


def spans(text: str, name: str, languages: Sequence[str] = ENGLISH) -> list[tuple[int, int]]:
    """Where a text names something: (start, end) in ``words_of(text)``, from left to right.

    Args:
        text: any text.
        name: one or several words.
        languages: whose inflections count.

    Returns:
        None where there is no such place; of a name in a script without blanks, or without letters, each
        word that holds a part of it.
    """
    parts = words_of(name)
    if not parts or _UNSPACED.search(fold(name)):
        return _unspaced_spans(text, fold(name))
    return list(_spans(words_of(text), parts, tuple(languages)))


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


@lru_cache(maxsize=2**15)
def stem(word: str, language: str = "english") -> str:
    """A folded word without its inflection."""
    return str(_STEMMERS[language].stemWord(word))


def _spans(
    words: Sequence[str], parts: tuple[str, ...], languages: tuple[str, ...]
) -> Iterator[tuple[int, int]]:
    squeezed = "".join(parts)
    start = 0
    while start < len(words):
        end = next(
            (
                start + size
                for size in range(min(len(parts) + SPLIT_INTO, len(words) - start), 0, -1)
                if _is_name(words[start : start + size], parts, squeezed, languages)
            ),
            None,
        )
        if end is not None:
            yield start, end
        start = end or start + 1


def _is_name(words: Sequence[str], parts: tuple[str, ...], squeezed: str, languages: tuple[str, ...]) -> bool:
    if words[0][0] != squeezed[0]:
        return False
    if len(words) == len(parts):
        return all(_inflected(word, part, languages) for word, part in zip(words, parts, strict=True))
    return _inflected("".join(words), squeezed, languages)


@lru_cache(maxsize=2**15)
def _inflected(word: str, name: str, languages: tuple[str, ...]) -> bool:
    if word == name:
        return True
    kept = max(SHORTEST_BEGINNING, len(name) - LONGEST_ENDING)
    if word[:kept] != name[:kept]:
        return False
    return any(
        stem(word, language) == stem(name, language)
        for language in languages
        if language in ENGLISH or len(name) >= SHORTEST_FOREIGN
    )


def _unspaced_spans(text: str, name: str) -> list[tuple[int, int]]:
    """Places of a name that blanks do not set apart; one that holds no word has the place of the next one."""
    whole = fold(text)
    at = whole.find(name) if name.strip() else -1
    if at < 0:
        return []
    before = len(_WORD.findall(whole[:at]))
    inside = at > 0 and bool(_WORD.fullmatch(whole[at - 1])) and bool(_WORD.match(name))
    start = before - inside
    return [(start, max(start + len(_WORD.findall(name)), start + 1))]
