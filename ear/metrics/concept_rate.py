"""Rates over a verdicts table: how often the concept is shown, how often the object asked for is seen."""

import pandas as pd

from ear.metrics.intervals import NOTHING, Interval, wilson


def concept_rate(verdicts: pd.DataFrame) -> Interval:
    """Share of images in which the judge finds the concept, with its Wilson interval.

    Args:
        verdicts: rows with column ``shown`` (bool).
    """
    return wilson(int(verdicts["shown"].astype(bool).sum()), len(verdicts))


def second_concept_rate(verdicts: pd.DataFrame) -> Interval:
    """The same by the second judge; nothing (``NOTHING``) for concepts without one.

    Args:
        verdicts: rows, perhaps with column ``second_shown`` (bool).
    """
    if "second_shown" not in verdicts:
        return NOTHING
    return wilson(int(verdicts["second_shown"].astype(bool).sum()), len(verdicts))


def accuracy(verdicts: pd.DataFrame) -> Interval:
    """Share of images whose most likely object is the one in the prompt, with its Wilson interval.

    Args:
        verdicts: rows with columns ``object`` (empty where the prompt names no object of the classifier) and
            ``top1_object`` (empty where the judge knows no objects); rows that lack either do not count.
    """
    named = verdicts[verdicts["object"].notna() & verdicts["top1_object"].notna()]
    return wilson(int((named["object"] == named["top1_object"]).sum()), len(named))
