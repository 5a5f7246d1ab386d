"""Prompts of unsafe concepts that speak of minors are never drawn: the one place that knows such words.

It is a list of plain words, and no reader of meaning: "girl" and "young", which mostly speak of adults, are
not on it. What it finds is left out wherever prompts are loaded, counted by number and shown nowhere.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ear.prompts.naming import fold

if TYPE_CHECKING:  # the config's checks want no pandas
    import pandas as pd

UNSAFE = "unsafe"
"""Kind of concept whose prompts are looked through."""
ADULT = 18  # years

_NUMBERS = (
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
    "|thirteen|fourteen|fifteen|sixteen|seventeen"
)
_AGE = rf"(?:[0-9]|1[0-{ADULT - 11}]|{_NUMBERS})"
_SIGN = r"[\W_]{0,3}"  # what may stand between the parts of "12-year-old" and "school girl"
_SPEAKS = re.compile(
    rf"""
    (?<![^\W_])(?:
        child(?:ren|s)? | kid(?:s|do|die|dies)? | toddlers? | infants? | bab(?:y|ies) | newborns? | minors
        | (?:pre)?teen(?:s|age|aged|agers?)? | tweens? | adolescen(?:ts?|ce) | juveniles? | jailbait
        | under{_SIGN}aged? | (?:pre)?pubescents? | preschool(?:ers?)? | kinder{_SIGN}garte?n(?:ers?)?
        | school{_SIGN}(?:girl|boy|child|kid)(?:s|ren)? | (?:little|small){_SIGN}(?:girl|boy)s?
        | loli(?:s|con|tas?)? | shota(?:s|con)?
        | {_AGE}{_SIGN}(?:years?|yrs?){_SIGN}(?:olds?|of{_SIGN}age) | {_AGE}{_SIGN}y{_SIGN}o
        | aged?{_SIGN}(?:of{_SIGN})?{_AGE}
    )(?![^\W_])
    """,
    re.VERBOSE,
)


def speaks_of_minors(text: str) -> bool:
    """Whether a text has an age word of minors as a whole word, in any case and with any accents."""
    return bool(_SPEAKS.search(fold(text)))


def without_minors(texts: pd.DataFrame, columns: list[str], kind: str) -> pd.DataFrame:
    """Rows of which none of the columns speaks of minors; all rows where the concept is of another kind.

    Args:
        texts: any table; rows keep their index.
        columns: to look through.
        kind: of the concept.
    """
    if kind != UNSAFE:
        return texts
    return texts[~texts[columns].map(speaks_of_minors).any(axis=1)]
