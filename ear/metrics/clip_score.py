"""CLIP score in torchmetrics' convention: the mean over images of 100 · max(cosine of image and text, 0)."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from ear.metrics.intervals import Interval, bootstrap_mean
from ear.prompts.tables import prompt_of


def clip_scores(cosines: ArrayLike) -> np.ndarray:
    """CLIP score of each image.

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
