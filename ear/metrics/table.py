"""The tidy tables of the results, from what each (concept, method, seed) was measured to be.

Tables name their seed as text: "0", "1", … or "all" for the seeds taken together.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from ear.metrics.clip_score import mean_clip_score
from ear.metrics.concept_rate import accuracy, concept_rate, second_concept_rate
from ear.metrics.intervals import NOTHING, Interval, over_seeds, wilson

VERDICT_COLUMNS = (
    *("prompt_id", "prompt_set", "prompt", "object", "window"),
    *("shown", "score", "rank", "top1_object", "clip_score", "protocol"),
)
DETECTION_COLUMNS = (
    *("prompt_id", "prompt_set", "window"),
    *("class", "score", "left", "top", "width", "height"),
)
SCORE_COLUMNS = ("metric", "prompt_set", "value", "ci_low", "ci_high", "n", "protocol")
METRIC_COLUMNS = ("concept", "method", "seed", "prompt_set", "metric", "value", "ci_low", "ci_high", "n")
WINDOW_COLUMNS = ("concept", "method", "seed", "window", "metric", "value", "ci_low", "ci_high", "n")
ALL_SEEDS = "all"

_OF_IMAGES: dict[str, Callable[[pd.DataFrame], Interval]] = {
    "concept_rate": concept_rate,
    "second_concept_rate": second_concept_rate,
    "accuracy": accuracy,
    "clip_score": mean_clip_score,
}
_BOUNDS = {"clip_score": (0, 100), "bleu": (0, 100), "accuracy": (0, 1)}
_OF_WINDOWS = ("concept_rate", "clip_score")


def no_detections() -> pd.DataFrame:
    """The detections of a judge that detects nothing."""
    return pd.DataFrame(columns=list(DETECTION_COLUMNS))


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
        detections: one row a detection, columns DETECTION_COLUMNS.
        also_erased: words of further concepts that the same adapter erases: retention prompts that name one
            do not count, since nothing of them is to be retained.
    """

    concept: str
    method: str
    seed: int
    window: int | None
    verdicts: pd.DataFrame
    scores: pd.DataFrame
    detections: pd.DataFrame = field(default_factory=no_detections)
    also_erased: Sequence[str] = ()

    def own(self, prompt_set: str | None = None) -> pd.DataFrame:
        """The verdicts at the method's own window that count, of one prompt set or of all."""
        rows = self._own(self.verdicts, prompt_set)
        for words in self.also_erased:
            named = rows["prompt"].str.contains(words, case=False, regex=False)
            rows = rows[~named | (rows["prompt_set"] != "retention")]
        return rows

    def own_detections(self, prompt_set: str) -> pd.DataFrame:
        """The detections at the method's own window, of one prompt set."""
        return self._own(self.detections, prompt_set)

    def _own(self, table: pd.DataFrame, prompt_set: str | None) -> pd.DataFrame:
        if self.window is not None:
            table = table[table["window"] == self.window]
        return table if prompt_set is None else table[table["prompt_set"] == prompt_set]


def metrics_table(jobs: Sequence[Job]) -> pd.DataFrame:
    """The table of all metrics: each job's, then the seeds together (seed "all", also of one seed alone).

    Seeds together: the value is the mean of the seeds' values, its interval that of
    :func:`ear.metrics.intervals.over_seeds`, which takes the prompts as shared by the seeds. What the prompts
    alone leave open is, for the rates, Wilson's interval of the mean count on the
    prompts of one seed; for ``clip_score`` a bootstrap over prompts, each with its images of all seeds; for
    ``kid`` and ``bleu`` the means of the seeds' ends, which is never narrower than the interval of the mean,
    however the seeds are correlated (a mean's deviation is at most the mean deviation). ``fid`` has no
    interval. ``n`` is the total over the seeds.

    Returns:
        Columns METRIC_COLUMNS, concepts, methods and seeds in the order of ``jobs``.
    """
    rows: list[dict[str, Any]] = []
    for names, group in by_seed(jobs):
        rows += _image_rows([job.own() for job in group], **names)
        rows += _score_rows(group, names)
    return pd.DataFrame(rows, columns=list(METRIC_COLUMNS))


def window_table(jobs: Sequence[Job]) -> pd.DataFrame:
    """Concept rate and CLIP score on the target prompts at every window length, by seed and over seeds.

    Jobs without a window are left out. Seeds together are taken as in ``metrics_table``.

    Returns:
        Columns WINDOW_COLUMNS, windows ascending.
    """
    rows: list[dict[str, Any]] = []
    for names, group in by_seed([job for job in jobs if job.window is not None]):
        frames = [job.verdicts[job.verdicts["prompt_set"] == "target"] for job in group]
        for window in sorted(set().union(*(frame["window"] for frame in frames))):
            images = [frame[frame["window"] == window] for frame in frames]
            for metric in _OF_WINDOWS:
                place = names | {"window": int(window), "metric": metric}
                rows.append(place | numbers(_measure(metric, images)))
    return pd.DataFrame(rows, columns=list(WINDOW_COLUMNS))


def by_seed(jobs: Iterable[Job]) -> Iterator[tuple[dict[str, str], list[Job]]]:
    """What a table has a block of rows for: each job of a method by itself, then its seeds together.

    Yields:
        The columns concept, method and seed, and the jobs; concepts and methods in the order of ``jobs``.
    """
    groups: dict[tuple[str, str], list[Job]] = {}
    for job in jobs:
        groups.setdefault((job.concept, job.method), []).append(job)
    for (concept, method), group in groups.items():
        for seed, of_seed in [*((str(job.seed), [job]) for job in group), (ALL_SEEDS, group)]:
            yield {"concept": concept, "method": method, "seed": seed}, of_seed


def _image_rows(seeds: Sequence[pd.DataFrame], **names: str) -> list[dict[str, Any]]:
    rows = []
    for prompt_set in seeds[0]["prompt_set"].unique():
        images = [verdicts[verdicts["prompt_set"] == prompt_set] for verdicts in seeds]
        for metric in _OF_IMAGES:
            interval = _measure(metric, images)
            if interval.n:
                rows.append(names | {"prompt_set": prompt_set, "metric": metric} | numbers(interval))
    return rows


def _measure(metric: str, seeds: Sequence[pd.DataFrame]) -> Interval:
    """The metric over the verdicts of one seed, or over those of several."""
    measured = [interval for verdicts in seeds if (interval := _OF_IMAGES[metric](verdicts)).n]
    if len(measured) < 2:
        return measured[0] if measured else NOTHING
    if metric == "clip_score":
        return over_seeds(measured, mean_clip_score(pd.concat(seeds)), _BOUNDS[metric])
    return rate_over_seeds(measured)


def rate_over_seeds(seeds: Sequence[Interval]) -> Interval:
    """Mean of a rate over seeds; what the prompts leave open is Wilson's interval of the mean count."""
    n = min(seed.n for seed in seeds)
    return over_seeds(seeds, wilson(n * float(np.mean([seed.value for seed in seeds])), n), (0, 1))


def _score_rows(group: Sequence[Job], names: dict[str, str]) -> list[dict[str, Any]]:
    scores = pd.concat([job.scores for job in group])
    rows = []
    for (metric, prompt_set), found in scores.groupby(["metric", "prompt_set"], sort=False):
        columns = found[["value", "ci_low", "ci_high", "n"]]
        seeds = [
            Interval(float(value), float(low), float(high), int(n))
            for value, low, high, n in columns.to_numpy()
        ]
        value, low, high = (float(columns[name].mean(skipna=False)) for name in columns.columns[:3])
        items = Interval(value, low, high, seeds[0].n)
        interval = over_seeds(seeds, items, _BOUNDS.get(str(metric), (-np.inf, np.inf)))
        place = names | {"prompt_set": str(prompt_set), "metric": str(metric)}
        rows.append(place | numbers(interval))
    return rows


def numbers(interval: Interval) -> dict[str, float | int]:
    """The columns value, ci_low, ci_high and n."""
    return dict(zip(("value", "ci_low", "ci_high", "n"), interval, strict=True))


def score_row(metric: str, prompt_set: str, interval: Interval, protocol: str) -> dict[str, Any]:
    """One row of a scores table.

    Args:
        metric: "fid", "kid" or "bleu".
        prompt_set: what it was measured on.
        interval: the measurement.
        protocol: name and version of the way it was measured.
    """
    return {"metric": metric, "prompt_set": prompt_set} | numbers(interval) | {"protocol": protocol}


def lookup(metrics: pd.DataFrame, **wanted: str) -> Interval:
    """The one row of a metrics table with these values, as an interval; all NaN where there is none."""
    row = metrics[
        np.logical_and.reduce([metrics[name].astype(str) == value for name, value in wanted.items()])
    ]
    if row.empty:
        return Interval(np.nan, np.nan, np.nan, 0)
    value, low, high, n = row.iloc[0][["value", "ci_low", "ci_high", "n"]]
    return Interval(float(value), float(low), float(high), int(n))
