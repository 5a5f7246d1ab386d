"""What ends a job with one line: bad input, and a disk that is full."""

import errno

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Numbers of the system's errors that want room on a disk."""


class InputError(ValueError):
    """Bad input: a file, a row or a config key that its owner can mend.

    The message is one line that names where it is, what was found and what is wanted. Entry points print it
    without a traceback.
    """
