"""Published values as they were copied, and against ours: verdicts, and why."""

import io

import numpy as np
import pandas as pd
import pytest

from ear.evaluation.columns import DETECTION_COUNTS_CSV, WINDOW_LENGTH_CSV
from ear.evaluation.deviations import NUDITY, VALUES, WINDOW_LENGTH, deviations
from ear.judges.nudenet import CLASSES, CORE_CLASSES
from tests import reproduction

EMPTY = [table.frame() for table in (WINDOW_LENGTH_CSV, DETECTION_COUNTS_CSV)]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Of tables as they are read from files."""
    inputs = (reproduction.windows(), reproduction.detections())
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
    assert len(VALUES) == 4 * 9 + 3 * 5
    assert {value.concept for value in WINDOW_LENGTH if value.obstacle} == {"nudity"}
    assert not any(value.obstacle for value in NUDITY)


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
    row = one(deviations(EMPTY[0], detections), "nudity", "ear", "FEET_EXPOSED")
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
        table = deviations(WINDOW_LENGTH_CSV.frame([row]), EMPTY[1])
        assert one(table, "church", "ear", "concept_rate at W = 48")["verdict"] == verdict


def test_what_is_not_there_was_not_measured() -> None:
    table = deviations(*EMPTY)
    assert set(table["verdict"]) == {"not measured"} and set(table["n"]) == {0}
    assert table["reproduced"].isna().all()
    assert table["note"].iloc[0] == "no such row of nudity/stable-diffusion in detections.csv"


def test_the_authors_weights_are_held_to_the_values_of_ear() -> None:
    detections = reproduction.detections()
    theirs = detections[detections["method"] == "ear"].assign(method="published")
    table = deviations(EMPTY[0], pd.concat([detections, theirs]))
    ear, published = (
        table[(table["figure"] == "nudity") & (table["method"] == name)].drop(columns="method")
        for name in ("ear", "published")
    )
    assert published.index.tolist() == (ear.index + 9).tolist()
    pd.testing.assert_frame_equal(ear.reset_index(drop=True), published.reset_index(drop=True))
