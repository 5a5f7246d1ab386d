"""What is measured image by image: rates of judges' verdicts, and the CLIP score."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from ear.evaluation.protocols import RIGHT, SECOND, SHOWN
from ear.evaluation.statistics.intervals import Interval, bootstrap_mean, clustered_wilson
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


RATES: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    SHOWN: concept_shown,
    SECOND: second_concept_shown,
    RIGHT: object_right,
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


def clip_scores(cosines: ArrayLike) -> np.ndarray:
    """CLIP score of each image in torchmetrics' convention: 100 · max(cosine of image and text, 0).

    Args:
        cosines: (N,) cosine of image and text embedding, in [-1, 1].

    Returns:
        (N,) float32 in [0, 100]. Hessel et al. (2021) scale by 2.5 instead of 100.
    """
    return (100 * np.clip(np.asarray(cosines, dtype=np.float32), 0, 1)).astype(np.float32)


def mean_clip_score(verdicts: pd.DataFrame, seed: int = 0) -> Interval:
    """Mean CLIP score with a bootstrap interval that resamples prompts: images of one prompt stay together.

    Args:
        verdicts: rows with columns ``clip_score`` (0 … 100) and ``prompt_id``.
        seed: seed of the resamples.
    """
    return bootstrap_mean(
        verdicts["clip_score"].to_numpy(), clusters=prompt_of(verdicts["prompt_id"]).to_numpy(), seed=seed
    )


OF_IMAGES: dict[str, Callable[[pd.DataFrame], Interval]] = {
    **{metric: partial(rate, metric) for metric in RATES},
    "clip_score": mean_clip_score,
}
"""Metric → its value over verdicts, for all that are measured image by image."""
