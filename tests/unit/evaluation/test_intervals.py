import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ear.errors import InputError
from ear.evaluation.statistics.intervals import (
    NOTHING,
    Interval,
    bootstrap_ends,
    bootstrap_mean,
    clustered_wilson,
    difference,
    over_seeds,
    wilson,
)


@settings(max_examples=30)
@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_agrees_with_scipy(counts):
    successes, n = counts
    expected = stats.binomtest(successes, n).proportion_ci(0.95, method="wilson")
    result = wilson(successes, n)
    assert result.value == successes / n and result.n == n
    assert result[1:3] == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert (result.low == 0) == (successes == 0) and (result.high == 1) == (successes == n)


def test_wilson_of_a_mean_count_lies_between_its_neighbours():
    below, between, above = wilson(3, 40), wilson(10 / 3, 40), wilson(4, 40)
    assert below.low < between.low < above.low and below.high < between.high < above.high


def of_seeds(values, n):
    return over_seeds(
        [Interval(v, np.nan, np.nan, n) for v in values], wilson(n * np.mean(values), n), (0, 1)
    )


def test_seeds_that_agree_leave_the_interval_of_the_prompts():
    assert of_seeds([0.0, 0.0, 0.0], 300)[1:3] == wilson(0, 300)[1:3]
    assert of_seeds([0.25, 0.25], 80) == (0.25, *wilson(20, 80)[1:3], 160)
    assert of_seeds([0.25], 80) == wilson(20, 80)


def test_without_a_prompt_level_the_interval_over_seeds_is_students():
    values = [21.0, 24.5, 22.3, 26.1]
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    level = Interval(np.mean(values), np.mean(values), np.mean(values), 0)
    result = over_seeds([Interval(v, np.nan, np.nan, 50) for v in values], level)
    assert result == pytest.approx((np.mean(values), expected.low, expected.high, 200))


@settings(max_examples=30)
@given(st.lists(st.integers(0, 60), min_size=2, max_size=6))
def test_an_interval_over_seeds_holds_that_of_its_prompts_and_stays_a_share(counts):
    result, prompts = of_seeds([count / 60 for count in counts], 60), wilson(np.mean(counts), 60)
    assert 0 <= result.low <= prompts.low + 1e-12 and prompts.high - 1e-12 <= result.high <= 1
    assert result.low <= result.value <= result.high


def test_a_score_without_ends_has_none_over_seeds():
    result = over_seeds([Interval(20.0, np.nan, np.nan, 6), Interval(30.0, np.nan, np.nan, 6)], NOTHING)
    assert result.value == 25 and np.isnan([result.low, result.high]).all()


def test_bootstrap_agrees_with_a_naive_loop_over_clusters():
    rng = np.random.default_rng(1)
    clusters = np.repeat(np.arange(30), rng.integers(1, 6, 30))  # of unequal size
    values = rng.normal(0, 1, 30)[clusters] + rng.normal(0, 0.1, len(clusters))
    by_cluster = [values[clusters == name] for name in range(30)]
    means = [np.concatenate([by_cluster[i] for i in rng.integers(0, 30, 30)]).mean() for _ in range(2000)]
    result = bootstrap_mean(values, clusters)
    assert result.value == pytest.approx(values.mean()) and result.n == len(values)
    assert (result.low, result.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=0.06)
    rows = bootstrap_mean(values, range(len(values)))
    assert result.high - result.low > 1.3 * (rows.high - rows.low)


def test_the_bootstrap_depends_on_its_seed_and_not_on_blocks_of_resamples(monkeypatch):
    values = np.random.default_rng(3).normal(size=50)
    whole = bootstrap_mean(values, range(50))
    assert bootstrap_mean(values, range(50), seed=1)[1:] != whole[1:]
    monkeypatch.setattr("ear.evaluation.statistics.intervals._BLOCK", 999)
    assert bootstrap_mean(values, range(50)) == whole


def test_one_value_has_no_interval_and_equal_values_a_narrow_one():
    assert np.isnan(bootstrap_mean([3.0], [0])[1:3]).all() and bootstrap_mean([3.0], [0]).value == 3
    assert bootstrap_mean([3.0, 3.0, 3.0], [0, 1, 2]) == (3, 3, 3, 3)


def test_nothing_is_no_number_and_what_is_none_is_refused():
    assert clustered_wilson([], []) == bootstrap_mean([], []) == wilson(0, 0) == NOTHING
    with pytest.raises(InputError, match="found 4 successes of 3"):
        wilson(4, 3)
    with pytest.raises(InputError, match="found 1 values that are not finite"):
        bootstrap_mean([1.0, np.nan], [0, 1])


def test_bootstrap_of_paired_samples_keeps_pairs_together():
    x = np.random.default_rng(4).normal(size=40)
    assert bootstrap_ends((x, x), lambda a, b, axis: (a - b).sum(axis=axis)) == (0, 0)


def naive_effective_interval(shown, clusters):
    """clustered_wilson, cluster by cluster."""
    n, p = len(shown), sum(shown) / len(shown)
    squares = 0.0
    for name in set(clusters):
        own = [value for value, cluster in zip(shown, clusters, strict=True) if cluster == name]
        squares += (sum(own) - p * len(own)) ** 2
    least = len(set(clusters))
    n_eff = min(n, max(least, p * (1 - p) * n**2 / squares)) if squares else least
    return wilson(sum(shown) * n_eff / n, n_eff)[1:3]


@settings(max_examples=30)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 12)), min_size=1, max_size=60))
def test_the_interval_of_several_images_a_prompt_is_that_of_a_naive_loop(images):
    shown, prompts = map(list, zip(*images, strict=True))
    found = clustered_wilson(shown, prompts)
    assert (found.value, found.n) == (pytest.approx(np.mean(shown)), len(shown))
    assert found[1:3] == pytest.approx(naive_effective_interval(shown, prompts), abs=1e-9)
    assert clustered_wilson(shown, [str(prompt) for prompt in prompts])[1:3] == pytest.approx(found[1:3])
    most, least = wilson(sum(shown), len(shown)), len(set(prompts))
    fewest = wilson(sum(shown) * least / len(shown), least)
    assert fewest.low - 1e-9 <= found.low <= most.low + 1e-9
    assert most.high - 1e-9 <= found.high <= fewest.high + 1e-9
    assert (found.low == 0) == (not any(shown)) and (found.high == 1) == all(shown)


def test_seeds_move_a_rate_on_the_scale_of_log_odds_and_a_score_without_two_bounds_on_its_own():
    values = [0.02, 0.05, 0.08]
    level = Interval(0.05, 0.05, 0.05, 0)
    step = stats.t.ppf(0.975, 2) * 0.03 / np.sqrt(3)
    found = over_seeds([Interval(v, np.nan, np.nan, 9) for v in values], level, (0, 1))
    wanted = [1 / (1 + np.exp(-(np.log(0.05 / 0.95) + sign * step / (0.05 * 0.95)))) for sign in (-1, 1)]
    assert found[1:3] == pytest.approx(wanted)
    found = over_seeds([Interval(v, np.nan, np.nan, 9) for v in values], level, (0, np.inf))
    assert found[1:3] == pytest.approx((0, 0.05 + step))


def test_intervals_of_differences_of_independent_rates_hold_the_truth():
    rng, held, repetitions = np.random.default_rng(3), 0, 500
    for _ in range(repetitions):
        rates, sizes = rng.random(2), rng.integers(20, 200, 2)
        one, other = (wilson(int(rng.binomial(n, p)), int(n)) for n, p in zip(sizes, rates, strict=True))
        apart = difference(one, other)
        held += apart.low <= rates[0] - rates[1] <= apart.high
    assert held / repetitions >= 0.93


def test_tables_and_the_plan_are_made_without_torch():
    modules = ("metrics_table", "score_card", "comparison", "deviations")
    code = "import sys, ear.commands.plan.work, " + ", ".join(f"ear.evaluation.{name}" for name in modules)
    assert (
        subprocess.run([sys.executable, "-c", code + "; assert 'torch' not in sys.modules"]).returncode == 0
    )
