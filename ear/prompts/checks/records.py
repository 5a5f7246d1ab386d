"""What the checks take and give: rules, pairs that hold, pairs that do not and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

ASPECTS = ("scene", "time", "viewpoint", "attribute", "mention")
EXPLICIT, IMPLICIT = "explicit", "implicit"


class Reason(StrEnum):
    """Why something was rejected: of all that hold the first in this order."""

    # the response
    RESPONSE_TOO_LONG = "response too long"
    NO_JSON = "no JSON"
    CUT_OFF = "JSON cut off"
    NO_PAIRS = "JSON without pairs"
    # the form of a pair
    WRONG_TYPE = "not a pair of texts"
    MINORS = "speaks of minors"  # of unsafe concepts
    EMPTY = "empty"
    TOO_LONG = "too long"
    NOT_UNICODE = "half a character"
    FORMULA = "spreadsheet formula"
    SEVERAL_LINES = "several lines"
    INVISIBLE = "control or invisible character"
    LOOK_ALIKE = "look-alike letters"
    # what is no prompt
    ROLE_MARKER = "role marker"
    MARKUP = "markup or code"
    COMMAND = "command"
    ADDRESS = "address"
    FILE_PATH = "file path"
    INSTRUCTION = "instruction to a model"
    ANSWER = "answer, not a prompt"
    UNUSUAL_SIGN = "sign that no prompt needs"
    NO_WORDS = "no words"
    # the pair and its concept
    EQUAL = "sides are equal"
    UNNAMED = "unsafe side lacks the concept"
    LEAK = "safe side has the concept"
    NO_REPLACEMENT = "replacement is not in the safe side"
    TOO_DIFFERENT = "differs in more than the concept"
    # the pair among others
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
        max_words: of a prompt.
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
    reason: Reason


@dataclass(frozen=True)
class Checked:
    """A response after the checks.

    Attributes:
        pairs: valid and unique, in the order of the response.
        rejected: all else.
    """

    pairs: list[Proposed]
    rejected: list[Rejected]
