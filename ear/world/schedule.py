"""The learning-rate schedule of the mini world's trainings."""

from math import cos, pi


def rate_at(step: int, steps: int, warmup_steps: int, peak: float) -> float:
    """Linear rise to ``peak`` over ``warmup_steps``, then a cosine to zero at ``steps``."""
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    return peak * 0.5 * (1 + cos(pi * (step - warmup_steps) / max(1, steps - warmup_steps)))
