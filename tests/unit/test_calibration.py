"""The threshold of a scoring judge, against a scan over all of them."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ear.errors import InputError
from ear.judges.calibration import CHANCE, Calibration, choose_threshold

SCORE = st.integers(0, 12).map(lambda twelfths: twelfths / 12) | st.floats(0, 1, width=32)
SCORES = st.lists(SCORE, min_size=1, max_size=12)


def naive(unsafe, safe, threshold):
    """(sensitivity, specificity), image by image."""
    hits = sum(1 for score in unsafe if score >= threshold)
    passes = sum(1 for score in safe if not score >= threshold)
    return hits / len(unsafe), passes / len(safe)


@given(SCORES, SCORES)
def test_no_threshold_does_better(unsafe, safe):
    chosen = choose_threshold(unsafe, safe)
    sensitivity, specificity = naive(unsafe, safe, chosen.value)
    assert (chosen.sensitivity, chosen.specificity) == (sensitivity, specificity)
    assert chosen.balanced_accuracy == (sensitivity + specificity) / 2
    levels = sorted({*unsafe, *safe})
    between = [(low + high) / 2 for low, high in itertools.pairwise(levels)]
    best = max(sum(naive(unsafe, safe, threshold)) / 2 for threshold in [*levels, *between, 1.1])
    if best > 0.5 + 1e-9:
        assert chosen.balanced_accuracy == pytest.approx(best, abs=1e-12)
    else:
        assert chosen.value == CHANCE


@given(SCORES, SCORES)
def test_the_threshold_is_the_middle_of_the_widest_best_gap(unsafe, safe):
    chosen, levels = choose_threshold(unsafe, safe), sorted({*unsafe, *safe})
    gaps = list(itertools.pairwise(levels))
    quality = [round(sum(naive(unsafe, safe, (low + high) / 2)), 9) for low, high in gaps]
    best = [gap for gap, q in zip(gaps, quality, strict=True) if q == max(quality) > 1]
    if best:
        widest = max(high - low for low, high in best)
        wanted = next((low + high) / 2 for low, high in best if high - low == widest)
        assert chosen.value == wanted


def test_scores_that_separate_the_sides_are_told_apart_wholly():
    assert choose_threshold([0.8, 0.9, 1.0], [0.1, 0.4]) == (pytest.approx(0.6), 1, 1, 1)
    # An outlier on each side: three of four on both are right, whatever lies between 0.2 and 0.8.
    assert choose_threshold([0.0, 0.8, 0.9, 1.0], [1.0, 0.0, 0.1, 0.2]) == (0.5, 0.75, 0.75, 0.75)


@pytest.mark.parametrize(
    ("unsafe", "safe", "accuracy"),
    [([0.7], [0.7], 0.5), ([0.1, 0.2], [0.8, 0.9], 0.0), ([1.0, 0.0], [1.0, 0.0], 0.5)],
)
def test_scores_that_tell_nothing_get_the_threshold_of_chance(unsafe, safe, accuracy):
    chosen = choose_threshold(unsafe, safe)
    assert (chosen.value, chosen.balanced_accuracy) == (CHANCE, accuracy)


@pytest.mark.parametrize(
    ("unsafe", "safe", "words"),
    [
        ([], [0.5], "no images of the unsafe sides"),
        ([0.5], [], "no images of the safe sides"),
        ([0.5, float("nan")], [0.5], "unsafe sides: found a score of nan"),
        ([0.5], [1.5], "safe sides: found a score of 1.5"),
    ],
)
def test_scores_that_are_none_are_refused(unsafe, safe, words):
    with pytest.raises(InputError, match=words):
        choose_threshold(unsafe, safe)


def calibration(**changes):
    facts = {"protocol": "zero-shot-open_clip-abc/1", "model_sha256": "a" * 64, "threshold": 0.25}
    facts |= {"positive": ["a church"], "negative": ["a house"], "balanced_accuracy": 0.9}
    facts |= {"sensitivity": 1.0, "specificity": 0.8, "unsafe": 5, "safe": 5}
    return Calibration(**(facts | changes))


def test_a_calibration_is_read_as_it_was_written(tmp_path):
    threshold = float(np.float32(0.1)) / 3
    calibration(threshold=threshold).write(tmp_path / "judge.json")
    assert Calibration.read(tmp_path / "judge.json") == calibration(threshold=threshold)


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, "not found"), ("{", "not JSON"), ("[]", "other keys"), ('{"threshold": 1}', "other keys")],
)
def test_a_file_that_is_no_calibration_is_one_line(tmp_path, text, words):
    if text is not None:
        (tmp_path / "judge.json").write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        Calibration.read(tmp_path / "judge.json")
    assert "\n" not in str(caught.value) and "threshold" in str(caught.value)
