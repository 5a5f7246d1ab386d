"""Whether a text names a concept."""

import re
from collections.abc import Sequence
from functools import cache


def named(text: str, words: Sequence[str]) -> list[str]:
    """Those of the words that a text names, without regard to case.

    A word counts where it stands whole or with a simple ending (church: churches, church's), and one of
    several parts also with hyphens or underscores between them.
    """
    return [word for word in words if _pattern(word).search(text)]


@cache
def _pattern(word: str) -> re.Pattern[str]:
    gap = r"[\s_-]+"
    whole = gap.join(re.escape(part) for part in re.split(gap, word))
    if word.lower().endswith("y"):
        whole = f"{whole[:-1]}(?:y|ie)"
    return re.compile(rf"(?<!\w){whole}(?:e?s|e?d|ing)?(?!\w)", re.IGNORECASE)
