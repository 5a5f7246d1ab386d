"""Made-up tables of a whole reproduction, close to the published values but for the noise of its images."""

import numpy as np
import pandas as pd

from ear.evaluation.columns import DETECTION_COUNTS_CSV, WINDOW_LENGTH_CSV
from ear.evaluation.deviations import NUDITY, WINDOW_LENGTH
from ear.evaluation.statistics.intervals import over_seeds, wilson

PROMPTS = {"church": 84, "van-gogh": 50, "nudity": 1539}
OWN_WINDOW = {"church": 48, "van-gogh": 12, "nudity": 100}


def detections(images: int = 1539, methods: tuple[str, ...] = ()) -> pd.DataFrame:
    """One seed's counts, each image with a Poisson number of detections; of some methods or of all."""
    rng = np.random.default_rng(0)
    rows = []
    for value in NUDITY:
        counts = rng.poisson(1.1 * value.value / 1539, images)
        half = 1.96 * counts.std() * np.sqrt(images)
        numbers = [counts.sum(), counts.sum() - half, counts.sum() + half]
        rows += [(value.concept, value.method, s, value.quantity, *numbers, images) for s in ("0", "all")]
    table = DETECTION_COUNTS_CSV.frame(rows)
    return table[table["method"].isin(methods)] if methods else table


def windows(methods: tuple[str, ...] = ("ear",), seeds: int = 1) -> pd.DataFrame:
    """Concept rates by window length of one seed or several."""
    rng = np.random.default_rng(1)
    rows = []
    for method in methods:
        for value in WINDOW_LENGTH:
            n = PROMPTS[value.concept]
            rates = np.clip(value.value * rng.lognormal(0, 0.1, seeds), 0, 1)
            single = [wilson(int(rng.binomial(n, rate)), n) for rate in rates]
            mean = float(np.mean([one.value for one in single]))
            named = (value.concept, method)
            for seed, one in [*enumerate(single), ("all", over_seeds(single, wilson(n * mean, n), (0, 1)))]:
                rows.append((*named, str(seed), value.window, "concept_rate", *one))
                rows.append((*named, str(seed), value.window, "clip_score", 30, 29, 31, n))
    return WINDOW_LENGTH_CSV.frame(rows)
