"""Distances between two sets of images in a network's features: FID (clean-fid) and KID with an interval."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from cleanfid.fid import fid_from_feats, get_files_features
from scipy import linalg

from ear.errors import InputError
from ear.metrics.intervals import CONFIDENCE, RESAMPLES, Interval
from ear.seeding import stable_seed

# clean-fid's named resize: to 299 × 299 with Pillow's antialiased bicubic, without rounding to bytes (Parmar
# et al. 2022).
RESIZE = "clean"
KERNEL_DEGREE = 3
KID_IMAGES = 5000  # 200 MB a kernel matrix

# (B, 3, 299, 299) float32 in 0 … 255 → (B, D) features: what clean-fid calls a custom feature extractor.
FeatureExtractor = Callable[[torch.Tensor], torch.Tensor]


def image_features(
    files: Sequence[Path], extractor: FeatureExtractor, device: str = "cpu", batch_size: int = 32
) -> np.ndarray:
    """Features of image files, read and resized by clean-fid.

    Args:
        files: (N,) image files.
        extractor: maps a batch (B, 3, 299, 299) float32 in 0 … 255 on ``device`` to (B, D).
        device: where the extractor runs.
        batch_size: images a forward pass.

    Returns:
        (N, D) float64.

    Raises:
        InputError: fewer than two files; a covariance needs two.
    """
    if len(files) < 2:
        raise InputError(f"FID and KID: found {len(files)} images, wanted at least 2 on each side")
    names = [str(file) for file in files]
    features = get_files_features(
        names,
        extractor,
        num_workers=0,
        batch_size=batch_size,
        device=torch.device(device),
        mode=RESIZE,
        verbose=False,
    )
    return features.astype(np.float64)


def fid(generated: np.ndarray, reference: np.ndarray) -> Interval:
    """Fréchet distance of two Gaussians fitted to the features (Heusel et al. 2017), by clean-fid.

    A point value: FID is biased upwards by an amount that depends on the number of images, and a bootstrap of
    it is biased further, so no interval is given. Compare values at equal numbers of images; KID carries the
    uncertainty.

    Args:
        generated: (N, D) features.
        reference: (M, D) features.

    Returns:
        The value, NaN for the ends, and N.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # clean-fid's call of scipy's sqrtm with disp
        # Fewer images than features make the covariances singular; the trace of the root stays right.
        warnings.simplefilter("ignore", linalg.LinAlgWarning)
        return Interval(float(fid_from_feats(generated, reference)), np.nan, np.nan, len(generated))


def kid(generated: np.ndarray, reference: np.ndarray, seed: int = 0) -> Interval:
    """Kernel distance (Bińkowski et al. 2018): the unbiased estimate of MMD² with the kernel (x·y / D + 1)³.

    The estimand is the MMD² of the two populations. clean-fid averages the same unbiased estimate over random
    subsets; here all pairs are used, so nothing is random in the value. It can be negative where the
    populations agree. The interval is a percentile bootstrap over the images of both sides: weights w ~
    multinomial(N, 1/N), pairs of an image with its own copy left out, and Σ_{i≠j} w_i w_j k_ij divided by (N
    − 1)², which has the estimate itself as its mean.

    Args:
        generated: (N, D) features. Of more than ``KID_IMAGES``, that many are used, by a seeded choice.
        reference: (M, D) features, treated alike.
        seed: seed of the choice and of the resamples.

    Returns:
        The value, the interval, and the number of generated images used.
    """
    rng = np.random.default_rng(stable_seed("kid", seed))
    x, y = _thinned(generated, rng), _thinned(reference, rng)
    kernels = _kernel(x, x), _kernel(y, y), _kernel(x, y)
    np.fill_diagonal(kernels[0], 0)
    np.fill_diagonal(kernels[1], 0)
    n, m = len(x), len(y)
    value = kernels[0].sum() / (n * (n - 1)) + kernels[1].sum() / (m * (m - 1)) - 2 * kernels[2].mean()
    w = rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES).astype(np.float64)  # (R, N)
    v = rng.multinomial(m, np.full(m, 1 / m), size=RESAMPLES).astype(np.float64)  # (R, M)
    within_x = ((w @ kernels[0]) * w).sum(1) / (n - 1) ** 2
    within_y = ((v @ kernels[1]) * v).sum(1) / (m - 1) ** 2
    across = ((w @ kernels[2]) * v).sum(1) / (n * m)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(within_x + within_y - 2 * across, [tail, 1 - tail])
    return Interval(float(value), float(low), float(high), n)


def _thinned(features: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if len(features) <= KID_IMAGES:
        return features
    return features[np.sort(rng.choice(len(features), KID_IMAGES, replace=False))]


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x @ y.T / x.shape[1] + 1) ** KERNEL_DEGREE  # (N, M)
