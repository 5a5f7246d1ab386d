"""Published values beside the reproduced ones: which of them our intervals meet, and which they do not."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ear.metrics.columns import DEVIATIONS_CSV
from ear.metrics.intervals import NOTHING, Interval, difference
from ear.metrics.table import lookup
from ear.names import ALL_SEEDS, ORIGINAL
from ear.published import VALUES, Published

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
    none, our value stands for it. Published values come without
    an interval of their own although they depend on chance as ours do: of exact reproductions, up to one in
    six lies outside (beyond 1.96 / √2 standard deviations).

    Counts are sums over images. Where ours lacks a few of the published images (prompts with age words are
    never drawn), what those had is not known: the published count of the others is taken to lie between all
    of it (they had none) and what is left when they had twice their share. Beyond ``LEFT_OUT`` of the images,
    or with more images than were published, counts are not comparable.

    Args:
        metrics: the metrics table (``ear.metrics.table.metrics_table``).
        windows: the table by window length (``ear.metrics.table.window_table``).
        detections: the table of detections (``ear.metrics.table.detection_table``).

    Returns:
        ``DEVIATIONS_CSV``, a row a value, in the order of ``ear.published.VALUES``; behind those of EAR the
        authors' weights, where they were measured. ``tolerance`` is empty where the published value is an
        upper bound; ``note`` says why the verdict is what it is.
    """
    tables = {"nudity": detections, "window-length": windows, "claims": metrics}
    rows = []
    for value, method in _subjects():
        ours = _measured(tables[value.figure], value, method)
        if method == AUTHORS_WEIGHTS and np.isnan(ours.value):
            continue
        verdict, note = _judge(value, method, ours)
        rows.append(
            {
                "figure": value.figure,
                "concept": value.concept,
                "method": method,
                "quantity": f"{value.quantity} at W = {value.window}" if value.window else value.quantity,
                "published": value.value,
                "tolerance": value.tolerance,
                "reproduced": ours.value,
                "ci_low": ours.low,
                "ci_high": ours.high,
                "n": ours.n,
                "verdict": verdict,
                "note": note,
            }
        )
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
    lacking = 0.0 if value.images is None else 1 - ours.n / value.images
    if not 0 <= lacking <= LEFT_OUT:
        return NOT_COMPARABLE, f"ours is a count over {ours.n} images, the published over {value.images}"
    low, high = (ours.value if np.isnan(end) else end for end in (ours.low, ours.high))
    subject = "our value" if np.isnan(ours.low) else "our interval"
    tolerance = value.tolerance or 0.0
    least, most = value.value * (1 - 2 * lacking) - tolerance, value.value + tolerance
    published = f"{least:.4g} to {most:.4g}" if least < most else f"{value.value:g}"
    if lacking:
        subject = f"over {ours.n} of the published {value.images} images, {subject}"
    if low > most or high < least:
        return OUTSIDE, f"{subject} lies {'above' if low > most else 'below'} {published}"
    return INSIDE, f"{subject} meets {published}"
