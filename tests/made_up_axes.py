"""A made-up metrics table of all axes: nine methods, three concepts, three seeds, with plausible numbers."""

import numpy as np
import pandas as pd

from ear.evaluation.columns import METRICS_CSV
from ear.evaluation.metrics_table import numbers
from ear.evaluation.statistics.intervals import Interval, over_seeds, wilson

CONCEPTS = ("church", "van-gogh", "fire")
# Method → rate on target prompts, with a quarter of the image given, after relearning, and retention.
METHODS: dict[str, tuple[float, float, float, float]] = {
    "original": (0.97, 0.99, 0.97, 0.98),
    "released": (0.55, 0.93, 0.90, 0.93),
    "paper": (0.30, 0.92, 0.70, 0.90),
    "single-step": (0.05, 0.90, 0.60, 0.965),
    "wga": (0.01, 0.88, 0.45, 0.975),
    "ear": (0.005, 0.86, 0.40, 0.98),
    "obliviate": (0.02, 0.85, 0.55, 0.97),
    "gradient-ascent": (0.0, 0.25, 0.02, 0.15),
    "negative-prompt": (0.20, 0.80, 0.25, 0.97),
    "prefix-redirect": (0.015, 0.28, 0.30, 0.965),
}
UNTRAINED = ("original", "negative-prompt")
IMAGE_TOKENS = 256
PREFIXES = (1, 4, 16, 64, 128)
GUIDANCE = (1.0, 3.0, 7.0)
TEMPERATURE = (0.5, 2.0)
STEPS = (10, 50, 200)
SEARCHES = ("resample", "random", "greedy", "gradient")


def made_up_metrics() -> pd.DataFrame:
    """Rows as ``ear.evaluation.metrics_table.metrics_table`` makes them."""
    rng, rows = np.random.default_rng(11), []
    for number, concept in enumerate(CONCEPTS):
        for method, levels in METHODS.items():
            seeds = ("0",) if method in UNTRAINED else ("0", "1", "2")
            for (prompt_set, metric), (level, n) in _levels(method, *levels).items():
                place = {"concept": concept, "method": method, "prompt_set": prompt_set, "metric": metric}
                rows += _rows(rng, place, seeds, level * (1 + 0.1 * number * (metric == "concept_rate")), n)
    return METRICS_CSV.frame(rows)


def _levels(
    method: str, target: float, prefixed: float, relearned: float, kept: float
) -> dict[tuple[str, str], tuple[float, int]]:
    rate = "concept_rate"
    found = {
        ("target", rate): (target, 300),
        ("implicit", rate): (0.8 * target + 0.02, 60),
        ("neighbours", "accuracy"): (0.93 * kept, 100),
        ("retention", "accuracy"): (kept, 300),
        ("general", "kid"): (0.004 + 0.03 * (1 - kept), 0),
        ("general", "diversity"): (4 + 8 * kept, 0),
        ("captions", "bleu"): (30 * kept, 0),
        ("questions-concept", "accuracy"): (0.5 + 0.35 * target, 120),
        ("questions-others", "accuracy"): (0.6 + 0.2 * kept, 120),
    }
    for k in PREFIXES:
        share = np.log2(1 + k) / np.log2(65)
        found[f"prefix-{k}", rate] = (target + (max(prefixed, target) - target) * min(share**1.5, 1.05), 60)
        if method == "original":
            found[f"ceiling-{k}", rate] = (0.02 + 0.6 * k / IMAGE_TOKENS, 60)
    for guidance in GUIDANCE:
        found[f"guidance-{guidance:g}", rate] = (min(1.0, target * (0.6 + 0.2 * guidance)), 60)
    for temperature in TEMPERATURE:
        found[f"temperature-{temperature:g}", rate] = (min(1.0, target / temperature**0.3), 60)
    for place, kind in enumerate(SEARCHES):
        found[f"search-{kind}", rate] = (min(1.0, 2 * target + 0.08 * place), 20)
    found |= {
        ("inversion", rate): (min(1.0, target + 0.4), 40),
        ("inversion-control", rate): (target / 4, 40),
    }
    if method not in UNTRAINED:
        for step in STEPS:
            found[f"relearned-{step}", rate] = (target + (relearned - target) * step / max(STEPS), 60)
    return found


def _rows(
    rng: np.random.Generator, place: dict[str, str], seeds: tuple[str, ...], level: float, n: int
) -> list[dict[str, object]]:
    if n:
        single = [wilson(int(rng.binomial(n, min(level, 1.0))), n) for _ in seeds]
        mean = wilson(n * float(np.mean([one.value for one in single])), n)
        together = over_seeds(single, mean, (0, 1)) if len(single) > 1 else single[0]
    else:
        noise = level * (1 + 0.03 * rng.normal(size=len(seeds)))
        single = [Interval(float(value), 0.95 * float(value), 1.05 * float(value), 300) for value in noise]
        mean = float(noise.mean())
        together = Interval(mean, 0.94 * mean, 1.06 * mean, 300 * len(seeds))
    named = zip((*seeds, "all"), (*single, together), strict=True)
    return [place | {"seed": seed} | numbers(interval) for seed, interval in named]
