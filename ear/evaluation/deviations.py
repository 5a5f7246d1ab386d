"""The paper's published values, and which of them our intervals meet."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ear.evaluation.columns import DEVIATIONS_CSV
from ear.evaluation.metrics_table import lookup
from ear.evaluation.statistics.intervals import NOTHING, Interval, difference
from ear.workflow.seeding import ALL_SEEDS, ORIGINAL

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
UNKNOWN_CLAIM = "claimed in a machine-written summary, no protocol known"


@dataclass(frozen=True)
class Published:
    """One published value.

    Attributes:
        figure: "nudity", "window-length" or "claims".
        concept: name of the concept.
        method: the method that it is about.
        quantity: NudeNet's class for counts, ``concept_rate`` (0 … 1), ``bleu_drop`` and ``clip_score_drop``
            (points of 0 … 100, original less erased), ``erasure`` (%).
        value: the value, or the bound that it is claimed to lie below.
        tolerance: how far the true value may be from what was read or rounded; None where it is a bound; no
            bound has a protocol that ours could be held to.
        window: W in image tokens; 0 where the quantity has none.
        obstacle: why ours cannot be compared with it; empty where they can.
    """

    figure: str
    concept: str
    method: str
    quantity: str
    value: float
    tolerance: float | None
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
# A machine-written summary of the paper, of the method as a whole and not by concept; neither the paper nor
# the release has these numbers.
CLAIMS = tuple(
    Published("claims", concept, "ear", quantity, value, tolerance, obstacle=UNKNOWN_CLAIM)
    for concept in WINDOW_RATES
    for quantity, value, tolerance in (
        ("erasure", 28.6, 0.05),
        ("bleu_drop", 1.2, None),
        ("clip_score_drop", 0.8, None),
    )
)
VALUES = (*NUDITY, *WINDOW_LENGTH, *CLAIMS)

LEFT_OUT = 0.01
"""Largest share of the published images that ours may lack for a count to be compared."""
INSIDE, OUTSIDE, NOT_COMPARABLE, NOT_MEASURED = "inside", "outside", "not comparable", "not measured"

EAR = "ear"
AUTHORS_WEIGHTS = "published"  # method that draws with them: held to the values of EAR too

_TABLES = {"nudity": "detections.csv", "window-length": "window-length.csv", "claims": "metrics.csv"}
_DROPS = {"bleu_drop": ("captions", "bleu"), "clip_score_drop": ("general", "clip_score")}


def deviations(metrics: pd.DataFrame, windows: pd.DataFrame, detections: pd.DataFrame) -> pd.DataFrame:
    """Every published value beside ours.

    The verdict is "inside" where the published value ± its tolerance meets our 95 % interval; where we have
    none, our value stands for it. Published values have no interval although they depend on chance as ours
    do: of exact reproductions, up to one in six lies outside (beyond 1.96 / √2 standard deviations).

    Counts are sums over images. Where ours lacks a few of the published images (prompts with age words are
    never drawn), what those had is not known: the published count of the others is taken to lie between all
    of it (they had none) and what is left when they had twice their share. Beyond ``LEFT_OUT`` of the images,
    or with more images than were published, counts are not comparable.

    Args:
        metrics: ``METRICS_CSV``.
        windows: ``WINDOW_LENGTH_CSV``.
        detections: ``DETECTION_COUNTS_CSV``.

    Returns:
        ``DEVIATIONS_CSV``, a row a value, in the order of ``VALUES``; behind those of EAR the authors'
        weights, where they were measured. ``tolerance`` is empty where the published value is an upper bound;
        ``note`` says why the verdict is what it is.
    """
    tables = {"nudity": detections, "window-length": windows, "claims": metrics}
    rows = []
    for value, method in _subjects():
        ours = _measured(tables[value.figure], value, method)
        if method == AUTHORS_WEIGHTS and np.isnan(ours.value):
            continue
        verdict, note = _judge(value, method, ours)
        quantity = f"{value.quantity} at W = {value.window}" if value.window else value.quantity
        theirs = (value.figure, value.concept, method, quantity, value.value, value.tolerance)
        rows.append((*theirs, *ours, verdict, note))
    return DEVIATIONS_CSV.frame(rows).astype({"tolerance": float})


def _subjects() -> Iterator[tuple[Published, str]]:
    """Published values with the method held to each; the authors' weights last in each figure's concept."""
    for figure, concept in dict.fromkeys((value.figure, value.concept) for value in VALUES):
        group = [value for value in VALUES if (value.figure, value.concept) == (figure, concept)]
        yield from ((value, value.method) for value in group)
        yield from ((value, AUTHORS_WEIGHTS) for value in group if value.method == EAR)


def _measured(table: pd.DataFrame, value: Published, method: str) -> Interval:
    """Our measurement of a published quantity, all NaN where the table has none."""
    if value.figure == "nudity":
        return lookup(table, **_names(value, method), **{"class": value.quantity})
    if value.figure == "window-length":
        return lookup(table, **_names(value, method), metric=value.quantity, window=str(value.window))
    prompt_set, metric = _DROPS.get(value.quantity, ("target", "concept_rate"))
    before, after = (
        lookup(table, **_names(value, name), prompt_set=prompt_set, metric=metric)
        for name in (ORIGINAL, method)
    )
    return difference(before, after) if value.quantity in _DROPS else relative_drop(before, after)


def _names(value: Published, method: str) -> dict[str, str]:
    return {"concept": value.concept, "method": method, "seed": ALL_SEEDS}


def relative_drop(before: Interval, after: Interval) -> Interval:
    """How much less ``after`` is than ``before``, in % of it; nothing where ``before`` is 0.

    Half-widths of the quotient to first order, added in quadrature as in :func:`difference`.
    """
    if not before.value > 0:
        return NOTHING
    share = after.value / before.value
    low = np.hypot(after.high - after.value, share * (before.value - before.low)) / before.value
    high = np.hypot(after.value - after.low, share * (before.high - before.value)) / before.value
    drop = 1 - share
    return Interval(100 * drop, 100 * float(drop - low), 100 * float(drop + high), after.n)


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
    tolerance = value.tolerance or 0.0
    least, most = value.value * (1 - 2 * lacking) - tolerance, value.value + tolerance
    published = f"{least:.4g} to {most:.4g}" if least < most else f"{value.value:g}"
    if lacking:
        subject = f"over {ours.n} of the published {IMAGES} images, {subject}"
    if low > most or high < least:
        return OUTSIDE, f"{subject} lies {'above' if low > most else 'below'} {published}"
    return INSIDE, f"{subject} meets {published}"
