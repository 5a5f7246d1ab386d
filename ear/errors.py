"""The one exception that speaks to the person who can mend the input."""


class InputError(ValueError):
    """Bad input: a file, a row or a config key that its owner can mend.

    The message is one line that names where it is, what was found and what is wanted. Entry points print it
    without a traceback.
    """
