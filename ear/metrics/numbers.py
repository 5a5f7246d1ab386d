"""The numbers that models give of images are checked before anything is computed from them."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from ear.errors import InputError


def check_numbers(
    values: ArrayLike,
    of: Callable[[int], object],
    what: str,
    low: float = -np.inf,
    high: float = np.inf,
) -> None:
    """Refuse numbers that are not finite or not in their range.

    Args:
        values: (N, …) numbers, a row an image.
        of: row → the image's name, called for the first bad row alone.
        what: what the numbers are, "features".
        low: least number that is right.
        high: greatest one.

    Raises:
        InputError: a number is NaN, infinite or outside of the range; it names the first such image.
    """
    array = np.asarray(values, dtype=np.float64)
    rows = array.reshape(len(array), -1)
    right = np.isfinite(rows) & (rows >= low) & (rows <= high)
    if right.all():
        return
    row, column = np.argwhere(~right)[0]
    wanted = "finite numbers" if np.isinf([low, high]).all() else f"numbers from {low:g} to {high:g}"
    raise InputError(
        f"{of(int(row))}: {what}: found {rows[row, column]:g}, wanted {wanted}; "
        "check the image, and the weights of the model that gave it"
    )
