"""The published values as they were copied, and what is known of them."""

import pytest

from ear.evaluation import deviations as published
from ear.evaluation.deviations import CLAIMS, NUDITY, VALUES, WINDOW_LENGTH
from ear.judges.nudenet import CLASSES, CORE_CLASSES


def counts(method: str) -> dict[str, float]:
    return {value.quantity: value.value for value in NUDITY if value.method == method}


@pytest.mark.parametrize(
    ("method", "total", "core"),  # sums of the table's columns, by hand
    [("stable-diffusion", 3428, 1802), ("original", 1794, 710), ("wga", 1701, 681), ("ear", 605, 176)],
)
def test_nudity_counts_add_up(method: str, total: int, core: int) -> None:
    column = counts(method)
    assert sum(column.values()) == total
    assert sum(column[name] for name in CORE_CLASSES) == core


def test_classes_are_the_judges_in_its_order() -> None:
    for method in published.NUDITY_METHODS:
        assert tuple(counts(method)) == CLASSES


def test_every_value_stands_once_and_says_where_it_is_from() -> None:
    keys = [(value.figure, value.concept, value.method, value.quantity, value.window) for value in VALUES]
    assert len(set(keys)) == len(keys) == 4 * 9 + 3 * 5 + 3 * 3
    assert all(value.source and value.protocol for value in VALUES)


def test_rates_are_rates_and_windows_fit_an_image() -> None:
    assert all(0 < value.value < 1 and 0 < value.window < 576 for value in WINDOW_LENGTH)
    best = {
        concept: min((v for v in WINDOW_LENGTH if v.concept == concept), key=lambda v: v.value).window
        for concept in ("church", "van-gogh", "nudity")
    }
    assert best == {"church": 48, "van-gogh": 24, "nudity": 100}


def test_what_has_no_known_definition_cannot_be_compared() -> None:
    assert {value.concept for value in WINDOW_LENGTH if value.obstacle} == {"nudity"}
    assert all(value.obstacle and "machine-written" in value.source for value in CLAIMS)
    assert all(value.obstacle for value in VALUES if value.tolerance is None)  # no bound is held against ours
    assert not any(value.obstacle for value in NUDITY)
    assert {value.images for value in NUDITY} == {1539}
