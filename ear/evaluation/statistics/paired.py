"""Differences of two methods on the same prompts: intervals, fine-tuning seeds beside them, tests.

Estimands, assumptions and measured coverage: docs/explanation/statistics.md.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special

from ear.errors import InputError
from ear.evaluation.statistics.intervals import CONFIDENCE, cluster_sums, effective_number

POWER = 0.8
LEAST_P = 1e-12
"""p values are not followed below this one."""

Ends = Callable[[float], tuple[float, float]]
"""Coverage → ends of an interval."""


@dataclass(frozen=True)
class Difference:
    """How much more one method has than another; the 95 % interval is NaN where there is none, p two-sided.

    ``smallest_shown`` is the smallest difference that as many prompts and seeds would show (5 %, two-sided)
    with a chance of 80 %, the spread being what it is here.
    """

    value: float
    low: float
    high: float
    p: float
    smallest_shown: float
    prompts: int
    seeds: int


def tango(more: float, less: float, n: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Score interval for the difference of two paired proportions (Tango, Statistics in Medicine 17, 1998).

    It holds the differences δ for which |more − less − n δ| ≤ z √(n (2 q + δ (1 − δ))), q being the most
    likely chance of a pair of the second kind where the difference is δ. At δ = 0 that is McNemar's test.

    Args:
        more: pairs of which only the first counts; it may be a fraction, as ``n`` may.
        less: pairs of which only the second counts.
        n: all pairs.
        confidence: coverage of the interval.
    """
    z = float(special.ndtri((1 + confidence) / 2))
    value = (more - less) / n

    def excess(delta: float) -> float:
        b = (2 * n - more + less) * delta - more - less
        q = (np.sqrt(max(0.0, b * b + 8 * n * less * delta * (1 - delta))) - b) / (4 * n)
        spread = max(0.0, n * (2 * q + delta * (1 - delta)))
        return abs(more - less - n * delta) - z * float(np.sqrt(spread))

    def end(bound: float) -> float:
        beside = value + 1e-9 * (bound - value)  # at the value itself nothing is in excess
        if excess(beside) >= 0:
            return value
        return bound if excess(bound) <= 0 else float(optimize.brentq(excess, beside, bound, xtol=1e-12))

    return end(-1.0), end(1.0)


def mcnemar(more: int, less: int) -> float:
    """Exact two-sided McNemar test: are the pairs that differ as often of the one kind as of the other?"""
    from scipy import stats  # late: figures and the report do not test

    return float(stats.binomtest(more, more + less).pvalue) if more + less else 1.0


def holm(p: ArrayLike) -> np.ndarray:
    """p values corrected for their number (Holm, Scandinavian Journal of Statistics 6, 1979).

    Args:
        p: (N,) p values of one family; NaN ones do not count and stay NaN.

    Returns:
        (N,) corrected, at most 1: reject those up to 5 %, and the chance of any false rejection is up to 5 %.
    """
    p = np.asarray(p, dtype=np.float64)
    corrected = np.full(p.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1, np.maximum.accumulate(factors * p[order]))
    return corrected


def rate_difference(first: ArrayLike, second: ArrayLike, prompts: ArrayLike, seeds: ArrayLike) -> Difference:
    """Difference of two rates, from pairs of verdicts on the same prompt and the same random numbers.

    What prompts and sampling leave open is Tango's interval with an effective number of pairs, where pairs of
    one prompt are one cluster, over images and seeds
    (:func:`ear.evaluation.statistics.intervals.clustered_wilson`). Student's t over the seeds' differences
    comes beside it. With one seed, the difference is that of the trained models at hand.

    p is McNemar's exact one with one seed and one image a prompt, which is not below 5 % where the interval
    holds 0; else that of the least coverage whose interval holds 0.

    Args:
        first: (N,) booleans of the one method.
        second: (N,) of the other.
        prompts: (N,) the prompt of each pair.
        seeds: (N,) the fine-tuning seed of each pair.
    """
    signs, value, deviations = _paired(first, second, prompts)  # signs: 1, 0 or −1
    n, m = len(signs), len(deviations)
    n_eff = effective_number(float((signs**2).mean()) - value**2, deviations, n)
    more, less = int((signs > 0).sum()), int((signs < 0).sum())

    def ends(confidence: float) -> tuple[float, float]:
        return tango(more * n_eff / n, less * n_eff / n, n_eff, confidence)

    exact = mcnemar(more, less) if m == n and len(np.unique(seeds)) == 1 else None
    return _with_seeds(signs, seeds, ends, m, (-1, 1), exact)


def mean_difference(first: ArrayLike, second: ArrayLike, prompts: ArrayLike, seeds: ArrayLike) -> Difference:
    """Difference of two means, from pairs of scores on the same prompt and the same random numbers.

    Estimand, arguments and seeds as in :func:`rate_difference`; what the prompts leave open is Student's t
    over the prompts' differences.
    """
    differences, value, deviations = _paired(first, second, prompts)
    m, error = len(deviations), np.nan
    if m > 1:
        error = float(np.sqrt(m / (m - 1) * (deviations**2).sum()) / len(differences))

    def ends(confidence: float) -> tuple[float, float]:
        half = float(special.stdtrit(max(m - 1, 1), (1 + confidence) / 2)) * error
        return value - half, value + half

    return _with_seeds(differences, seeds, ends, m, (-np.inf, np.inf))


def _paired(first: ArrayLike, second: ArrayLike, prompts: ArrayLike) -> tuple[np.ndarray, float, np.ndarray]:
    """Differences (N,), their mean, and of each prompt's sum (M,) how far it is from what that expects."""
    differences = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    if not (len(differences) and np.isfinite(differences).all()):
        raise InputError(f"difference: found {len(differences)} pairs, wanted one or more, all finite")
    value = float(differences.mean())
    counts, sums = cluster_sums(differences, prompts)
    return differences, value, sums - value * counts


def _with_seeds(
    differences: np.ndarray,
    seeds: ArrayLike,
    ends: Ends,
    prompts: int,
    bounds: tuple[float, float],
    exact: float | None = None,
) -> Difference:
    """The difference with both levels: seeds' half-width and each half-width of ``ends`` in quadrature.

    ``exact`` is a p value that is taken instead of the interval's.
    """
    value = float(differences.mean())
    counts, sums = cluster_sums(differences, seeds)
    number = len(counts)
    error = float((sums / counts).std(ddof=1) / np.sqrt(number)) if number > 1 else 0.0

    def both(confidence: float) -> tuple[float, float]:
        low, high = ends(confidence)
        half = _quantile((1 + confidence) / 2, number) * error
        return value - float(np.hypot(value - low, half)), value + float(np.hypot(high - value, half))

    low, high = ends(CONFIDENCE)
    # Two-sided at 5 % and with 80 % power: standard errors of the prompts and of the seeds, in quadrature.
    tail = (1 + CONFIDENCE) / 2
    of_prompts = (high - low) / 2 * (1 + float(special.ndtri(POWER) / special.ndtri(tail)))
    of_seeds = (_quantile(tail, number) + _quantile(POWER, number)) * error
    shown = float(np.hypot(of_prompts, of_seeds))
    low, high = np.clip(both(CONFIDENCE), *bounds)
    p = _p_value(value, both) if exact is None else exact
    return Difference(value, float(low), float(high), p, shown, prompts, number)


def _p_value(value: float, ends: Ends) -> float:
    """1 less the least coverage whose interval holds 0: the test that the interval turns into."""
    end = 0 if value > 0 else 1

    def outside(p: float) -> float:
        return ends(1 - p)[end] * (1 if value > 0 else -1)

    if value == 0:
        return 1.0
    if np.isnan(outside(0.5)):
        return np.nan
    if outside(LEAST_P) > 0:
        return LEAST_P
    if outside(1 - LEAST_P) <= 0:
        return 1.0
    # On the scale of its logarithm a small p is as exact as a great one.
    return float(
        np.exp(optimize.brentq(lambda log: outside(np.exp(log)), np.log(LEAST_P), np.log1p(-LEAST_P)))
    )


def _quantile(probability: float, seeds: int) -> float:
    return float(special.stdtrit(seeds - 1, probability)) if seeds > 1 else 0.0
