"""The learning-rate schedule and the loss curve of the mini world's trainings."""

from collections.abc import Mapping
from math import cos, pi

import pandas as pd

LOG_EVERY = 25  # steps a point of the curve


def rate_at(step: int, steps: int, warmup_steps: int, peak: float) -> float:
    """Linear rise to ``peak`` over ``warmup_steps``, then a cosine to zero at ``steps``."""
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    return peak * 0.5 * (1 + cos(pi * (step - warmup_steps) / max(1, steps - warmup_steps)))


class LossCurve:
    """Means of one or more losses over every ``LOG_EVERY`` steps.

    Args:
        steps: steps of the training; the last point ends with it.
    """

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._points: list[tuple[int, str, float]] = []
        self._recent: list[Mapping[str, float]] = []

    def add(self, step: int, losses: Mapping[str, float]) -> None:
        """Take the losses of one step, counted from 0, by the name of what they train."""
        self._recent.append(losses)
        if (step + 1) % LOG_EVERY == 0 or step + 1 == self._steps:
            for stage in losses:
                mean = sum(each[stage] for each in self._recent) / len(self._recent)
                self._points.append((step + 1, stage, mean))
            self._recent.clear()

    def table(self) -> pd.DataFrame:
        """One row a point and stage: columns step, stage and loss."""
        return pd.DataFrame(self._points, columns=["step", "stage", "loss"])
