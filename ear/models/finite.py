"""Logits that are not finite end a job: whatever is drawn or answered from them is no result of the model."""

from collections.abc import Callable

import torch
from torch import Tensor

from ear.errors import InputError

WANTED = "wanted finite ones: check the model's weights or edited weights, or use a wider backbone.dtype"


def require_losses(losses: Tensor, name: Callable[[int], str]) -> None:
    """End the job if any of (B,) losses is not finite.

    Raises:
        InputError: naming the first of them.
    """
    for row in torch.nonzero(~losses.isfinite()).flatten().tolist():
        raise InputError(f"{name(row)}: found a loss of {losses[row].item()}, {WANTED}")


class FiniteWatch:
    """Notes, on the device and without waiting for it, where each row's numbers stop being finite."""

    def __init__(self) -> None:
        self._first: Tensor | None = None  # (B,) int64, the step; −1 where there is none

    def see(self, step: int, numbers: Tensor) -> None:
        """Look at the numbers of a step: (B, …), the same B rows each time."""
        broken = ~numbers.isfinite().flatten(1).all(dim=1)
        if self._first is None:
            self._first = torch.full((len(numbers),), -1, device=numbers.device)
        self._first = self._first.masked_fill(broken & (self._first < 0), step)

    def require(self, name: Callable[[int], str], what: str = "image token") -> None:
        """Wait for the device, and end the job if any number was not finite.

        Args:
            name: of a row, for the error.
            what: of a step, for the error.

        Raises:
            InputError: the first step at which a row was not finite, and the first such row.
        """
        first = [] if self._first is None else self._first.tolist()
        broken = [(step, row) for row, step in enumerate(first) if step >= 0]
        if broken:
            step, row = min(broken)
            raise InputError(f"{name(row)}, {what} {step}: found logits that are not finite, {WANTED}")
