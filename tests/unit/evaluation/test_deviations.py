"""Published values as they were copied, and against ours: verdicts, and why."""

import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ear.evaluation.columns import DETECTION_COUNTS_CSV, METRICS_CSV, WINDOW_LENGTH_CSV
from ear.evaluation.deviations import CLAIMS, NUDITY, VALUES, WINDOW_LENGTH, deviations, relative_drop
from ear.evaluation.statistics.intervals import Interval, difference
from ear.judges.nudenet import CLASSES, CORE_CLASSES
from tests import reproduction

EMPTY = [table.frame() for table in (METRICS_CSV, WINDOW_LENGTH_CSV, DETECTION_COUNTS_CSV)]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Of tables as they are read from files."""
    inputs = (reproduction.metrics(), reproduction.windows(), reproduction.detections())
    return deviations(*(pd.read_csv(io.StringIO(frame.to_csv(index=False))) for frame in inputs))


def one(table: pd.DataFrame, concept: str, method: str, quantity: str) -> pd.Series:
    found = (table["concept"] == concept) & (table["method"] == method) & (table["quantity"] == quantity)
    assert found.sum() == 1
    return table[found].iloc[0]


@pytest.mark.parametrize(
    ("method", "total", "core"),  # sums of the published table's columns, by hand
    [("stable-diffusion", 3428, 1802), ("original", 1794, 710), ("wga", 1701, 681), ("ear", 605, 176)],
)
def test_published_nudity_counts_add_up(method: str, total: int, core: int) -> None:
    column = {value.quantity: value.value for value in NUDITY if value.method == method}
    assert tuple(column) == CLASSES
    assert sum(column.values()) == total
    assert sum(column[name] for name in CORE_CLASSES) == core


def test_published_values_without_a_known_definition_cannot_be_compared() -> None:
    assert len(VALUES) == 4 * 9 + 3 * 5 + 3 * 3
    assert {value.concept for value in WINDOW_LENGTH if value.obstacle} == {"nudity"}
    assert all(value.obstacle for value in CLAIMS) and not any(value.obstacle for value in NUDITY)
    assert all(value.obstacle for value in VALUES if value.tolerance is None)  # no bound is held against ours


def test_every_published_value_has_one_row_in_the_published_order(table: pd.DataFrame) -> None:
    assert list(table["published"]) == [value.value for value in VALUES]
    assert set(table["verdict"]) <= {"inside", "outside", "not comparable", "not measured"}
    assert table["note"].str.len().min() > 0


@pytest.mark.parametrize(
    ("ends", "n", "verdict", "note"),
    [
        ((9, 7, 11), 1539, "inside", "our interval meets 11"),
        ((20, 12, 29), 1539, "outside", "our interval lies above 11"),
        ((6, 3, 10), 1539, "outside", "our interval lies below 11"),
        ((11, np.nan, np.nan), 1539, "inside", "our value meets 11"),
        ((12, np.nan, np.nan), 1539, "outside", "our value lies above 11"),
        # 11 less twice the share of the 13 images that ours lacks, 2 · 13 / 1539 · 11 = 0.19.
        ((9, 5, 10.9), 1526, "inside", "of the published 1539 images, our interval meets 10.81 to 11"),
        ((9, 5, 10.8), 1526, "outside", "our interval lies below 10.81 to 11"),
        ((12, 11.1, 13), 1526, "outside", "our interval lies above 10.81 to 11"),
        ((11, 5, 17), 1522, "not comparable", "over 1522 images, the published over 1539"),
        ((11, 5, 17), 1540, "not comparable", "over 1540 images, the published over 1539"),
    ],
)
def test_a_count_is_held_to_the_interval(ends, n: int, verdict: str, note: str) -> None:
    """EAR's detections of feet, of which 11 are published."""
    detections = DETECTION_COUNTS_CSV.frame([("nudity", "ear", "all", "FEET_EXPOSED", *ends, n)])
    row = one(deviations(EMPTY[0], EMPTY[1], detections), "nudity", "ear", "FEET_EXPOSED")
    assert row["verdict"] == verdict and row["note"].endswith(note)
    assert (row["reproduced"], row["n"]) == (ends[0], n)


def test_rates_by_window_are_compared_but_for_nudity(table: pd.DataFrame) -> None:
    windows = reproduction.windows()
    for value in WINDOW_LENGTH:
        row = one(table, value.concept, "ear", f"concept_rate at W = {value.window}")
        ours = windows[(windows["concept"] == value.concept) & (windows["window"] == value.window)]
        ours = ours[(ours["metric"] == "concept_rate") & (ours["seed"] == "all")].iloc[0]
        ends = ["ci_low", "ci_high"]
        assert row[["reproduced", *ends]].tolist() == pytest.approx(ours[["value", *ends]].tolist())
        meets = ours["ci_low"] <= value.value + 0.005 and ours["ci_high"] >= value.value - 0.005
        wanted = "not comparable" if value.concept == "nudity" else "inside" if meets else "outside"
        assert row["verdict"] == wanted


def test_the_tolerance_of_a_reading_counts() -> None:
    for end, verdict in ((0.1149, "inside"), (0.1151, "outside")):  # published: 0.11 ± 0.005
        row = ("church", "ear", "all", 48, "concept_rate", 0.118, end, 0.13, 84)
        table = deviations(EMPTY[0], WINDOW_LENGTH_CSV.frame([row]), EMPTY[2])
        assert one(table, "church", "ear", "concept_rate at W = 48")["verdict"] == verdict


def test_claims_of_a_summary_are_shown_beside_ours_and_not_compared(table: pd.DataFrame) -> None:
    half = np.hypot(0.3, 0.4)
    bleu, clip = (one(table, "church", "ear", name) for name in ("bleu_drop", "clip_score_drop"))
    assert bleu[["reproduced", "ci_low", "ci_high"]].tolist() == pytest.approx([2, 2 - half, 2 + half])
    assert np.isnan(clip["tolerance"])
    assert one(table, "van-gogh", "ear", "erasure")["reproduced"] == pytest.approx(100 * 0.8 / 0.9)
    assert set(table.loc[table["figure"] == "claims", "verdict"]) == {"not comparable"}


def test_what_is_not_there_was_not_measured() -> None:
    table = deviations(*EMPTY)
    assert set(table["verdict"]) == {"not measured"} and set(table["n"]) == {0}
    assert table["reproduced"].isna().all()
    assert table["note"].iloc[0] == "no such row of nudity/stable-diffusion in detections.csv"


def test_the_authors_weights_are_held_to_the_values_of_ear() -> None:
    detections = reproduction.detections()
    theirs = detections[detections["method"] == "ear"].assign(method="published")
    table = deviations(EMPTY[0], EMPTY[1], pd.concat([detections, theirs]))
    assert "published" not in set(table.loc[table["figure"] == "claims", "method"])
    ear, published = (
        table[(table["figure"] == "nudity") & (table["method"] == name)].drop(columns="method")
        for name in ("ear", "published")
    )
    assert published.index.tolist() == (ear.index + 9).tolist()
    pd.testing.assert_frame_equal(ear.reset_index(drop=True), published.reset_index(drop=True))


@settings(max_examples=30)
@given(st.lists(st.floats(0.01, 1), min_size=6, max_size=6))
def test_intervals_of_drops_hold_the_value_and_are_no_narrower_than_either(numbers: list[float]) -> None:
    (low, value, high), (after_low, after_value, after_high) = sorted(numbers[:3]), sorted(numbers[3:])
    before, after = Interval(value, low, high, 10), Interval(after_value, after_low, after_high, 20)
    drop = difference(before, after)
    assert drop.value == value - after_value and drop.n == 20
    assert drop.high - drop.low >= max(high - low, after_high - after_low) - 1e-12
    share = relative_drop(before, after)
    assert share.low <= share.value + 1e-9 and share.value <= share.high + 1e-9
    exact = relative_drop(Interval(value, value, value, 10), after)  # then it is linear in ``after``
    ends = [100 * (1 - end / value) for end in (after_high, after_low)]
    assert [exact.low, exact.high] == pytest.approx(ends)
    assert np.isnan(relative_drop(Interval(0, 0, 0.1, 10), after).value)
