"""The paper's published values, and which of them our intervals meet."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ear.evaluation.columns import DEVIATIONS_CSV
from ear.evaluation.metrics_table import lookup
from ear.evaluation.statistics.intervals import Interval
from ear.workflow.seeding import ALL_SEEDS

IMAGES = 1539  # of the nudity counts: one for each prompt of Six-CD nudity

NUDITY_METHODS = ("stable-diffusion", "original", "wga", "ear")
NUDITY_COUNTS: dict[str, tuple[int, int, int, int]] = {
    "MALE_GENITALIA_EXPOSED": (221, 15, 21, 1),
    "BELLY_EXPOSED": (649, 443, 438, 151),
    "ARMPITS_EXPOSED": (800, 540, 510, 267),
    "FEET_EXPOSED": (177, 101, 72, 11),
    "ANUS_EXPOSED": (4, 1, 1, 0),
    "MALE_BREAST_EXPOSED": (130, 17, 13, 7),
    "FEMALE_GENITALIA_EXPOSED": (204, 49, 39, 5),
    "FEMALE_BREAST_EXPOSED": (912, 484, 482, 148),
    "BUTTOCKS_EXPOSED": (331, 144, 125, 15),
}
"""NudeNet's class → detections over all images, by method in the order of NUDITY_METHODS."""

WINDOWS = (12, 24, 48, 100, 256)
WINDOW_RATES: dict[str, tuple[float, float, float, float, float]] = {
    "church": (0.17, 0.15, 0.11, 0.45, 0.51),
    "van-gogh": (0.065, 0.058, 0.09, 0.46, 0.57),
    "nudity": (0.28, 0.28, 0.26, 0.25, 0.41),
}
"""Concept → rate on its test prompts, by window length in the order of WINDOWS."""
READING_ERROR = 0.005

UNKNOWN_RATE = "definition of the published rate unknown"


@dataclass(frozen=True)
class Published:
    """One published value.

    Attributes:
        figure: "nudity" or "window-length".
        concept: name of the concept.
        method: the method that it is about.
        quantity: NudeNet's class for counts, ``concept_rate`` (0 … 1).
        value: the value.
        tolerance: how far the true value may be from what was read.
        window: W in image tokens; 0 where the quantity has none.
        obstacle: why ours cannot be compared with it; empty where they can.
    """

    figure: str
    concept: str
    method: str
    quantity: str
    value: float
    tolerance: float
    window: int = 0
    obstacle: str = ""


# Project page, figure of NudeNet detections: counts over all images. NudeNet's threshold is unknown.
NUDITY = tuple(
    Published("nudity", "nudity", method, name, counts[place], 0.0)
    for place, method in enumerate(NUDITY_METHODS)
    for name, counts in NUDITY_COUNTS.items()
)
# Project page, plot of the window length, read off: concept rate on the test set.
WINDOW_LENGTH = tuple(
    Published(
        "window-length",
        concept,
        "ear",
        "concept_rate",
        rate,
        READING_ERROR,
        window,
        UNKNOWN_RATE if concept == "nudity" else "",
    )
    for concept, rates in WINDOW_RATES.items()
    for window, rate in zip(WINDOWS, rates, strict=True)
)
VALUES = (*NUDITY, *WINDOW_LENGTH)

LEFT_OUT = 0.01
"""Largest share of the published images that ours may lack for a count to be compared."""
INSIDE, OUTSIDE, NOT_COMPARABLE, NOT_MEASURED = "inside", "outside", "not comparable", "not measured"

EAR = "ear"
AUTHORS_WEIGHTS = "published"  # method that draws with them: held to the values of EAR too

_TABLES = {"nudity": "detections.csv", "window-length": "window-length.csv"}


def deviations(windows: pd.DataFrame, detections: pd.DataFrame) -> pd.DataFrame:
    """Every published value beside ours.

    The verdict is "inside" where the published value ± its tolerance meets our 95 % interval; where we have
    none, our value stands for it. Published values have no interval although they depend on chance as ours
    do: of exact reproductions, up to one in six lies outside (beyond 1.96 / √2 standard deviations).

    Counts are sums over images. Where ours lacks a few of the published images (prompts with age words are
    never drawn), what those had is not known: the published count of the others is taken to lie between all
    of it (they had none) and what is left when they had twice their share. Beyond ``LEFT_OUT`` of the images,
    or with more images than were published, counts are not comparable.

    Args:
        windows: ``WINDOW_LENGTH_CSV``.
        detections: ``DETECTION_COUNTS_CSV``.

    Returns:
        ``DEVIATIONS_CSV``, a row a value, in the order of ``VALUES``; behind those of EAR the authors'
        weights, where they were measured. ``note`` says why the verdict is what it is.
    """
    rows = []
    for value, method in _subjects():
        names = {"concept": value.concept, "method": method, "seed": ALL_SEEDS}
        if value.figure == "nudity":
            ours = lookup(detections, **names, **{"class": value.quantity})
        else:
            ours = lookup(windows, **names, metric=value.quantity, window=str(value.window))
        if method == AUTHORS_WEIGHTS and np.isnan(ours.value):
            continue
        verdict, note = _judge(value, method, ours)
        quantity = f"{value.quantity} at W = {value.window}" if value.window else value.quantity
        theirs = (value.figure, value.concept, method, quantity, value.value, value.tolerance)
        rows.append((*theirs, *ours, verdict, note))
    return DEVIATIONS_CSV.frame(rows)


def _subjects() -> Iterator[tuple[Published, str]]:
    """Published values with the method held to each; the authors' weights last in each figure's concept."""
    for figure, concept in dict.fromkeys((value.figure, value.concept) for value in VALUES):
        group = [value for value in VALUES if (value.figure, value.concept) == (figure, concept)]
        yield from ((value, value.method) for value in group)
        yield from ((value, AUTHORS_WEIGHTS) for value in group if value.method == EAR)


def _judge(value: Published, method: str, ours: Interval) -> tuple[str, str]:
    """Verdict and the reason for it."""
    if np.isnan(ours.value):
        return NOT_MEASURED, f"no such row of {value.concept}/{method} in {_TABLES[value.figure]}"
    if value.obstacle:
        return NOT_COMPARABLE, value.obstacle
    lacking = 1 - ours.n / IMAGES if value.figure == "nudity" else 0.0
    if not 0 <= lacking <= LEFT_OUT:
        return NOT_COMPARABLE, f"ours is a count over {ours.n} images, the published over {IMAGES}"
    low, high = (ours.value if np.isnan(end) else end for end in (ours.low, ours.high))
    subject = "our value" if np.isnan(ours.low) else "our interval"
    least = value.value * (1 - 2 * lacking) - value.tolerance
    most = value.value + value.tolerance
    published = f"{least:.4g} to {most:.4g}" if least < most else f"{value.value:g}"
    if lacking:
        subject = f"over {ours.n} of the published {IMAGES} images, {subject}"
    if low > most or high < least:
        return OUTSIDE, f"{subject} lies {'above' if low > most else 'below'} {published}"
    return INSIDE, f"{subject} meets {published}"
