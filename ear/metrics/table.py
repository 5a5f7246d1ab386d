"""The tidy tables of the results, from what each (concept, method, seed) was measured to be.

Tables name their seed as text: "0", "1", … or "all" for the seeds taken together.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ear.metrics.clip_score import mean_clip_score
from ear.metrics.concept_rate import accuracy, concept_rate
from ear.metrics.intervals import Interval

VERDICT_COLUMNS = (
    *("prompt_id", "prompt_set", "prompt", "object", "window"),
    *("shown", "score", "top1_object", "clip_score", "protocol"),
)
SCORE_COLUMNS = ("metric", "prompt_set", "value", "ci_low", "ci_high", "n", "protocol")
METRIC_COLUMNS = ("concept", "method", "seed", "prompt_set", "metric", "value", "ci_low", "ci_high", "n")
WINDOW_COLUMNS = ("concept", "method", "seed", "window", "metric", "value", "ci_low", "ci_high", "n")
ALL_SEEDS = "all"

_OF_IMAGES: dict[str, Callable[[pd.DataFrame], Interval]] = {
    "concept_rate": concept_rate,
    "accuracy": accuracy,
    "clip_score": mean_clip_score,
}
_OF_WINDOWS = ("concept_rate", "clip_score")


@dataclass(frozen=True)
class Job:
    """What one method with one seed gave for one concept.

    Attributes:
        concept: name of the concept.
        method: name of the method; "original" is the model before erasure.
        seed: seed of the training (0 for the original).
        window: the method's own window length, to which its results are restricted; None where it has none
            (the original).
        verdicts: one row an image, columns VERDICT_COLUMNS.
        scores: one row a set-level metric, columns SCORE_COLUMNS.
    """

    concept: str
    method: str
    seed: int
    window: int | None
    verdicts: pd.DataFrame
    scores: pd.DataFrame

    def own(self) -> pd.DataFrame:
        """The verdicts at the method's own window."""
        return self.verdicts if self.window is None else self.verdicts[self.verdicts["window"] == self.window]


def metrics_table(jobs: Sequence[Job]) -> pd.DataFrame:
    """The table of all metrics: each job's, then the seeds together (seed "all", also of one seed alone).

    Seeds together: ``concept_rate`` and ``accuracy`` are Wilson intervals of the pooled counts, which takes
    the images as independent although the same prompts recur in each seed; ``clip_score`` is a bootstrap over
    prompts, each with its images of all seeds. ``fid``, ``kid`` and ``bleu`` are means over the seeds, since
    pooled images would change FID's bias; the ends of their intervals are the means of the seeds' ends, which
    is never narrower than the interval of the mean, however the seeds are correlated (a mean's deviation is
    at most the mean deviation). ``n`` is the total over the seeds.

    Returns:
        Columns METRIC_COLUMNS, concepts, methods and seeds in the order of ``jobs``.
    """
    rows: list[dict[str, Any]] = []
    for group in _by_method(jobs):
        concept, method = group[0].concept, group[0].method
        for job in group:
            rows += _image_rows(job.own(), concept=concept, method=method, seed=str(job.seed))
            rows += _score_rows([job], str(job.seed))
        rows += _image_rows(
            pd.concat([job.own() for job in group]), concept=concept, method=method, seed=ALL_SEEDS
        )
        rows += _score_rows(group, ALL_SEEDS)
    return pd.DataFrame(rows, columns=list(METRIC_COLUMNS))


def window_table(jobs: Sequence[Job]) -> pd.DataFrame:
    """Concept rate and CLIP score on the target prompts at every window length, by seed and over seeds.

    Jobs without a window are left out. Seeds together are taken as in ``metrics_table``.

    Returns:
        Columns WINDOW_COLUMNS, windows ascending.
    """
    rows: list[dict[str, Any]] = []
    for group in _by_method([job for job in jobs if job.window is not None]):
        targets = [(str(job.seed), job.verdicts[job.verdicts["prompt_set"] == "target"]) for job in group]
        targets.append((ALL_SEEDS, pd.concat([frame for _, frame in targets])))
        for seed, frame in targets:
            for window in sorted(frame["window"].unique()):
                images = frame[frame["window"] == window]
                for metric in _OF_WINDOWS:
                    names = {
                        "concept": group[0].concept,
                        "method": group[0].method,
                        "seed": seed,
                        "window": int(window),
                    }
                    rows.append(names | {"metric": metric} | _numbers(_OF_IMAGES[metric](images)))
    return pd.DataFrame(rows, columns=list(WINDOW_COLUMNS))


def _by_method(jobs: Iterable[Job]) -> list[list[Job]]:
    groups: dict[tuple[str, str], list[Job]] = {}
    for job in jobs:
        groups.setdefault((job.concept, job.method), []).append(job)
    return list(groups.values())


def _image_rows(verdicts: pd.DataFrame, **names: str) -> list[dict[str, Any]]:
    rows = []
    for prompt_set in verdicts["prompt_set"].unique():
        images = verdicts[verdicts["prompt_set"] == prompt_set]
        for metric, measure in _OF_IMAGES.items():
            interval = measure(images)
            if interval.n:
                rows.append(names | {"prompt_set": prompt_set, "metric": metric} | _numbers(interval))
    return rows


def _score_rows(group: Sequence[Job], seed: str) -> list[dict[str, Any]]:
    scores = pd.concat([job.scores for job in group])
    rows = []
    for (metric, prompt_set), seeds in scores.groupby(["metric", "prompt_set"], sort=False):
        value, low, high = (float(seeds[name].mean(skipna=False)) for name in ("value", "ci_low", "ci_high"))
        names = {"concept": group[0].concept, "method": group[0].method, "seed": seed}
        names |= {"prompt_set": str(prompt_set), "metric": str(metric)}
        rows.append(names | _numbers(Interval(value, low, high, int(seeds["n"].sum()))))
    return rows


def _numbers(interval: Interval) -> dict[str, float | int]:
    return dict(zip(("value", "ci_low", "ci_high", "n"), interval, strict=True))


def score_row(metric: str, prompt_set: str, interval: Interval, protocol: str) -> dict[str, Any]:
    """One row of a scores table.

    Args:
        metric: "fid", "kid" or "bleu".
        prompt_set: what it was measured on.
        interval: the measurement.
        protocol: name and version of the way it was measured.
    """
    return {"metric": metric, "prompt_set": prompt_set} | _numbers(interval) | {"protocol": protocol}


def lookup(metrics: pd.DataFrame, **wanted: str) -> Interval:
    """The one row of a metrics table with these values, as an interval; all NaN where there is none."""
    row = metrics[
        np.logical_and.reduce([metrics[name].astype(str) == value for name, value in wanted.items()])
    ]
    if row.empty:
        return Interval(np.nan, np.nan, np.nan, 0)
    value, low, high, n = row.iloc[0][["value", "ci_low", "ci_high", "n"]]
    return Interval(float(value), float(low), float(high), int(n))
