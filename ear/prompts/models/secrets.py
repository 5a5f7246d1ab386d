"""Keys of endpoints: read from the environment, and taken out of all that comes back."""

import os
import re
import unicodedata

from ear.errors import InputError

REDACTED = "[key]"
SHORTEST = 8
"""Characters of a key, at least: taking a shorter one out would damage words that happen to hold it."""


def read_key(variable: str | None, where: str) -> str:
    """The key in an environment variable; empty where no variable is named.

    Args:
        variable: its name.
        where: key of the config that names it, for messages.

    Raises:
        InputError: the variable is not set, or what it holds is no key. The message does not show it.
    """
    if variable is None:
        return ""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise InputError(f"{where}: found {variable}, which is not set, wanted the variable with the key")
    if len(key) < SHORTEST or not re.fullmatch(r"[!-~]+", key):
        raise InputError(
            f"{where}: found {variable} with {len(key)} characters, wanted {SHORTEST} or more, visible ASCII "
            f"ones; for a server without keys, key: null"
        )
    return key


def without_key(text: str, key: str) -> str:
    """A text without a key, however the text spells it.

    A server may send back the header that it was sent. Where the key is there but not letter by letter (in
    escapes of JSON, in wide letters, with something invisible in between), nothing is left of the text.
    """
    if not key:
        return text
    text = text.replace(key, REDACTED)
    return REDACTED if key.casefold() in _plain(text).casefold() else text


def _plain(text: str) -> str:
    """A text with JSON's escapes resolved and compatible letters made alike, its visible ASCII alone."""
    escape = re.compile(r'\\(?:u([0-9a-fA-F]{4})|([/"\\]))')
    text = escape.sub(lambda found: chr(int(found[1], 16)) if found[1] else found[2], text)
    return re.sub(r"[^!-~]", "", unicodedata.normalize("NFKC", text))
