"""A value with its 95 % interval: Wilson for rates, the percentile bootstrap for means and other scores."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from ear.errors import InputError
from ear.seeding import stable_seed

CONFIDENCE = 0.95
RESAMPLES = 2000

# Resamples are drawn in blocks of at most this many numbers (32 MB); the draws do not depend on the block.
_BLOCK = 4_000_000


class Interval(NamedTuple):
    """A measured value, the ends of its interval (NaN where there is none) and the number of items."""

    value: float
    low: float
    high: float
    n: int


NOTHING = Interval(np.nan, np.nan, np.nan, 0)


def wilson(successes: int, n: int, confidence: float = CONFIDENCE) -> Interval:
    """Rate with Wilson's score interval (1927), which stays inside [0, 1] and has a width at rates 0 and 1.

    Args:
        successes: number of items that count, 0 … n.
        n: number of items. With 0 items every number is NaN.
        confidence: coverage of the interval.

    Raises:
        InputError: ``successes`` is not in 0 … n.
    """
    if not 0 <= successes <= n:
        raise InputError(f"rate: found {successes} successes of {n}, wanted 0 to {n}")
    if n == 0:
        return NOTHING
    interval = stats.binomtest(int(successes), int(n)).proportion_ci(confidence, method="wilson")
    return Interval(successes / n, float(interval.low), float(interval.high), int(n))


def bootstrap_mean(
    values: ArrayLike,
    clusters: ArrayLike | None = None,
    n_resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Interval:
    """Mean with a percentile bootstrap interval, by rows or by clusters.

    A resample draws as many clusters as there are, with replacement, each with all of its rows; its mean is
    over those rows.

    Args:
        values: (N,) numbers.
        clusters: (N,) names, for example the prompt of each row where one prompt gives several images, which
            are not independent. Without it each row is its own cluster.
        n_resamples: number of resamples.
        confidence: coverage of the interval.
        seed: seed of the resamples; the same seed and values give the same interval.

    Returns:
        The interval; its ends are NaN with fewer than two clusters.

    Raises:
        InputError: a value is not finite.
    """
    values = np.asarray(values, dtype=np.float64)  # (N,)
    if values.size == 0:
        return NOTHING
    if not np.isfinite(values).all():
        raise InputError(
            f"mean: found {np.count_nonzero(~np.isfinite(values))} values that are not finite, wanted none"
        )
    if clusters is None:
        sums, counts = values, np.ones_like(values)
    else:
        _, index = np.unique(np.asarray(clusters).astype(str), return_inverse=True)
        sums, counts = np.bincount(index, weights=values), np.bincount(index).astype(np.float64)
    low, high = bootstrap_ends((sums, counts), _ratio_of_sums, n_resamples, confidence, seed)
    return Interval(float(values.mean()), low, high, values.size)


def bootstrap_ends(
    samples: tuple[np.ndarray, ...],
    statistic: Callable[..., np.ndarray],
    n_resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> tuple[float, float]:
    """Ends of the percentile bootstrap interval of any statistic of paired samples.

    Args:
        samples: arrays of equal length (N,); row i of all of them is one item.
        statistic: ``statistic(*samples, axis)`` reduces the axis; called with arrays (resamples, N).
        n_resamples: number of resamples.
        confidence: coverage of the interval.
        seed: seed of the resamples.

    Returns:
        The ends, NaN with fewer than two items.
    """
    n = len(samples[0])
    if n < 2:
        return np.nan, np.nan
    result = stats.bootstrap(
        samples,
        statistic,
        paired=True,
        vectorized=True,
        axis=-1,
        n_resamples=n_resamples,
        batch=max(1, _BLOCK // n),
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(stable_seed("bootstrap", seed)),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def _ratio_of_sums(sums: np.ndarray, counts: np.ndarray, axis: int = -1) -> np.ndarray:
    return sums.sum(axis=axis) / counts.sum(axis=axis)
