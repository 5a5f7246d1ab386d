"""How often the intervals hold the truth: simulated data with known truth, a row a setting.

Run ``python -m benchmarks.coverage`` for all settings of the table in docs/explanation/statistics.md (some 10
minutes on one core).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from scipy import special

from ear.evaluation.metrics.answers import corpus_bleu
from ear.evaluation.metrics.fid import KERNEL_DEGREE, kid
from ear.evaluation.statistics.intervals import Interval, bootstrap_mean, clustered_wilson, over_seeds, wilson
from ear.evaluation.statistics.paired import mean_difference, rate_difference

RATES = (0.005, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98, 0.995)
REPETITIONS = 1000
WANTED = 0.93

Repetition = Callable[[np.random.Generator], tuple[float, float, float]]
"""Draws data and returns the truth and the ends of the interval."""


@dataclass(frozen=True)
class Setting:
    """One estimator on one kind of data.

    Attributes:
        estimator: its name.
        data: what the data are like.
        repetitions: what draws the data, for each true rate or the one way there is.
        beyond: outside of what the estimator assumes: reported, not held to 93 %.
        slow: left out of the quick check.
    """

    estimator: str
    data: str
    repetitions: Sequence[Repetition]
    beyond: bool = False
    slow: bool = False


def measure(setting: Setting, repetitions: int = REPETITIONS, seed: int = 0) -> tuple[float, float]:
    """Share of the intervals that hold the truth, averaged over the true rates, and their mean width."""
    rng = np.random.default_rng(seed)
    each = -(-repetitions // len(setting.repetitions))
    found = np.array([[repetition(rng) for _ in range(each)] for repetition in setting.repetitions])
    truth, low, high = np.moveaxis(found, -1, 0)  # (rates, each)
    return float(((low <= truth) & (truth <= high)).mean()), float((high - low).mean())


@cache
def mean_rate(log_odds: float, sd: float) -> float:
    """Mean of the logistic function over normal log-odds."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(101)
    return float((weights * special.expit(log_odds + sd * nodes)).sum() / weights.sum())


def _wilson(rate: float, n: int, rng: np.random.Generator) -> tuple[float, float, float]:
    return rate, *wilson(int(rng.binomial(n, rate)), n)[1:3]


def _images(
    rng: np.random.Generator, rate: float, shape: tuple[int, int, int], seed_sd: float, prompt_sd: float
) -> tuple[float, np.ndarray]:
    """True rate, and which images count (seeds, prompts, samples): effects are normal on the log-odds."""
    seeds, prompts, _ = shape
    log_odds = special.logit(rate)
    effects = seed_sd * rng.normal(size=(seeds, 1, 1)) + prompt_sd * rng.normal(size=(1, prompts, 1))
    shown = rng.random(shape) < special.expit(log_odds + effects)
    return mean_rate(log_odds, float(np.hypot(seed_sd, prompt_sd))), shown


def _rate(
    rate: float, shape: tuple[int, int, int], seed_sd: float, prompt_sd: float, rng: np.random.Generator
) -> tuple[float, float, float]:
    truth, shown = _images(rng, rate, shape, seed_sd, prompt_sd)
    prompts = np.broadcast_to(np.arange(shape[1])[:, None], shape[1:])
    seeds = [clustered_wilson(of_seed.ravel(), prompts.ravel()) for of_seed in shown]
    of_all = clustered_wilson(shown.ravel(), np.broadcast_to(prompts, shape).ravel())
    return truth, *over_seeds(seeds, of_all, (0, 1))[1:3]


def _labels(shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Prompt and seed of each of the images (seeds, prompts, samples)."""
    seeds, prompts, _ = np.indices(shape)
    return prompts.ravel(), seeds.ravel()


def _rate_difference(
    rate: float, shape: tuple[int, int, int], seed_sd: float, effect: float, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Two methods ``effect`` apart in log-odds; prompts shared, half of the images by the same numbers."""
    seeds, prompts, _ = shape
    shared, random_numbers = rng.normal(size=(1, prompts, 1)), rng.random(shape)
    same, truths, shown = rng.random(shape) < 0.5, [], []
    for move in (effect, 0.0):
        log_odds = special.logit(rate) + move
        own = seed_sd * rng.normal(size=(seeds, 1, 1)) + 0.5 * rng.normal(size=(1, prompts, 1))
        chance = special.expit(log_odds + shared + own)
        shown.append(np.where(same, random_numbers, rng.random(shape)) < chance)
        truths.append(mean_rate(log_odds, float(np.sqrt(1 + 0.25 + seed_sd**2))))
    found = rate_difference(shown[0].ravel(), shown[1].ravel(), *_labels(shape))
    return truths[0] - truths[1], found.low, found.high


def _scores(rng: np.random.Generator, shape: tuple[int, int, int], seed_sd: float) -> np.ndarray:
    """Scores of mean 20, skewed as exponentials are; prompts differ by 3, images of one by 2."""
    seeds, prompts, _ = shape
    of_prompts = 3 * (rng.exponential(size=(1, prompts, 1)) - 1)
    of_images = 2 * (rng.exponential(size=shape) - 1)
    return np.asarray(20 + seed_sd * rng.normal(size=(seeds, 1, 1)) + of_prompts + of_images)


def _mean(
    shape: tuple[int, int, int], seed_sd: float, rng: np.random.Generator
) -> tuple[float, float, float]:
    scores = _scores(rng, shape, seed_sd)
    found = bootstrap_mean(scores.ravel(), _labels(shape)[0], seed=int(rng.integers(2**31)))
    seeds = [Interval(float(of_seed.mean()), np.nan, np.nan, of_seed.size) for of_seed in scores]
    return 20.0, *over_seeds(seeds, found, (0, 100))[1:3]


def _mean_difference(
    shape: tuple[int, int, int], seed_sd: float, rng: np.random.Generator
) -> tuple[float, float, float]:
    first, second = _scores(rng, shape, seed_sd), _scores(rng, shape, seed_sd)
    found = mean_difference(first.ravel(), second.ravel(), *_labels(shape))
    return 0.0, found.low, found.high


def _kid(n: int, shift: float, rng: np.random.Generator) -> tuple[float, float, float]:
    """Three normal features, whose moments give the kernel distance of the populations."""
    width = 3
    x, y = rng.normal(size=(n, width)) + shift, rng.normal(size=(n, width))
    return kernel_distance(width, shift), *kid(x, y, seed=int(rng.integers(2**31)))[1:3]


def kernel_distance(width: int, shift: float) -> float:
    """MMD² of N(shift, 1) and N(0, 1) in ``width`` dimensions under KID's kernel, by quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(6)  # exact for polynomials up to degree 11
    grid = np.stack(np.meshgrid(*[nodes] * width), axis=-1).reshape(-1, width)
    chance = np.prod(np.stack(np.meshgrid(*[weights / weights.sum()] * width), axis=-1), axis=-1).ravel()

    def mean(a: np.ndarray, b: np.ndarray) -> float:
        return float(chance @ ((a @ b.T / width + 1) ** KERNEL_DEGREE) @ chance)

    moved = grid + shift
    return mean(moved, moved) + mean(grid, grid) - 2 * mean(moved, grid)


def _bleu(n: int, truth: float, rng: np.random.Generator) -> tuple[float, float, float]:
    return truth, *corpus_bleu(*captions(n, rng), seed=int(rng.integers(2**31)))[1:3]


def captions(n: int, rng: np.random.Generator) -> tuple[list[str], list[list[str]]]:
    """Captions of nine words, one in five of them wrong, in some captions more than in others."""
    words = np.array(list("abcdefghijklmnop"))
    wanted = words[rng.integers(0, len(words), (n, 9))]
    wrong = rng.random((n, 9)) < rng.beta(1, 4, (n, 1))
    said = np.where(wrong, words[rng.integers(0, len(words), (n, 9))], wanted)
    return [" ".join(row) for row in said], [[" ".join(row)] for row in wanted]


def settings(quick: bool = True) -> list[Setting]:
    """All settings; without ``quick`` also those that take minutes."""
    found = [
        Setting("wilson", f"{n} prompts", [partial(_wilson, rate, n) for rate in RATES]) for n in (30, 300)
    ]
    for samples, prompt_sd in ((1, 2.0), (2, 0.0), (2, 2.0), (4, 0.0), (4, 2.0), (4, 8.0)):
        data = f"100 prompts × {samples}, prompts differ by {prompt_sd:g}"
        one = [partial(_rate, rate, (1, 100, samples), 0.0, prompt_sd) for rate in RATES]
        found.append(Setting("clustered_wilson", data, one))
    for seeds in (2, 3, 5):
        for seed_sd in (0.0, 0.5, 1.0, 2.0):
            for samples, prompt_sd in ((1, 0.0), (1, 2.0), (4, 2.0)):
                data = f"{seeds} seeds differ by {seed_sd:g}, 100 prompts × {samples} by {prompt_sd:g}"
                many = [partial(_rate, rate, (seeds, 100, samples), seed_sd, prompt_sd) for rate in RATES]
                slow = seed_sd == 0.5 or (samples, prompt_sd) == (1, 2.0)
                found.append(Setting("over_seeds, rates", data, many, beyond=seed_sd > 1, slow=slow))
    for effect in (0.0, 0.5, 3.0):
        for seeds, samples, seed_sd in ((1, 1, 0.0), (1, 4, 0.0), (3, 1, 0.0), (3, 1, 0.5), (3, 4, 1.0)):
            data = f"{_of_seeds(seeds, seed_sd)}, 100 prompts × {samples}, {effect:g} apart"
            two = [partial(_rate_difference, rate, (seeds, 100, samples), seed_sd, effect) for rate in RATES]
            slow = (effect, seeds, samples) not in ((0.0, 1, 1), (0.0, 1, 4), (3.0, 3, 4))
            found.append(Setting("rate_difference", data, two, slow=slow))
    for seeds, prompts, samples, seed_sd in (
        (1, 60, 1, 0.0),
        (1, 60, 4, 0.0),
        (3, 60, 1, 0.5),
        (3, 60, 1, 2.0),
    ):
        data = f"{_of_seeds(seeds, seed_sd)}, {prompts} skewed prompts × {samples}"
        shape = (seeds, prompts, samples)
        slow = (seeds, samples) != (1, 4)
        found.append(Setting("bootstrap_mean", data, [partial(_mean, shape, seed_sd)], slow=slow))
        found.append(Setting("mean_difference", data, [partial(_mean_difference, shape, seed_sd)]))
    for n, shift in ((60, 0.0), (60, 0.3), (300, 0.3)):
        data = f"{n} images each, features {shift:g} apart"
        found.append(Setting("kid", data, [partial(_kid, n, shift)], slow=True))
    if not quick:
        rng = np.random.default_rng(1)
        truth = corpus_bleu(*captions(5_000, rng))[0]  # of 5 000 captions, by 0.2 or so
        found.append(Setting("corpus_bleu", "100 captions", [partial(_bleu, 100, truth)], slow=True))
    return [one for one in found if not (quick and one.slow)]


def _of_seeds(seeds: int, sd: float) -> str:
    return f"{seeds} seeds differ by {sd:g}" if seeds > 1 else "1 seed"


def main() -> None:
    """Print the table as Markdown."""
    print("| estimator | data | coverage | mean width |\n|---|---|---|---|")
    for setting in settings(quick=False):
        coverage, width = measure(setting)
        note = " (beyond)" if setting.beyond else ""
        print(f"| {setting.estimator} | {setting.data}{note} | {coverage:.3f} | {width:.3g} |", flush=True)


if __name__ == "__main__":
    main()
