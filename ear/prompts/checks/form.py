"""The form of a text: one line of ordinary letters and signs, neither empty nor too long."""

import re
import unicodedata
from functools import lru_cache

from ear.prompts.checks.records import Reason
from ear.prompts.naming import fold

MAX_WORD = 40  # letters; what is longer is no word
CHARACTERS_A_WORD = 12
"""Of a prompt at most, on average: scripts without blanks have few words of many characters."""
MAX_SHOWN = 300  # characters of a rejected text

PUNCTUATION = frozenset(" .,'’‘\"“”„«»:;!?¿¡()-–—…&/°·、。，・「」")
_FORMULA = re.compile(r"(?:^[\s'\"]*|[,;|\t]\s*)[=+\-@]|^[\t\r]")
_COMBINED = re.compile(r"[A-Za-z][\u0300-\u036f\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]")
_SPACES = re.compile(" {2,}")
_WORD = re.compile(r"[^\W_]+")
# What readers of CSV files take for a missing value, a truth or a number.
_VALUES = frozenset(("na", "n/a", "nan", "null", "none", "true", "false", "inf", "infinity"))
_SCRIPTS_OF_ONE_LANGUAGE = ({"CJK", "HIRAGANA", "KATAKANA", "LATIN", "FULLWIDTH"}, {"CJK", "HANGUL", "LATIN"})


def tidy(text: str) -> str:
    """A text as it is kept: composed characters, no blanks at its ends, none after another."""
    return _SPACES.sub(" ", unicodedata.normalize("NFC", text).strip(" \n"))


def malformed(text: str, max_words: int) -> Reason | None:
    """What is wrong with the length and the characters of a tidied text."""
    if not text:
        return Reason.EMPTY
    if len(text) > CHARACTERS_A_WORD * max_words:
        return Reason.TOO_LONG
    words = text.split()
    if len(words) > max_words or max(map(len, words), default=0) > MAX_WORD:
        return Reason.TOO_LONG
    if any("\ud800" <= sign <= "\udfff" for sign in text):
        return Reason.NOT_UNICODE
    if _FORMULA.search(unicodedata.normalize("NFKC", text)):
        return Reason.FORMULA
    if len(text.splitlines()) > 1 or "\n" in text:
        return Reason.SEVERAL_LINES
    if not text.isprintable():  # blanks but U+0020, marks of direction, joiners, control characters …
        return Reason.INVISIBLE
    if not text.isascii() and (_COMBINED.search(text) or any(map(_looks_alike, _WORD.findall(text)))):
        return Reason.LOOK_ALIKE
    return None


def unusual(text: str) -> Reason | None:
    """What keeps a well-formed text from being a prompt: its signs, or that it has no words."""
    if not all(sign in PUNCTUATION or sign.isalnum() or _is_mark(sign) for sign in text):
        return Reason.UNUSUAL_SIGN
    if not any(map(str.isalpha, text)) or _reads_as_a_value(text):
        return Reason.NO_WORDS
    return None


def shown(value: object) -> str:
    """A rejected value fit for a table: short, on one line, no formula, all its characters visible."""
    if not isinstance(value, str):
        return "" if value is None else f"({type(value).__name__})"
    seen = "".join(
        sign if sign.isprintable() else f"\\u{ord(sign):04x}" for sign in value[:MAX_SHOWN].strip(" ")
    )
    return f"'{seen}" if _FORMULA.search(unicodedata.normalize("NFKC", seen)) else seen


@lru_cache(maxsize=2**14)
def _looks_alike(word: str) -> bool:
    """Has a word letters of several scripts, or Latin ones that no language writes with?"""
    if word.isascii():
        return False
    scripts = set()
    for sign in word:
        if not sign.isalpha():
            continue
        script = unicodedata.name(sign, "").partition(" ")[0].partition("-")[0]
        plain = unicodedata.normalize("NFKC", sign)
        if plain != sign and plain.isascii():
            return True
        if script == "LATIN" and not (sign <= "\u024f" or "\u1e00" <= sign <= "\u1eff"):
            return True
        scripts.add(script)
    return len(scripts) > 1 and not any(scripts <= together for together in _SCRIPTS_OF_ONE_LANGUAGE)


def _is_mark(sign: str) -> bool:
    """Vowel signs and the like, which are no letters to Python."""
    return unicodedata.category(sign)[0] == "M"


def _reads_as_a_value(text: str) -> bool:
    if fold(text).strip(" .") in _VALUES:
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True
