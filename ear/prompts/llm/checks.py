"""Checks on what language models send back, which is untrusted input: see docs/reference/checks.md."""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Any

from rapidfuzz import fuzz, process

from ear.prompts.minors import UNSAFE, speaks_of_minors
from ear.prompts.naming import ARTICLES, core, named, spans, words_of
from ear.prompts.tables import REMOVED

ASPECTS = ("scene", "time", "viewpoint", "attribute", "mention")
EXPLICIT, IMPLICIT = "explicit", "implicit"

PUNCTUATION = frozenset(" .,'’‘\"“”„«»:;!?¿¡()-–—&·、。・「」")
"""Signs of a prompt besides letters and digits: none that markup, commands, addresses or formulas need."""
LETTERS_A_WORD = 12
"""Characters of a prompt at most, for each word that it may have: scripts without blanks have few words."""
SHORT = 6  # words of a replacement, or of an aspect
NEAR_DUPLICATE = 94.0
"""Likeness (0 to 100: 100 less the share of characters inserted and deleted) from which two prompts are one.

Compared are the words without articles and without the concept's name. Sentences of the mini world's grammar
that differ in a word, and so in what they show, reach 93.5; a plural or a typing error gives more.
"""
MAX_RESPONSE = 1_000_000  # characters; a thousand pairs have a third of that
MAX_OPENINGS = 200  # brackets of a response at which JSON is looked for
SHOWN = 300  # characters of a rejected text
JSON = json.JSONDecoder(strict=False)
"""Takes control characters in texts, which xgrammar lets pass; the checks reject such pairs."""


class Reason(StrEnum):
    """Why something was rejected: of all that hold the first in this order."""

    CUT = "cut off at max_tokens"
    NO_JSON = "no whole JSON with pairs"
    WRONG_TYPE = "not a pair of texts"
    MINORS = "speaks of minors"  # of unsafe concepts
    LENGTH = "empty or too long"
    CHARACTERS = "characters that no prompt needs"
    UNNAMED = "unsafe side lacks the concept"
    LEAK = "safe side has the concept"
    NEAR_DUPLICATE = "near-duplicate"
    SURPLUS = "more than asked for"


@dataclass(frozen=True)
class Rules:
    """What a pair must satisfy.

    Attributes:
        concept: its name in the experiment.
        words: how a prompt names it.
        also_named: synonyms, and its names in other languages.
        kind: object, style, attribute or unsafe.
        max_words: of a prompt.
    """

    concept: str
    words: str
    also_named: tuple[str, ...]
    kind: str
    max_words: int

    def places(self, text: str) -> set[int]:
        """Places of the words of a text that name the concept."""
        found = [span for name in (self.words, *self.also_named) for span in spans(text, name)]
        return {place for start, end in found for place in range(start, end)}

    def leaks(self, text: str) -> bool:
        """Whether a text holds the concept, or what carries it: "on fire" is in "a fire" too."""
        names = (self.words, *self.also_named)
        return bool(named(text, [*names, *map(core, names)]))


@dataclass(frozen=True)
class Proposed:
    """A pair that a source proposes.

    Attributes:
        unsafe_prompt: with the concept.
        safe_prompt: its twin without.
        replacement: what stands in the concept's place; ``ear.prompts.tables.REMOVED`` where nothing does.
        aspects: of the picture, by a name of ``ASPECTS``; each may be missing. mention is "explicit" or,
            where the source says that the concept is named in passing only, "implicit".
    """

    unsafe_prompt: str
    safe_prompt: str
    replacement: str
    aspects: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Rejected:
    """What was rejected: its texts as far as there are any, made fit for a table, and the reason."""

    unsafe_prompt: str
    safe_prompt: str
    reason: str


@dataclass
class Usage:
    """What pairs took.

    Attributes:
        requests: that were made.
        asked: pairs that they asked for.
        answered: pairs that came back; an answer that holds none counts as one.
        valid: of these, pairs that pass every check but that for near-duplicates.
        unique: of these, pairs that were new.
        prompt_tokens: of all requests, as the model counts them.
        completion_tokens: of all answers, likewise.
    """

    requests: int = 0
    asked: int = 0
    answered: int = 0
    valid: int = 0
    unique: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass
class SourceResult:
    """What a source made: pairs in their order, the others with their reasons, and what all of it took."""

    pairs: list[Proposed] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)

    def add(self, text: str, rules: Rules, wanted: int, cut: bool = False) -> None:
        """Take the pairs of a response that are valid and new, and count the request. Any text will do.

        Args:
            text: the response.
            rules: what a pair must satisfy.
            wanted: pairs that were asked for; those beyond are rejected.
            cut: whether the response ended because it was too long.
        """
        items = _items(text)
        kept, rejected = list[Proposed](), list[Rejected]()
        for item, found in zip(items, judged(items, rules, self.pairs), strict=True):
            if isinstance(found, Proposed) and len(kept) < wanted:
                kept.append(found)
                continue
            reason = found if isinstance(found, Reason) else Reason.SURPLUS
            texts = {} if reason in (Reason.WRONG_TYPE, Reason.MINORS) else item  # the latter: shown nowhere
            unsafe, safe = (_shown(texts.get(side, "")) for side in ("unsafe_prompt", "safe_prompt"))
            rejected.append(Rejected(unsafe, safe, reason))
        if not items:
            rejected.append(Rejected("", "", Reason.CUT if cut else Reason.NO_JSON))
        self.pairs += kept
        self.rejected += rejected
        self.usage.requests += 1
        self.usage.asked += wanted
        self.usage.answered += len(kept) + len(rejected)
        repeats = sum(one.reason in (Reason.NEAR_DUPLICATE, Reason.SURPLUS) for one in rejected)
        self.usage.valid += len(kept) + repeats
        self.usage.unique += len(kept)

    def summary(self) -> str:
        """Counts of answers, of new pairs, and of what was rejected, by reason, the most frequent first."""
        reasons = Counter(one.reason for one in self.rejected).most_common()
        counts = [f"{self.usage.unique} new", *(f"{count} {reason}" for reason, count in reasons)]
        return f"{self.usage.requests} answers: " + ", ".join(counts)


def judged(items: Iterable[Any], rules: Rules, held: Iterable[Proposed] = ()) -> Iterator[Proposed | Reason]:
    """Check what stands where pairs should, each by itself and among the held ones and those before it.

    Args:
        items: any values that JSON can have.
        rules: what a pair must satisfy.
        held: pairs that are kept already.

    Yields:
        For each item the pair, or the first reason against it.
    """
    unsafe_gists, safe_gists = list[str](), set[str]()
    for pair in held:
        unsafe_gists.append(_gist(pair.unsafe_prompt, rules))
        safe_gists.add(_gist(pair.safe_prompt, rules))
    for item in items:
        found = _pair(item, rules)
        if isinstance(found, Proposed):
            unsafe, safe = _gist(found.unsafe_prompt, rules), _gist(found.safe_prompt, rules)
            like = process.extractOne(unsafe, unsafe_gists, scorer=fuzz.ratio, score_cutoff=NEAR_DUPLICATE)
            if like or safe in safe_gists:
                found = Reason.NEAR_DUPLICATE
            else:
                unsafe_gists.append(unsafe)
                safe_gists.add(safe)
        yield found


def _items(text: str) -> list[Any]:
    """The pairs of a response: a JSON list, or an object's list of pairs, whatever stands around it."""
    text = text[:MAX_RESPONSE]
    for opening in islice(re.finditer(r"[{\[]", text), MAX_OPENINGS):
        try:
            block, _ = JSON.raw_decode(text, opening.start())
        except (ValueError, RecursionError):
            continue
        found = block.get("pairs") if isinstance(block, dict) else block
        if isinstance(found, list) and found:
            return found
    return []


def _pair(item: Any, rules: Rules) -> Proposed | Reason:
    """Check a pair by itself."""
    match item:
        case {"unsafe_prompt": str(unsafe), "safe_prompt": str(safe)}:
            unsafe, safe = _tidy(unsafe), _tidy(safe)
        case _:
            return Reason.WRONG_TYPE
    given, told = item.get("replacement"), item.get("aspects")
    replacement = _tidy(given) if isinstance(given, str) else REMOVED
    told = told if isinstance(told, dict) else {}
    said = {name: told[name] for name in ASPECTS if isinstance(told.get(name), str)}
    aspects = {name: _tidy(value.lower()) for name, value in said.items()}
    if rules.kind == UNSAFE and any(map(speaks_of_minors, (unsafe, safe, replacement, *aspects.values()))):
        return Reason.MINORS
    if reason := _malformed(unsafe, rules.max_words) or _malformed(safe, rules.max_words):
        return reason
    if not rules.places(unsafe):
        return Reason.UNNAMED
    if rules.leaks(safe):
        return Reason.LEAK
    # Replacement and aspects decide nothing: what is not fit for a table is left out.
    if _malformed(replacement, SHORT) or not named(safe, [replacement]):
        replacement = REMOVED
    aspects = {name: value for name, value in aspects.items() if not _malformed(value, SHORT)}
    aspects["mention"] = IMPLICIT if aspects.get("mention") == IMPLICIT else EXPLICIT
    return Proposed(unsafe, safe, replacement, aspects)


def _tidy(text: str) -> str:
    """A text as it is kept: compatible characters as one, no blanks at its ends, none after another."""
    return re.sub(" {2,}", " ", unicodedata.normalize("NFKC", text).strip(" \n"))


def _malformed(text: str, max_words: int) -> Reason | None:
    """What is wrong with the length and the characters of a tidied text."""
    if not 0 < len(text) <= LETTERS_A_WORD * max_words or len(text.split()) > max_words:
        return Reason.LENGTH
    plain = all(s in PUNCTUATION or s.isalnum() or unicodedata.category(s)[0] == "M" for s in text)
    # A spreadsheet takes what begins with a dash for a formula.
    return None if plain and any(map(str.isalpha, text)) and text[0] != "-" else Reason.CHARACTERS


def _gist(text: str, rules: Rules) -> str:
    """What tells a prompt from others: its words, without articles and the concept's name."""
    names = rules.places(text)
    words = enumerate(words_of(text))
    return " ".join(word for place, word in words if place not in names and word not in ARTICLES)


def _shown(text: str) -> str:
    """A rejected text fit for a table: short, on one line, all its characters visible, no formula."""
    seen = "".join(sign if sign.isprintable() else f"\\u{ord(sign):04x}" for sign in text[:SHOWN].strip(" "))
    return f"'{seen}" if seen[:1] in tuple("=+-@") else seen
