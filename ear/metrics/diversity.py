"""How different the images of a set are from one another: the Vendi score."""

import numpy as np

from ear.errors import InputError
from ear.metrics.intervals import Interval


def vendi_score(features: np.ndarray) -> Interval:
    """Effective number of different images (Friedman and Dieng, arXiv 2210.02410), with the cosine kernel.

    exp(− Σ λ ln λ) over the eigenvalues λ of K / N, where K_ij is the cosine of images i and j: 1 where all
    images are alike, N where all are orthogonal. The eigenvalues are those of the smaller of K / N and the
    D × D matrix of the features, which share all that are not 0.

    It has no interval: the score grows with N, and a resample with copies is less diverse than the images it
    was drawn from. Compare values at equal numbers of images.

    Args:
        features: (N, D), no row all 0.

    Returns:
        The score in 1 … N, NaN for the ends, and N.

    Raises:
        InputError: there is no image, or one without features.
    """
    x = np.asarray(features, dtype=np.float64)
    norms = np.linalg.norm(x, axis=1, keepdims=True)  # (N, 1)
    if len(x) == 0 or not (np.isfinite(norms) & (norms > 0)).all():
        raise InputError(f"diversity: found features of {len(x)} images, wanted some, each other than 0")
    x = x / norms
    gram = (x @ x.T if len(x) <= x.shape[1] else x.T @ x) / len(x)
    shares = np.linalg.eigvalsh(gram)
    shares = shares[shares > 0]  # rounding leaves some a little below
    return Interval(float(np.exp(-(shares * np.log(shares)).sum())), np.nan, np.nan, len(x))
