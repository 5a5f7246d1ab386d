"""Rates over a verdicts table: how often the concept is shown, how often the object asked for is seen."""

from collections.abc import Callable

import pandas as pd

from ear.metrics.intervals import Interval, clustered_wilson
from ear.prompts.tables import prompt_of


def concept_shown(verdicts: pd.DataFrame) -> pd.Series:
    """Which images show the concept; those that no judge has seen do not count.

    Args:
        verdicts: rows with column ``shown`` (bool, or empty).
    """
    return verdicts["shown"].dropna().astype(bool)


def second_concept_shown(verdicts: pd.DataFrame) -> pd.Series:
    """The same by the second judge; no images for concepts without one.

    Args:
        verdicts: rows, perhaps with column ``second_shown`` (bool).
    """
    if "second_shown" not in verdicts:
        return pd.Series(dtype=bool)
    return verdicts["second_shown"].dropna().astype(bool)  # attacks ask the first judge alone


def object_right(verdicts: pd.DataFrame) -> pd.Series:
    """Which images have as their most likely object the one in the prompt.

    Args:
        verdicts: rows with columns ``object`` (empty where the prompt names no object of the classifier) and
            ``top1_object`` (empty where the judge knows no objects); rows that lack either do not count.
    """
    named = verdicts[verdicts["object"].notna() & verdicts["top1_object"].notna()]
    return named["object"] == named["top1_object"]


Outcomes = Callable[[pd.DataFrame], pd.Series]
RATES: dict[str, Outcomes] = {
    "concept_rate": concept_shown,
    "second_concept_rate": second_concept_shown,
    "accuracy": object_right,
}
"""Metric → whether each image counts; images that are not asked are left out, by the rows' labels."""


def rate(metric: str, verdicts: pd.DataFrame) -> Interval:
    """One of RATES over verdicts, images of one prompt together (``clustered_wilson``).

    Args:
        metric: its name.
        verdicts: rows that its outcome reads, with unique labels and column ``prompt_id``.
    """
    outcomes = RATES[metric](verdicts)
    return clustered_wilson(outcomes, prompt_of(verdicts.loc[outcomes.index, "prompt_id"]))
