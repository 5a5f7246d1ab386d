"""A made-up comparison of ten methods, three concepts and three seeds, as plausible as its shape is awkward."""

from collections.abc import Iterable, Sequence
from itertools import product

import numpy as np
import pandas as pd

from ear.evaluation.columns import SCORES_CSV, VERDICTS_CSV
from ear.evaluation.metrics_table import Job, score_row
from ear.evaluation.statistics.intervals import Interval

CONCEPTS = ("church", "van-gogh", "fire")
SEEDS = (0, 1, 2)
UNTRAINED = ("original", "negative-prompt")
# Method → chance that the concept is shown, chance of the right object in retention, spread of both over seeds.
METHODS: dict[str, tuple[float, float, float]] = {
    "original": (0.96, 0.99, 0.0),
    "released": (0.55, 0.93, 0.25),
    "paper": (0.30, 0.90, 0.25),
    "single-step": (0.03, 0.975, 0.3),
    "wga": (0.004, 0.985, 0.2),
    "ear": (0.003, 0.99, 0.1),
    "obliviate": (0.01, 0.98, 0.5),
    "gradient-ascent": (0.0, 0.05, 1.0),
    "negative-prompt": (0.20, 0.985, 0.0),
    "ear-conditional": (0.008, 0.97, 0.3),
}


def jobs(
    prompts: int = 300,
    windows: tuple[int, ...] = (4, 16, 64),
    concepts: Sequence[str] = CONCEPTS,
    methods: Iterable[str] = METHODS,
) -> list[Job]:
    """What evaluation would give: verdicts that share their prompts over seeds, and scores of sets."""
    return [
        _job(concept, method, seed, prompts, windows if method == "ear" else (16,))
        for concept, method in product(concepts, methods)
        for seed in ((0,) if method in UNTRAINED else SEEDS)
    ]


def _job(concept: str, method: str, seed: int, prompts: int, windows: tuple[int, ...]) -> Job:
    rng = np.random.default_rng([CONCEPTS.index(concept), list(METHODS).index(method), seed])
    shared = np.random.default_rng(CONCEPTS.index(concept)).normal(size=prompts)  # ease of each prompt
    shows, keeps, spread = METHODS[method]
    of_seed = spread * rng.normal(size=2)
    parts = []
    for prompt_set, window in product(("target", "retention", "general"), windows):
        shown = rng.random(prompts) < _moved(shows if prompt_set == "target" else 0.0, of_seed[0] + shared)
        right = rng.random(prompts) < _moved(keeps, of_seed[1] + shared)
        part = {
            "prompt_id": [f"{concept}/{prompt_set}/{number:04d}" for number in range(prompts)],
            "prompt_set": prompt_set,
            "prompt": "a boat",
            "object": "boat",
            "window": window,
            "shown": shown,
            "score": 0.5,
            "rank": np.where(shown, 1, 2 + np.arange(prompts) % 15),
            "top1_object": np.where(right, "boat", "tree"),
            "clip_score": rng.normal(22 + 8 * keeps, 3, prompts).clip(0, 100),
            "clip_protocol": "clip-score/1",
            "protocol": "p/1",
        }
        parts.append(pd.DataFrame(part))
    verdicts = pd.concat(parts, ignore_index=True)[list(VERDICTS_CSV.columns)]
    fid, bleu = 12 + 150 * (1 - keeps) + rng.normal(), 30 * keeps + rng.normal(0, 0.3)
    scores = [
        score_row("fid", "general", Interval(fid, np.nan, np.nan, prompts), "f/1"),
        score_row("kid", "general", Interval(fid / 900, fid / 1000, fid / 800, prompts), "k/1"),
        score_row("bleu", "captions", Interval(bleu, bleu - 1, bleu + 1, prompts), "b/1"),
    ]
    window = None if method in UNTRAINED else 16
    return Job(concept, method, seed, window, verdicts, SCORES_CSV.frame(scores))


def _moved(chance: float, by: np.ndarray) -> np.ndarray:
    """The chance with its log-odds moved; 0 and 1 stay."""
    odds = chance * np.exp(by)
    return odds / (odds + 1 - chance)


def training() -> pd.DataFrame:
    """One concept's training.csv of all methods that train: sums of distances, divergences, log-likelihoods."""
    rng, parts = np.random.default_rng(0), []
    for number, method in enumerate(name for name in METHODS if name not in UNTRAINED):
        windows = 1200 if method == "single-step" else 85 if method == "obliviate" else 340
        step = np.arange(windows)
        loss = (1 + number) * np.exp(-2 * step / windows + rng.normal(0, 0.5, windows))
        threshold, kept = np.nan, np.ones(windows)
        if method == "gradient-ascent":
            loss = -40 - 100 * step / windows + rng.normal(0, 8, windows)
        elif method in ("released", "paper", "ear"):
            threshold = float(np.quantile(loss, 0.15))
            kept = (loss > threshold).astype(float)
        elif method == "ear-conditional":  # masks tokens, not windows
            threshold, kept = 0.02, rng.choice([0, 0.25, 0.5, 0.75, 1], windows)
        part = {"window_length": 1 if method == "single-step" else 64 if method == "obliviate" else 16}
        part |= {"step": step, "pair": step // 4, "window": step % 4, "loss": loss, "threshold": threshold}
        part |= {"kept": kept, "skipped": kept == 0, "grad_norm": 1.0, "method": method}
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)
