"""Ranks and Pareto fronts say no more than the intervals: held to loops over all pairs and to simulation."""

from collections.abc import Iterable
from itertools import permutations

import numpy as np
from ear.metrics.ranks import Front, Rank, difference, pareto_front, ranks, surely_better
from hypothesis import given
from hypothesis import strategies as st

from ear.metrics.intervals import Interval, wilson


def interval(ends: Iterable[float]) -> Interval:
    low, value, high = sorted(ends)
    return Interval(value, low, high, 50)


# Of 64ths, whose squares are exact: the test is of the logic, not of the last bit.
INTERVALS = st.lists(st.integers(0, 64).map(lambda part: part / 64), min_size=3, max_size=3).map(interval)
SCORES = st.dictionaries(st.sampled_from("abcdefg"), INTERVALS, min_size=1)
NUMBERS = st.integers(0, 8).map(lambda number: Interval(number / 8, number / 8, number / 8, 8))
EXACT = st.dictionaries(st.sampled_from("abcdefg"), st.tuples(NUMBERS, NUMBERS), min_size=1)


@given(SCORES, st.booleans())
def test_ranks_count_the_pairs_that_intervals_decide(scores: dict[str, Interval], lower: bool) -> None:
    better = dict.fromkeys(scores, 0)
    worse = dict.fromkeys(scores, 0)
    for one, other in permutations(scores, 2):
        a, b = scores[one], scores[other]
        if lower:
            half = ((b.value - b.low) ** 2 + (a.high - a.value) ** 2) ** 0.5
            decided = b.value - a.value > half
        else:
            half = ((a.value - a.low) ** 2 + (b.high - b.value) ** 2) ** 0.5
            decided = a.value - b.value > half
        better[other] += decided
        worse[one] += decided
    wanted = {name: Rank(1 + better[name], len(scores) - worse[name]) for name in scores}
    found = ranks(scores, lower)
    assert found == wanted
    assert all(1 <= rank.best <= rank.worst <= len(scores) for rank in found.values())
    assert min(rank.best for rank in found.values()) == 1


@given(SCORES)
def test_ranks_of_what_is_lost_are_those_of_what_is_kept(scores: dict[str, Interval]) -> None:
    kept = {name: Interval(-one.value, -one.high, -one.low, one.n) for name, one in scores.items()}
    assert ranks(scores, lower=True) == ranks(kept, lower=False)


@given(EXACT)
def test_the_front_of_exact_scores_is_that_of_brute_force(
    points: dict[str, tuple[Interval, Interval]],
) -> None:
    shown = {name: point[0] for name, point in points.items()}
    kept = {name: point[1] for name, point in points.items()}
    found = pareto_front(shown, kept)
    for name, (x, y) in points.items():
        others = [point for other, point in points.items() if other != name]
        beaten = any(a.value < x.value and b.value > y.value for a, b in others)
        safe = all(a.value > x.value or b.value < y.value for a, b in others)
        assert found[name] == (Front.NOT if beaten else Front.CERTAIN if safe else Front.POSSIBLE)
    assert any(place != Front.NOT for place in found.values())


@given(EXACT)
def test_no_truth_inside_of_the_intervals_contradicts_the_front(
    points: dict[str, tuple[Interval, Interval]],
) -> None:
    wide = {
        name: tuple(Interval(one.value, one.value - 0.2, one.value + 0.2, 8) for one in point)
        for name, point in points.items()
    }
    exact = pareto_front(
        {name: point[0] for name, point in points.items()}, {name: point[1] for name, point in points.items()}
    )
    loose = pareto_front(
        {name: point[0] for name, point in wide.items()}, {name: point[1] for name, point in wide.items()}
    )
    for name, place in loose.items():
        assert place in (exact[name], Front.POSSIBLE)


def test_methods_without_an_interval_or_a_score_decide_nothing() -> None:
    nan = float("nan")
    bare, sure = Interval(0.9, nan, nan, 10), Interval(0.1, 0.05, 0.15, 100)
    assert ranks({"bare": bare, "sure": sure}, lower=True) == {"bare": Rank(1, 2), "sure": Rank(1, 2)}
    assert pareto_front({"bare": bare, "sure": sure}, {"sure": sure}) == {"sure": Front.CERTAIN}


@given(INTERVALS, INTERVALS)
def test_only_one_of_two_is_surely_better(one: Interval, other: Interval) -> None:
    assert not (surely_better(one, other, True) and surely_better(other, one, True))
    assert surely_better(one, other, True) == surely_better(other, one, False)


def test_intervals_of_differences_hold_the_truth() -> None:
    rng, held, repetitions = np.random.default_rng(3), 0, 1000
    for _ in range(repetitions):
        rates, sizes = rng.random(2), rng.integers(20, 200, 2)
        one, other = (wilson(int(rng.binomial(n, p)), int(n)) for n, p in zip(sizes, rates, strict=True))
        apart = difference(one, other)
        held += apart.low <= rates[0] - rates[1] <= apart.high
    assert held / repetitions >= 0.93


@given(st.sets(st.integers(0, 64), min_size=6, max_size=6))
def test_disjoint_intervals_decide(ends: set[int]) -> None:
    low, high = sorted(ends)[:3], sorted(ends)[3:]
    assert surely_better(interval(low), interval(high), lower=True)
