"""A value with its 95 % interval: Wilson for rates, the bootstrap for means, Student's t over seeds.

Estimands, assumptions and measured coverage: docs/explanation/statistics.md.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import special

from ear.errors import InputError
from ear.workflow.seeding import stable_seed

CONFIDENCE = 0.95
RESAMPLES = 2000

_BLOCK = 4_000_000  # numbers that are resampled at once (32 MB); the draws do not depend on it


class Interval(NamedTuple):
    """A measured value, the ends of its interval (NaN where there is none) and the number of items."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


NOTHING = Interval(np.nan, np.nan, np.nan, 0)


def wilson(successes: float, n: float) -> Interval:
    """Rate with Wilson's score interval (1927), which stays inside [0, 1] and has a width at rates 0 and 1.

    Args:
        successes: number of items that count, 0 … n; a fraction where it is a mean number over seeds.
        n: number of items, perhaps an effective one. With 0 items every number is NaN.

    Raises:
        InputError: ``successes`` is not in 0 … n.
    """
    if not 0 <= successes <= n:
        raise InputError(f"rate: found {successes} successes of {n}, wanted 0 to {n}")
    if n == 0:
        return NOTHING
    rate, z = successes / n, float(special.ndtri((1 + CONFIDENCE) / 2))
    centre = (rate + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * float(np.sqrt(rate * (1 - rate) / n + (z / (2 * n)) ** 2))
    low = 0.0 if successes == 0 else max(0.0, centre - half)  # without rounding at the bounds
    return Interval(rate, low, 1.0 if successes == n else min(1.0, centre + half), round(n))


def clustered_wilson(shown: ArrayLike, clusters: ArrayLike) -> Interval:
    """Rate over images where one prompt gives several: Wilson's interval with an effective number of images.

    The estimand is the chance that a new image of a new prompt counts. With k_j of the c_j images of prompt j
    counting, K and N their sums over the M prompts and p = K / N:

        V     = Σ_j (k_j − p c_j)² / N²                    variance of p, from the prompts' sums
        n_eff = p (1 − p) / V, within M … N

    and the interval is Wilson's at K · n_eff / N of n_eff (Korn and Graubard, Survey Methodology 24, 1998, do
    the like for Clopper and Pearson's). Where none or all count, n_eff is M.

    Args:
        shown: (N,) booleans: which images count.
        clusters: (N,) the prompt of each.
    """
    shown = np.asarray(shown, dtype=np.float64)  # (N,)
    n = shown.size
    if n == 0:
        return NOTHING
    counts, sums = cluster_sums(shown, clusters)
    total = shown.sum()
    n_eff = effective_number(total / n * (1 - total / n), sums - total / n * counts, n)
    _, low, high, _ = wilson(total * n_eff / n, n_eff)
    # Rounding of the effective counts must not move the ends off the bounds.
    return Interval(float(total / n), 0.0 if total == 0 else low, 1.0 if total == n else high, n)


def cluster_sums(values: np.ndarray, clusters: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Number of the values (N,) of each cluster, and their sum, both (M,), clusters by name."""
    index, _ = pd.factorize(np.asarray(clusters), sort=True)
    return np.bincount(index).astype(np.float64), np.bincount(index, weights=values)


def effective_number(variance: float, deviations: np.ndarray, n: int) -> float:
    """How many independent items would leave a mean as uncertain as n items in M clusters do: M … n.

    ``variance`` is that of one item, ``deviations`` (M,) are each cluster's sum less what the mean expects of
    it. Where no cluster deviates, it is M.
    """
    squares = float((deviations**2).sum())
    number = len(deviations) if squares <= 1e-12 * n else variance * n**2 / squares
    return float(np.clip(number, len(deviations), n))


def over_seeds(
    seeds: Sequence[Interval], items: Interval, bounds: tuple[float, float] = (-np.inf, np.inf)
) -> Interval:
    """Mean of a score over fine-tuning seeds, which all score the same prompts: an interval of two levels.

    With v_s the S seeds' values, v their mean, [l, u] the interval ``items`` and t the quantile of Student's
    t with S − 1 degrees of freedom:

        d    = t · sd(v_1 … v_S) / √S
        low  = v − √( (v − l)² + (v − a)² )      high = v + √( (u − v)² + (b − v)² )

    with [a, b] = v ± d or, for a score with two bounds (a rate), that step taken on the scale of the log-odds
    of v between its bounds. Half-widths are added in quadrature, each end by itself (Zou and Donner's MOVER,
    Statistics in Medicine 27, 2008). The chance of a single image under a single seed is in both parts, so
    that the interval is somewhat too wide rather than too narrow.

    Args:
        seeds: the value of each seed.
        items: interval of the mean from the prompts alone, with all randomness but that of the seeds.
        bounds: least and greatest value that the score can have.

    Returns:
        The mean of the seeds' values; ``n`` is their sum. With one seed the ends are those of ``items``; they
        are NaN where those are.
    """
    values = np.array([seed.value for seed in seeds])  # (S,)
    mean, n = float(values.mean()), sum(seed.n for seed in seeds)
    if len(values) == 1:
        return Interval(mean, items.low, items.high, n)
    quantile = special.stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2)
    least, most = _stepped(mean, float(quantile * values.std(ddof=1) / np.sqrt(len(values))), bounds)
    low = mean - np.hypot(mean - items.low, mean - least)
    high = mean + np.hypot(items.high - mean, most - mean)
    low, high = np.clip([low, high], *bounds)  # carries NaN along; max() and min() would not
    return Interval(mean, float(low), float(high), n)


def _stepped(value: float, step: float, bounds: tuple[float, float]) -> tuple[float, float]:
    """A step down and one up: between two bounds as long on the scale of log-odds as it is at the value."""
    least, most = bounds
    if not np.isfinite(bounds).all() or not least < value < most:
        return value - step, value + step
    share = (value - least) / (most - least)
    ends = special.expit(
        special.logit(share) + np.array([-1, 1]) * step / ((most - least) * share * (1 - share))
    )
    return least + (most - least) * float(ends[0]), least + (most - least) * float(ends[1])


def difference(one: Interval, other: Interval) -> Interval:
    """``one`` less ``other``, half-widths in quadrature, each end by itself (MOVER); ``n`` is of ``other``.

    Right where the two are independent, and rather too wide for methods that are measured on the same
    prompts. NaN ends stay NaN.
    """
    value = one.value - other.value
    low = value - float(np.hypot(one.value - one.low, other.high - other.value))
    high = value + float(np.hypot(one.high - one.value, other.value - other.low))
    return Interval(value, low, high, other.n)


def bootstrap_mean(values: ArrayLike, clusters: ArrayLike, seed: int = 0) -> Interval:
    """Mean with a percentile bootstrap interval: a resample draws clusters, each with all of its rows.

    Args:
        values: (N,) numbers.
        clusters: (N,) names, as the prompt of each row; with fewer than two of them the ends are NaN.
        seed: of the resamples.

    Raises:
        InputError: a value is not finite.
    """
    values = np.asarray(values, dtype=np.float64)  # (N,)
    if values.size == 0:
        return NOTHING
    if broken := np.count_nonzero(~np.isfinite(values)):
        raise InputError(f"mean: found {broken} values that are not finite, wanted none")
    counts, sums = cluster_sums(values, clusters)
    low, high = bootstrap_ends((sums, counts), _ratio_of_sums, seed)
    return Interval(float(values.mean()), low, high, values.size)


def _ratio_of_sums(sums: np.ndarray, counts: np.ndarray, axis: int = -1) -> np.ndarray:
    return sums.sum(axis=axis) / counts.sum(axis=axis)


def bootstrap_ends(
    samples: tuple[np.ndarray, ...], statistic: Callable[..., np.ndarray], seed: int = 0
) -> tuple[float, float]:
    """Ends of the percentile bootstrap interval of any statistic of paired samples.

    Args:
        samples: arrays of equal length (N,), whose rows are items; with fewer than two the ends are NaN.
        statistic: ``statistic(*samples, axis)`` reduces the axis; called with arrays (resamples, N).
        seed: of the resamples.
    """
    n = len(samples[0])
    if n < 2:
        return np.nan, np.nan
    # Late: it takes longer to import than most jobs that read tables take to run.
    from scipy import stats

    interval = stats.bootstrap(
        samples,
        statistic,
        paired=True,
        vectorized=True,
        axis=-1,
        n_resamples=RESAMPLES,
        batch=max(1, _BLOCK // n),
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(stable_seed("bootstrap", seed)),
    ).confidence_interval
    return float(interval.low), float(interval.high)
