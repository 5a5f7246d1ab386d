"""Which methods are better for certain: ranks with their uncertainty, and the Pareto front."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from ear.metrics.intervals import Interval


class Front(StrEnum):
    """Whether a method is on the Pareto front."""

    CERTAIN = "certain"
    POSSIBLE = "possible"
    NOT = "not"


class Rank(NamedTuple):
    """Best and worst rank that the intervals leave open, both from 1."""

    best: int
    worst: int


def difference(one: Interval, other: Interval) -> Interval:
    """one − other with its interval, from two intervals of independent estimates.

    Half-widths are added in quadrature, each end by itself (Zou and Donner's MOVER, Statistics in Medicine
    27, 2008):

        low = d − √((v₁ − l₁)² + (u₂ − v₂)²)        high = d + √((u₁ − v₁)² + (v₂ − l₂)²)

    Methods that are measured on the same prompts are rather alike in their luck: for them the interval is too
    wide rather than too narrow.

    Returns:
        The interval; its ends are NaN where one of the two has none; ``n`` is the lesser.
    """
    value = one.value - other.value
    below = np.hypot(one.value - one.low, other.high - other.value)
    above = np.hypot(one.high - one.value, other.value - other.low)
    return Interval(value, float(value - below), float(value + above), min(one.n, other.n))


def surely_better(one: Interval, other: Interval, lower: bool) -> bool:
    """Whether the interval of the difference leaves only that ``one`` is better.

    Args:
        one: the score that may be better.
        other: the score it is compared with.
        lower: whether low scores are good.
    """
    apart = difference(one, other)
    return apart.high < 0 if lower else apart.low > 0  # never with NaN


def ranks(scores: Mapping[str, Interval], lower: bool) -> dict[str, Rank]:
    """Rank of each of M methods: 1 + those surely better … M − those surely worse.

    Every pair is compared at 95 % by itself; no correction is made for their number.

    Args:
        scores: method → its score, not NaN.
        lower: whether low scores are good.
    """
    return {
        method: Rank(
            1 + sum(surely_better(other, own, lower) for other in scores.values()),
            len(scores) - sum(surely_better(own, other, lower) for other in scores.values()),
        )
        for method, own in scores.items()
    }


def pareto_front(concept_rates: Mapping[str, Interval], kept: Mapping[str, Interval]) -> dict[str, Front]:
    """Which methods are on the front of little shown (low is good) and much kept (high is good).

    A method is on it for certain where it is surely better than each other in one of the two at least, and
    not on it where another is surely better in both.

    Args:
        concept_rates: method → how often the concept is shown.
        kept: method → what is kept. Methods without both scores have no place.
    """
    methods = [method for method in concept_rates if method in kept]
    found = {}
    for own in methods:
        wins, losses = [], []
        for other in methods:
            if other == own:
                continue
            pairs = ((concept_rates, True), (kept, False))
            wins.append(any(surely_better(scores[own], scores[other], low) for scores, low in pairs))
            losses.append(all(surely_better(scores[other], scores[own], low) for scores, low in pairs))
        found[own] = Front.NOT if any(losses) else Front.CERTAIN if all(wins) else Front.POSSIBLE
    return found
