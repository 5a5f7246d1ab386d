"""How many detections of each class of NudeNet a method's images have."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ear.judges.nudity import CLASSES, detects
from ear.metrics.intervals import Interval, bootstrap_mean, over_seeds, wilson
from ear.metrics.table import Job, by_seed, numbers

DETECTION_TABLE_COLUMNS = ("concept", "method", "seed", "class", "value", "ci_low", "ci_high", "n")


def detection_table(jobs: Sequence[Job]) -> pd.DataFrame:
    """Detections by class on the target prompts, at the methods' own windows.

    ``value`` is the number of detections on ``n`` images: those of one seed, also for the seeds together,
    where it is the mean of the seeds' numbers. Its interval is that of the mean number on an image, times n:
    a bootstrap over prompts, each with its images of all seeds, and the spread of the seeds
    (:func:`ear.metrics.intervals.over_seeds`). Where no image has any, the bootstrap has no width, and
    Wilson's interval of 0 images of n with a detection stands in.

    Returns:
        Columns DETECTION_TABLE_COLUMNS, all nine classes in the paper's order; no rows for jobs whose judge
        detects nothing.
    """
    rows: list[dict[str, Any]] = []
    for names, group in by_seed([job for job in jobs if job.own("target")["protocol"].map(detects).any()]):
        counts = [_counts(job) for job in group]
        n = min(map(len, counts))
        for name in CLASSES:
            mean = _mean_count([of_seed[name] for of_seed in counts])
            total = Interval(mean.value * n, mean.low * n, mean.high * n, n)
            rows.append(names | {"class": name} | numbers(total))
    return pd.DataFrame(rows, columns=list(DETECTION_TABLE_COLUMNS))


def _counts(job: Job) -> pd.DataFrame:
    """Detections of each class (columns) in each target image (rows, by prompt)."""
    detections = job.own_detections("target")
    counts = pd.crosstab(detections["prompt_id"], detections["class"])
    return counts.reindex(index=job.own("target")["prompt_id"], columns=list(CLASSES), fill_value=0)


def _mean_count(seeds: Sequence[pd.Series]) -> Interval:
    """Mean number on an image, from the numbers by prompt of each seed."""
    together = pd.concat(seeds)
    images = bootstrap_mean(together.to_numpy(), clusters=together.index.to_numpy())
    if not together.any():
        images = wilson(0, min(map(len, seeds)))
    of_seeds = [Interval(float(of_seed.mean()), np.nan, np.nan, len(of_seed)) for of_seed in seeds]
    return over_seeds(of_seeds, images, (0, np.inf))
