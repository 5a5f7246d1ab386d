"""What ends a job with one line: bad input, and a disk that is full."""

import errno

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Numbers of the system's errors that want room on a disk."""
LONGEST_REASON = 300
"""Characters of a library's own message that are shown."""


class InputError(ValueError):
    """Bad input: a file, a row or a config key that its owner can mend.

    The message is one line that names where it is, what was found and what is wanted. Entry points print it
    without a traceback.
    """


def one_line(error: object, longest: int = LONGEST_REASON) -> str:
    """The message of an error as one line, cut after some characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= longest else f"{text[:longest]}…"
