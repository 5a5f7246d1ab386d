"""From the text of a response to what may be pairs: JSON wherever it stands, whole or cut off.

A pair is an object with the keys unsafe_prompt and safe_prompt, or any element of a list under the key pairs.
Prose and code fences around JSON are passed over, several blocks are read one after the other, and of a
block that is broken or cut off those pairs are read that are whole.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from ear.prompts.checks.records import Reason

MAX_CHARACTERS = 1_000_000
"""Of a response; a longer one is not looked at. A thousand pairs have a third of that."""

LISTED = "pairs"
SIDES = frozenset(("unsafe_prompt", "safe_prompt"))

_OPENING = re.compile(r"[{\[]")
_DECODER = json.JSONDecoder(parse_int=float, parse_constant=float, strict=False)  # int() refuses 4301 digits
_RESCANS = 20  # of the whole text at most: brackets that open nothing would take quadratic time
_RECURSION_COST = 5000  # characters that a nesting too deep for the parser is counted as


def read_items(text: str) -> tuple[list[Any], list[Reason]]:
    """Find what may be pairs in a response.

    Args:
        text: any text.

    Returns:
        (items, reasons): what stands where a pair should, of any type, in the order of the text; and what is
        wrong with the response as a whole.
    """
    if len(text) > MAX_CHARACTERS:
        return [], [Reason.RESPONSE_TOO_LONG]
    blocks, cut_off = _blocks(text)
    items = [item for block in blocks for item in _items(block)]
    if cut_off:
        return items, [Reason.CUT_OFF]
    if not blocks:
        return [], [Reason.NO_JSON]
    return items, [] if items else [Reason.NO_PAIRS]


def _blocks(text: str) -> tuple[list[Any], bool]:
    """All JSON objects and lists of a text, outermost first; and whether the last one has no end."""
    blocks: list[Any] = []
    place, budget, cut_off = 0, _RESCANS * len(text), False
    end_of_text = len(text.rstrip())
    while budget >= 0 and (opening := _OPENING.search(text, place)):
        start = opening.start()
        place = start + 1
        try:
            block, place = _DECODER.raw_decode(text, start)
        except json.JSONDecodeError as error:
            unfinished = error.msg.startswith("Unterminated string") or error.pos >= end_of_text
            cut_off |= unfinished
            budget -= len(text) - start if unfinished else error.pos - start
        except RecursionError:
            budget -= _RECURSION_COST
        else:
            blocks.append(block)
    return blocks, cut_off


def _items(block: Any) -> Iterator[Any]:
    """Walks a block without recursion: its nesting is as deep as the parser's limit."""
    waiting = [block]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += reversed(one)
        elif isinstance(one, dict):
            if SIDES & one.keys():
                yield one
            elif isinstance(one.get(LISTED), list):
                yield from one[LISTED]
            else:
                waiting += reversed(one.values())
