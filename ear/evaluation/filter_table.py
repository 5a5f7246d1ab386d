"""What the visual filter did with the candidate pairs, and whether two judges of their images agree."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ear.evaluation.statistics.intervals import wilson
from ear.judges.filter import FALSE_NEGATIVE, FALSE_POSITIVE, KEPT

FILTER_COLUMNS = ("concept", "source", "outcome", "count", "n", "share", "ci_low", "ci_high")
OUTCOMES = (KEPT, FALSE_NEGATIVE, FALSE_POSITIVE, f"{FALSE_NEGATIVE} and {FALSE_POSITIVE}")
AGREEMENT_COLUMNS = (
    *("concept", "first", "second", "both", "first_only", "second_only", "neither", "n"),
    *("agreement", "ci_low", "ci_high", "kappa"),
)


def filter_table(outcomes: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Pairs of each concept and source by what the filter says of them, then those of all sources together.

    Args:
        outcomes: concept → rows of ``ear.judges.filter.pair_outcomes``.

    Returns:
        Columns FILTER_COLUMNS: every outcome of OUTCOMES, also those that no pair has. ``share`` is ``count``
        of the source's ``n`` pairs, with Wilson's interval.
    """
    rows = []
    for concept, pairs in outcomes.items():
        for source, of_source in [*pairs.groupby("source", sort=False), ("all", pairs)]:
            for outcome in OUTCOMES:
                count = int((of_source["outcome"] == outcome).sum())
                share, low, high, n = wilson(count, len(of_source))
                rows.append((concept, source, outcome, count, n, share, low, high))
    return pd.DataFrame(rows, columns=list(FILTER_COLUMNS))


def agreement_table(verdicts: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """How two judges agree on the images of the candidate pairs; no rows for concepts with one judge.

    Args:
        verdicts: concept → rows of ``ear.judges.filter.judge_pairs``.

    Returns:
        Columns AGREEMENT_COLUMNS: the judges' protocols, the images in which both, one or none of them finds
        the concept, the share on which they agree with Wilson's interval, and :func:`cohens_kappa`.
    """
    rows = []
    for concept, images in verdicts.items():
        if "second_shown" not in images:
            continue
        first, second = images["shown"].astype(bool), images["second_shown"].astype(bool)
        cells = (first & second, first & ~second, ~first & second, ~first & ~second)
        counts = [int(cell.sum()) for cell in cells]
        agreement, low, high, n = wilson(counts[0] + counts[3], len(images))
        protocols = (images["protocol"].iloc[0], images["second_protocol"].iloc[0])
        rows.append((concept, *protocols, *counts, n, agreement, low, high, cohens_kappa(*counts)))
    return pd.DataFrame(rows, columns=list(AGREEMENT_COLUMNS))


def cohens_kappa(both: int, first_only: int, second_only: int, neither: int) -> float:
    """Cohen's κ (1960) of two judges' yes and no, from the numbers of images in which each finds the concept.

    κ = (p_o − p_e) / (1 − p_e), with p_o the share of images on which they agree and p_e that of independent
    judges who say yes as often. NaN where p_e is 1 (both always say the same) or there are no images.
    """
    n = both + first_only + second_only + neither
    # In whole numbers times n², so that p_e = 1 is told exactly.
    observed = (both + neither) * n
    expected = (both + first_only) * (both + second_only) + (neither + second_only) * (neither + first_only)
    return (observed - expected) / (n**2 - expected) if n**2 > expected else np.nan
