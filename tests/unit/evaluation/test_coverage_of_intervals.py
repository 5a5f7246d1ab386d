"""A 95 % interval holds the truth at least 93 times in 100; the whole table is that of benchmarks/coverage.py."""

import numpy as np
import pytest
from scipy import special

from benchmarks.coverage import WANTED, kernel_distance, mean_rate, measure, settings
from ear.evaluation.metrics.fid import kid

QUICK = [one for one in settings() if not one.beyond]


@pytest.mark.parametrize("setting", QUICK, ids=[f"{one.estimator}-{one.data}" for one in QUICK])
def test_intervals_hold_the_truth(setting):
    coverage, width = measure(setting, repetitions=500)
    assert coverage >= WANTED
    assert width > 0


@pytest.mark.soak
@pytest.mark.parametrize(
    "setting", [one for one in settings(quick=False) if one.slow and not one.beyond], ids=lambda one: one.data
)
def test_intervals_that_take_longer_hold_the_truth(setting):
    assert measure(setting)[0] >= WANTED


def test_the_known_truths_are_true():
    rng = np.random.default_rng(0)
    assert mean_rate(-3.0, 2.0) == pytest.approx(special.expit(rng.normal(-3, 2, 10**6)).mean(), rel=1e-2)
    x, y = rng.normal(size=(2, 1200, 3)) + np.array([0.3, 0.0])[:, None, None]
    assert kernel_distance(3, 0.3) == pytest.approx(kid(x, y).value, rel=0.2)
    assert kernel_distance(3, 0.0) == pytest.approx(0, abs=1e-9)
