"""Sets of images in a network's features: distances to another set (FID, KID) and diversity (Vendi score).

Images are resized, and Inception is run, by clean-fid.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from cleanfid.resize import build_resizer
from numpy.typing import ArrayLike
from PIL import Image

from ear.errors import InputError
from ear.evaluation.statistics.intervals import CONFIDENCE, RESAMPLES, Interval
from ear.judges.base import BATCH, image_batches
from ear.models.weights import check_dtypes, check_file, check_finite, loading
from ear.workflow.files import atomic_path
from ear.workflow.seeding import stable_seed

RESIZE = "clean"  # clean-fid's: to 299 × 299 with Pillow's antialiased bicubic, not rounded to bytes
KERNEL_DEGREE = 3
KID_IMAGES = 5000  # 200 MB a kernel matrix
INCEPTION_FILE = "inception-2015-12-05.pt"
INCEPTION_SIZE = 299  # pixels a side


@dataclass(frozen=True)
class Extractor:
    """A network whose features are compared.

    Attributes:
        kind: "classifier" or "inception", for the names of protocols.
        features: (B, 3, 299, 299) float32 in 0 … 255 on ``device`` → (B, D) float32.
        device: where it runs.
    """

    kind: str
    features: Callable[[torch.Tensor], torch.Tensor]
    device: str = "cpu"


def load_extractor(kind: str, folder: str | Path, device: str = "cpu") -> Extractor:
    """Load a network for FID and KID.

    Args:
        kind: "classifier": the input of a timm classifier's last layer. "inception": clean-fid's
            TorchScript Inception, 2048 features.
        folder: a folder of timm, or one with inception-2015-12-05.pt.
        device: where it runs.

    Raises:
        InputError: the folder does not hold it.
    """
    if kind == "classifier":
        from ear.judges.classifier import Classifier

        return Extractor(kind, Classifier.load(folder, device).clean_fid_features, device)
    from cleanfid.inception_torchscript import InceptionV3W

    path, wanted = Path(folder) / INCEPTION_FILE, "clean-fid's Inception"
    check_file(path, wanted)
    with loading(path, wanted), torch.inference_mode():
        inception = InceptionV3W(str(folder), download=False).eval().requires_grad_(False).to(device)
        weights = inception.state_dict()
        check_dtypes(path, {name: str(tensor.dtype) for name, tensor in weights.items()})
        check_finite(path, weights)
        # A file of TorchScript brings its own code along: what it computes is looked at too.
        features = inception(torch.full((1, 3, INCEPTION_SIZE, INCEPTION_SIZE), 128.0, device=device))
        check_finite(path, {"its features of a grey picture": features})
    return Extractor(kind, inception, device)


def image_features(
    files: Sequence[Path], extractor: Extractor, desc: str = "features", batch_size: int = BATCH
) -> np.ndarray:
    """Features of N image files, (N, D) float32, as they lie in them: clean-fid turns no photograph either.

    Raises:
        InputError: there is no file, one is missing or no whole image, or a feature is not finite.
    """
    if not files:
        raise InputError("FID and KID: found no images, wanted some of the method and of the reference")
    parts = []
    for place, images in image_batches(files, desc, batch_size, upright=False):
        features = features_of(images, extractor)
        check_numbers(features, files[place].__getitem__, "features")
        parts.append(features)
    return np.concatenate(parts)


def features_of(images: Sequence[Image.Image], extractor: Extractor) -> np.ndarray:
    """Features of RGB images in one forward pass, (N, D) float32.

    As ``cleanfid.fid.get_files_features`` gives them of files, but resized on the job's threads.
    """
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        resized = list(pool.map(_resized, images))
    with torch.no_grad():
        return extractor.features(torch.stack(resized).to(extractor.device)).float().cpu().numpy()


def _resized(image: Image.Image) -> torch.Tensor:
    """(3, 299, 299) float32 in 0 … 255."""
    pixels: np.ndarray = build_resizer(RESIZE)(np.array(image))  # (299, 299, 3)
    return torch.from_numpy(pixels.transpose(2, 0, 1)).contiguous()


def write_features(path: str | Path, features: np.ndarray) -> None:
    """Write features (N, D) as .npy, atomically."""
    with atomic_path(path) as partial, open(partial, "wb") as handle:
        np.save(handle, features)


def read_features(path: str | Path, images: Sequence[str]) -> np.ndarray:
    """Read what :func:`write_features` wrote, (N, D), of images with these names (N,).

    Raises:
        InputError: the file is missing, holds something else or another number of rows, or a feature is not
            finite.
    """
    try:
        features = np.load(path)
    except FileNotFoundError:
        raise InputError(f"{path}: not found, wanted the reference's features") from None
    except (ValueError, EOFError) as error:
        raise InputError(f"{path}: {error}, wanted the reference's features (.npy)") from None
    if features.ndim != 2 or len(features) != len(images):
        raise InputError(f"{path}: found shape {features.shape}, wanted the features of {len(images)} images")
    check_numbers(features, lambda row: f"{path}: {images[row]}", "features")
    return features


def fid(generated: np.ndarray, reference: np.ndarray) -> Interval:
    """Fréchet distance of two Gaussians fitted to the features (Heusel et al. 2017).

    With X and Y the features less their means, and S_x = XᵀX / (N − 1), S_y = YᵀY / (M − 1):

        FID = |mean_x − mean_y|² + tr S_x + tr S_y − 2 tr (S_x S_y)^½
        tr (S_x S_y)^½ = Σ singular values of X Yᵀ / √((N − 1)(M − 1))

    since the eigenvalues of S_x S_y, other than 0, are the squares of these. Unlike a root of the D × D
    product, which clean-fid takes, it is exact and fast where images are fewer than features.

    It has no interval: FID is biased upwards by an amount that depends on the number of images, and a
    bootstrap of it further. Compare values at equal numbers of images; KID carries the uncertainty.

    Args:
        generated: (N, D) features.
        reference: (M, D) features.

    Raises:
        InputError: a side has fewer than two images, or a feature that is not finite.
    """
    _check_sides(generated, reference)
    sides = [side.astype(np.float64) for side in (generated, reference)]
    means = [side.mean(axis=0) for side in sides]
    x, y = ((side - mean) / np.sqrt(len(side) - 1) for side, mean in zip(sides, means, strict=True))
    spread = (x**2).sum() + (y**2).sum() - 2 * np.linalg.norm(_factor(x) @ _factor(y).T, "nuc")
    value = float(((means[0] - means[1]) ** 2).sum() + spread)
    return Interval(max(0.0, value), np.nan, np.nan, len(generated))  # of equal sides, rounding is left


def _factor(x: np.ndarray) -> np.ndarray:
    """At most D rows with the same XᵀX: many images need no matrix of all pairs."""
    return x if len(x) <= x.shape[1] else np.linalg.qr(x)[1]


def kid(generated: np.ndarray, reference: np.ndarray, seed: int = 0) -> Interval:
    """Kernel distance (Bińkowski et al. 2018): the unbiased estimate of MMD² with the kernel (x·y / D + 1)³.

    clean-fid averages the same estimate over random subsets; here all pairs are used, so nothing is random in
    the value. It can be negative where the populations agree. The interval is a percentile bootstrap over the
    images of both sides: weights w ~ multinomial(N, 1/N), pairs of an image with its own copy left out, and
    Σ_{i≠j} w_i w_j k_ij divided by (N − 1)², which has the estimate itself as its mean.

    Args:
        generated: (N, D) features. Of more than ``KID_IMAGES``, that many are used, by a seeded choice.
        reference: (M, D) features, treated alike.
        seed: of the choice and of the resamples.

    Returns:
        The value, the interval, and the number of generated images used.

    Raises:
        InputError: as for :func:`fid`.
    """
    _check_sides(generated, reference)
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


def vendi_score(features: np.ndarray) -> Interval:
    """Effective number of different images (Friedman and Dieng, arXiv 2210.02410), with the cosine kernel.

    exp(− Σ λ ln λ) over the eigenvalues λ of K / N, where K_ij is the cosine of images i and j: 1 where all
    images are alike, N where all are orthogonal. The smaller of K / N and the D × D matrix of the features is
    taken: they share all eigenvalues that are not 0. The score grows with N and has no interval, since a
    resample with copies is less diverse. Compare values at equal numbers of images.

    Args:
        features: (N, D), no row all 0.

    Raises:
        InputError: there is no image, or one without features.
    """
    x = np.asarray(features, dtype=np.float64)
    norms = np.linalg.norm(x, axis=1, keepdims=True)  # (N, 1)
    if len(x) == 0 or not (np.isfinite(norms) & (norms > 0)).all():
        raise InputError(f"diversity: found features of {len(x)} images, wanted one or more, none all zeros")
    x = x / norms
    gram = (x @ x.T if len(x) <= x.shape[1] else x.T @ x) / len(x)
    shares = np.linalg.eigvalsh(gram)
    shares = shares[shares > 0]  # rounding leaves some a little below
    return Interval(float(np.exp(-(shares * np.log(shares)).sum())), np.nan, np.nan, len(x))


def check_numbers(
    values: ArrayLike,
    of: Callable[[int], object],
    what: str,
    low: float = -np.inf,
    high: float = np.inf,
) -> None:
    """Refuse numbers that are not finite or not in their range.

    Args:
        values: (N, …) numbers, a row an image.
        of: row → the image's name.
        what: what the numbers are, "features".
        low: least number that is right.
        high: greatest one.

    Raises:
        InputError: a number is NaN, infinite or outside of the range; it names the first such image.
    """
    array = np.asarray(values, dtype=np.float64)
    rows = array.reshape(len(array), -1)
    right = np.isfinite(rows) & (rows >= low) & (rows <= high)
    if right.all():
        return
    row, column = np.argwhere(~right)[0]
    wanted = "finite numbers" if np.isinf([low, high]).all() else f"numbers from {low:g} to {high:g}"
    raise InputError(
        f"{of(int(row))}: {what}: found {rows[row, column]:g}, wanted {wanted}; "
        "check the image, and the weights of the model that gave it"
    )


def _check_sides(generated: np.ndarray, reference: np.ndarray) -> None:
    """Covariances and unbiased estimates need two images, and one NaN spoils either."""
    for side, features in (("generated", generated), ("reference", reference)):
        if len(features) < 2:
            raise InputError(f"FID and KID: found {len(features)} {side} images, wanted at least 2")
        check_numbers(features, lambda row, side=side: f"{side} image {row}", "features")  # type: ignore[misc]


def _thinned(features: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if len(features) > KID_IMAGES:
        features = features[np.sort(rng.choice(len(features), KID_IMAGES, replace=False))]
    return features.astype(np.float64)


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x @ y.T / x.shape[1] + 1) ** KERNEL_DEGREE  # (N, M)
