"""Published values against ours: verdicts, and why."""

import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ear.evaluation.columns import DETECTION_COUNTS_CSV, DEVIATIONS_CSV, METRICS_CSV, WINDOW_LENGTH_CSV
from ear.evaluation.deviations import VALUES, deviations, relative_drop
from ear.evaluation.statistics.intervals import Interval, difference
from tests import reproduction

EMPTY = [table.frame() for table in (METRICS_CSV, WINDOW_LENGTH_CSV, DETECTION_COUNTS_CSV)]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return deviations(reproduction.metrics(), reproduction.windows(), reproduction.detections())


def one(table: pd.DataFrame, concept: str, method: str, quantity: str) -> pd.Series:
    rows = table[
        (table["concept"] == concept) & (table["method"] == method) & (table["quantity"] == quantity)
    ]
    assert len(rows) == 1
    return rows.iloc[0]


def counted(value: float, low: float, high: float, n: int = 1539) -> pd.Series:
    """The verdict on EAR's detections of feet, of which 11 are published."""
    rows = [("nudity", "ear", "all", "FEET_EXPOSED", value, low, high, n)]
    detections = DETECTION_COUNTS_CSV.frame(rows)
    return one(deviations(EMPTY[0], EMPTY[1], detections), "nudity", "ear", "FEET_EXPOSED")


def test_every_published_value_has_one_row_in_the_published_order(table: pd.DataFrame) -> None:
    assert tuple(table.columns) == tuple(DEVIATIONS_CSV.columns)
    assert list(table["published"]) == [value.value for value in VALUES]
    assert set(table["verdict"]) <= {"inside", "outside", "not comparable", "not measured"}
    assert table["note"].str.len().min() > 0


@pytest.mark.parametrize(
    ("ends", "verdict", "note"),
    [
        ((9, 5, 13), "inside", "our interval meets 11"),
        ((9, 7, 11), "inside", "our interval meets 11"),
        ((20, 12, 29), "outside", "our interval lies above 11"),
        ((6, 3, 10), "outside", "our interval lies below 11"),
        ((11, np.nan, np.nan), "inside", "our value meets 11"),
        ((12, np.nan, np.nan), "outside", "our value lies above 11"),
    ],
)
def test_a_count_is_held_to_the_interval(ends: tuple[float, float, float], verdict: str, note: str) -> None:
    row = counted(*ends)
    assert (row["verdict"], row["note"]) == (verdict, note)
    assert (row["reproduced"], row["n"]) == (ends[0], 1539)


def test_counts_over_another_number_of_images_are_not_compared() -> None:
    row = counted(11, 5, 17, n=300)
    assert row["verdict"] == "not comparable"
    assert row["note"] == "ours is a count over 300 images, the published over 1539"


@pytest.mark.parametrize(
    ("ends", "verdict", "note"),
    [
        ((9, 5, 10.9), "inside", "our interval meets 10.81 to 11"),
        ((9, 5, 10.8), "outside", "our interval lies below 10.81 to 11"),
        ((12, 11.1, 13), "outside", "our interval lies above 10.81 to 11"),
    ],
)
def test_a_count_that_lacks_few_images_is_held_to_what_the_others_can_have(
    ends: tuple[float, float, float], verdict: str, note: str
) -> None:
    row = counted(*ends, n=1526)  # 11 less twice the share of 13 images, 2 · 13 / 1539 · 11 = 0.19
    assert (row["verdict"], row["note"]) == (verdict, f"over 1526 of the published 1539 images, {note}")


@pytest.mark.parametrize("n", [1522, 1540])  # more than 1 % fewer; more than were published
def test_a_count_that_lacks_many_images_or_has_more_is_not_compared(n: int) -> None:
    assert counted(11, 5, 17, n=n)["verdict"] == "not comparable"


def test_rates_by_window_are_compared_but_for_nudity(table: pd.DataFrame) -> None:
    windows = reproduction.windows()
    for value in VALUES:
        if value.figure != "window-length":
            continue
        row = one(table, value.concept, "ear", f"concept_rate at W = {value.window}")
        ours = windows[(windows["concept"] == value.concept) & (windows["window"] == value.window)]
        ours = ours[(ours["metric"] == "concept_rate") & (ours["seed"] == "all")].iloc[0]
        assert (
            row[["reproduced", "ci_low", "ci_high"]].tolist() == ours[["value", "ci_low", "ci_high"]].tolist()
        )
        meets = ours["ci_low"] <= value.value + 0.005 and ours["ci_high"] >= value.value - 0.005
        wanted = "not comparable" if value.concept == "nudity" else "inside" if meets else "outside"
        assert row["verdict"] == wanted


def test_the_tolerance_of_a_reading_counts() -> None:
    rows = [("church", "ear", "all", 48, "concept_rate", 0.118, end, 0.13, 84) for end in (0.1149, 0.1151)]
    for row, verdict in zip(rows, ("inside", "outside"), strict=True):  # published: 0.11 ± 0.005
        windows = WINDOW_LENGTH_CSV.frame([row])
        table = deviations(EMPTY[0], windows, EMPTY[2])
        assert one(table, "church", "ear", "concept_rate at W = 48")["verdict"] == verdict


def test_claims_of_a_summary_are_shown_beside_ours_and_not_compared(table: pd.DataFrame) -> None:
    half = np.hypot(0.3, 0.4)
    bleu, clip = (one(table, "church", "ear", name) for name in ("bleu_drop", "clip_score_drop"))
    assert bleu[["reproduced", "ci_low", "ci_high"]].tolist() == pytest.approx([2, 2 - half, 2 + half])
    assert np.isnan(clip["tolerance"])
    assert one(table, "van-gogh", "ear", "erasure")["reproduced"] == pytest.approx(100 * 0.8 / 0.9)
    claims = table[table["figure"] == "claims"]
    assert set(claims["verdict"]) == {"not comparable"}
    assert set(claims["note"]) == {"claimed in a machine-written summary, no protocol known"}


def test_what_is_not_there_was_not_measured() -> None:
    table = deviations(*EMPTY)
    assert set(table["verdict"]) == {"not measured"} and set(table["n"]) == {0}
    assert table["reproduced"].isna().all()
    assert table["note"].iloc[0] == "no such row of nudity/stable-diffusion in detections.csv"
    church = deviations(reproduction.metrics(("church",)), *EMPTY[1:])
    assert set(church.loc[church["verdict"] != "not measured", "concept"]) == {"church"}


def test_the_authors_weights_are_held_to_the_values_of_ear() -> None:
    detections = reproduction.detections()
    theirs = detections[detections["method"] == "ear"].assign(method="published")
    table = deviations(EMPTY[0], EMPTY[1], pd.concat([detections, theirs]))
    nudity = table[table["figure"] == "nudity"]
    assert list(dict.fromkeys(nudity["method"])) == [
        "stable-diffusion",
        "original",
        "wga",
        "ear",
        "published",
    ]
    ear, published = (
        nudity[nudity["method"] == name].drop(columns="method").reset_index(drop=True)
        for name in ("ear", "published")
    )
    pd.testing.assert_frame_equal(ear, published)
    assert "published" not in set(table.loc[table["figure"] == "claims", "method"])


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


def test_the_share_of_nothing_is_nothing() -> None:
    nothing = relative_drop(Interval(0, 0, 0.1, 10), Interval(0.2, 0.1, 0.3, 10))
    assert np.isnan(nothing.value)


def test_tables_read_from_files_give_the_same(table: pd.DataFrame) -> None:
    inputs = (reproduction.metrics(), reproduction.windows(), reproduction.detections())
    read = [pd.read_csv(io.StringIO(frame.to_csv(index=False))) for frame in inputs]
    pd.testing.assert_frame_equal(deviations(*read), table)
