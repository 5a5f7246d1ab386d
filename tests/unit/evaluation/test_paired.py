import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from ear.errors import InputError
from ear.evaluation.statistics.paired import LEAST_P, holm, mcnemar, mean_difference, rate_difference, tango

PAIRS = st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(1, 60))


def score(delta, more, less, same):
    """The score statistic at a difference, with the most likely nuisance chance found by a search."""
    n = more + less + same

    def unlikely(q):
        chances = np.clip([q + delta, q, 1 - 2 * q - delta], 1e-300, 1)
        return -(np.array([more, less, same]) * np.log(chances)).sum()

    least, most = max(0.0, -delta), (1 - delta) / 2
    q = optimize.minimize_scalar(unlikely, bounds=(least, most), method="bounded", options={"xatol": 1e-12}).x
    return (more - less - n * delta) / np.sqrt(n * (2 * q + delta * (1 - delta)))


@settings(max_examples=30)
@given(PAIRS)
def test_the_ends_of_tangos_interval_are_where_the_score_test_turns(counts):
    more, less, same = counts
    low, high = tango(more, less, more + less + same)
    value = (more - less) / sum(counts)
    assert -1 < low < value < high < 1
    z = stats.norm.ppf(0.975)
    assert score(low, *counts) == pytest.approx(z, rel=2e-4)
    assert score(high, *counts) == pytest.approx(-z, rel=2e-4)


@settings(max_examples=30)
@given(st.integers(2, 500))
def test_pairs_that_all_agree_or_all_differ_have_the_interval_in_closed_form(n):
    share = stats.norm.ppf(0.975) ** 2 / (n + stats.norm.ppf(0.975) ** 2)
    assert tango(0, 0, n) == pytest.approx((-share, share), abs=1e-9)
    assert tango(n, 0, n)[1] == 1 and tango(0, n, n)[0] == -1


@settings(max_examples=30)
@given(st.lists(st.one_of(st.floats(0, 1), st.just(np.nan)), max_size=8))
def test_holm_rejects_as_its_own_steps_do(p):
    def rejected(level):
        """Holm's steps: the least first, until one is too great."""
        order, out = sorted((value, place) for place, value in enumerate(p) if value == value), set()
        for step, (value, place) in enumerate(order):
            if value * (len(order) - step) > level:
                break
            out.add(place)
        return out

    corrected = holm(p)
    assert np.isnan(corrected).tolist() == np.isnan(p).tolist()
    for level in (0.001, 0.05, 0.3, 0.999):
        assert {place for place, value in enumerate(corrected) if value <= level} == rejected(level)


def one_seed(more, less, same):
    first = [True] * more + [False] * less + [True] * same
    second = [False] * more + [True] * less + [True] * same
    return rate_difference(first, second, np.arange(len(first)), np.zeros(len(first)))


@settings(max_examples=30)
@given(PAIRS)
def test_one_seed_has_tangos_interval_and_mcnemars_p(counts):
    found, n = one_seed(*counts), sum(counts)
    assert (found.value, found.prompts, found.seeds) == (pytest.approx((counts[0] - counts[1]) / n), n, 1)
    assert (found.low, found.high) == pytest.approx(tango(*counts[:2], n))
    assert found.p == pytest.approx(mcnemar(*counts[:2]))
    if found.p <= 0.05:
        assert found.low > 0 or found.high < 0


def test_copies_of_a_pair_do_not_make_it_more_certain_and_independent_ones_do():
    alone = one_seed(9, 3, 60)
    rng = np.random.default_rng(0)
    first, second = np.repeat([True, False, True], [9, 3, 60]), np.repeat([False, True, True], [9, 3, 60])
    prompts, seeds = np.repeat(np.arange(72), 4), np.zeros(288)
    copies = rate_difference(np.repeat(first, 4), np.repeat(second, 4), prompts, seeds)
    assert (copies.low, copies.high) == pytest.approx((alone.low, alone.high))
    apart = rate_difference(rng.random(288) < 0.9, rng.random(288) < 0.85, prompts, seeds)
    assert apart.high - apart.low < 0.65 * (alone.high - alone.low)


def test_a_mean_over_one_seed_has_students_interval_and_p():
    x, y = np.random.default_rng(1).normal(0.2, 1, size=(2, 40))
    found = mean_difference(x, y, np.arange(40), np.zeros(40))
    test = stats.ttest_rel(x, y)
    ends = test.confidence_interval(0.95)
    assert (found.value, found.low, found.high) == pytest.approx(((x - y).mean(), ends.low, ends.high))
    assert found.p == pytest.approx(test.pvalue, rel=1e-6)


def test_with_many_prompts_that_agree_several_seeds_have_students_interval_and_p():
    seeds = np.repeat([0, 1, 2, 3], 50)
    differences = np.array([0.5, 0.9, 0.1, 0.7])[seeds]
    found = mean_difference(differences, np.zeros(200), np.tile(np.arange(50), 4), seeds)
    test = stats.ttest_1samp([0.5, 0.9, 0.1, 0.7], 0)
    ends = test.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high))
    assert found.p == pytest.approx(test.pvalue, rel=1e-6) and found.seeds == 4


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 3]), st.floats(0.02, 0.98), st.floats(0, 1.5))
def test_p_is_below_5_percent_where_the_interval_leaves_0_out(seed, number, rate, shift):
    rng = np.random.default_rng(seed)
    seeds, prompts = np.repeat(np.arange(number), 40), np.tile(np.arange(40), number)
    chance = rate / (rate + (1 - rate) * np.exp(shift * rng.normal(size=number)))[seeds]
    first, second = rng.random(40 * number) < chance, rng.random(40 * number) < rate
    rates = rate_difference(first, second, prompts, seeds)
    means = mean_difference(first + rng.random(), second, prompts, seeds)
    assert rates.smallest_shown > 0
    assert (means.smallest_shown > 0) == (len(set(first.astype(int) - second)) > 1)
    for found in (rates, means):
        assert LEAST_P <= found.p <= 1
        if abs(found.p - 0.05) > 1e-6:
            assert (found.p < 0.05) == (found.low > 0 or found.high < 0)


def test_what_is_called_the_smallest_shown_difference_is_shown_four_times_in_five():
    rng, n = np.random.default_rng(2), 80
    size = mean_difference(rng.normal(size=n), np.zeros(n), np.arange(n), np.zeros(n)).smallest_shown
    shown = [
        mean_difference(rng.normal(size, 1, n), np.zeros(n), np.arange(n), np.zeros(n)).p < 0.05
        for _ in range(200)
    ]
    assert 0.72 < np.mean(shown) < 0.9


def test_one_prompt_has_no_interval_of_its_mean_and_none_is_refused():
    found = mean_difference([2.0], [1.0], ["a"], [0])
    assert found.value == 1 and np.isnan([found.low, found.high, found.p]).all()
    with pytest.raises(InputError, match="found 0 pairs"):
        rate_difference([], [], [], [])
