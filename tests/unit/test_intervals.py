import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ear.errors import InputError
from ear.metrics.intervals import bootstrap_ends, bootstrap_mean, wilson


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_the_closed_form(counts):
    successes, n = counts
    z, p = stats.norm.ppf(0.975), successes / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    result = wilson(successes, n)
    assert result.value == p and result.n == n
    assert result.low == pytest.approx(max(0, centre - half), abs=1e-9)
    assert result.high == pytest.approx(min(1, centre + half), abs=1e-9)


@pytest.mark.parametrize("rate", [0.02, 0.3, 0.9])
def test_wilson_covers_the_true_rate_about_95_times_in_100(rate):
    n = 60
    low, high = np.array([wilson(k, n)[1:3] for k in range(n + 1)]).T
    covering = (low <= rate) & (rate <= high)
    coverage = stats.binom.pmf(np.arange(n + 1), n, rate)[covering].sum()
    assert 0.92 < coverage < 0.99


def test_a_rate_of_no_images_is_no_number():
    assert np.isnan(wilson(0, 0)[:3]).all() and wilson(0, 0).n == 0


def test_a_rate_above_one_is_refused():
    with pytest.raises(InputError, match="found 4 successes of 3"):
        wilson(4, 3)


def test_bootstrap_agrees_with_a_naive_loop():
    rng = np.random.default_rng(0)
    values = rng.normal(5, 2, 80)
    means = [rng.choice(values, len(values)).mean() for _ in range(4000)]
    result = bootstrap_mean(values)
    assert result.value == pytest.approx(values.mean())
    assert (result.low, result.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=0.06)


def test_cluster_bootstrap_agrees_with_a_naive_loop_and_is_wider_than_rows():
    rng = np.random.default_rng(1)
    clusters = np.repeat(np.arange(30), rng.integers(1, 6, 30))  # of unequal size
    values = rng.normal(0, 1, 30)[clusters] + rng.normal(0, 0.1, len(clusters))
    by_cluster = [values[clusters == name] for name in range(30)]
    means = [np.concatenate([by_cluster[i] for i in rng.integers(0, 30, 30)]).mean() for _ in range(4000)]
    result = bootstrap_mean(values, clusters)
    assert (result.low, result.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=0.05)
    rows = bootstrap_mean(values)
    assert result.high - result.low > 1.3 * (rows.high - rows.low)


def test_bootstrap_repeats_itself_and_depends_on_its_seed():
    values = np.random.default_rng(2).normal(size=50)
    assert bootstrap_mean(values, seed=1) == bootstrap_mean(values, seed=1)
    assert bootstrap_mean(values, seed=1)[1:] != bootstrap_mean(values, seed=2)[1:]


def test_blocks_of_resamples_do_not_change_the_interval(monkeypatch):
    values = np.random.default_rng(3).normal(size=50)
    whole = bootstrap_mean(values)
    monkeypatch.setattr("ear.metrics.intervals._BLOCK", 999)
    assert bootstrap_mean(values) == whole


def test_one_value_has_no_interval_and_equal_values_a_narrow_one():
    assert np.isnan(bootstrap_mean([3.0])[1:3]).all() and bootstrap_mean([3.0]).value == 3
    assert bootstrap_mean([3.0, 3.0, 3.0]) == (3, 3, 3, 3)
    assert bootstrap_mean([]).n == 0


def test_a_value_that_is_not_finite_is_refused():
    with pytest.raises(InputError, match="found 1 values that are not finite"):
        bootstrap_mean([1.0, np.nan])


def test_bootstrap_of_paired_samples_keeps_pairs_together():
    x = np.random.default_rng(4).normal(size=40)
    low, high = bootstrap_ends((x, x), lambda a, b, axis: (a - b).sum(axis=axis))
    assert low == high == 0


def test_figures_can_use_intervals_and_tables_without_torch():
    code = "import sys, ear.metrics.table, ear.metrics.main_table; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
