"""The tidy tables of the results, from what each (concept, method, seed) was measured to be.

Tables name their seed as text: "0", "1", … or "all" for the seeds taken together.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from ear.evaluation.columns import (
    DETECTION_COUNTS_CSV,
    DETECTIONS_CSV,
    METRICS_CSV,
    TOP_K_CSV,
    VERDICTS_CSV,
    WINDOW_LENGTH_CSV,
)
from ear.evaluation.metrics.rates import OF_IMAGES
from ear.evaluation.protocols import GENERAL, METRICS, NEIGHBOURS, RETENTION, RIGHT, TARGET, axis_of
from ear.evaluation.statistics.intervals import (
    NOTHING,
    Interval,
    bootstrap_mean,
    clustered_wilson,
    over_seeds,
    wilson,
)
from ear.judges.nudenet import CLASSES, detects
from ear.workflow.seeding import ALL_SEEDS, ORIGINAL

CLOSEST = 2
"""Objects that count as a concept's neighbours."""

LARGEST_K = 10
_ALWAYS = (TARGET, RETENTION, GENERAL)
"""Prompt sets of which every metric is told; of the others, what their axis names."""
_OF_WINDOWS = ("concept_rate", "clip_score")


def with_attacks(verdicts: pd.DataFrame, attacks: pd.DataFrame | None) -> pd.DataFrame:
    """Verdicts on the images of prompts, then those on attacks, of which nothing but the verdict is known.

    Args:
        verdicts: columns of ``VERDICTS_CSV``.
        attacks: columns ATTACK_COLUMNS; None where nothing was attacked.
    """
    if attacks is None:
        return verdicts
    known = [name for name in VERDICTS_CSV.columns if name in attacks]
    return pd.concat([verdicts, attacks[known].dropna(axis="columns", how="all")], ignore_index=True)


@dataclass(frozen=True)
class Job:
    """What one method with one seed gave for one concept.

    Attributes:
        concept: name of the concept.
        method: name of the method; "original" is the model before erasure.
        seed: seed of the training (0 for the original).
        window: the method's own window length, to which its results are restricted; None where it has none
            (the original).
        verdicts: one row an image (``VERDICTS_CSV``), those of attacks among them (``with_attacks``).
        scores: one row a set-level metric (``SCORES_CSV``).
        detections: one row a detection (``DETECTIONS_CSV``); none for a judge that detects nothing.
        also_erased: words of further concepts that the same adapter erases: prompts of retention and of
            neighbours that name one do not count, since nothing of them is to be retained.
    """

    concept: str
    method: str
    seed: int
    window: int | None
    verdicts: pd.DataFrame
    scores: pd.DataFrame
    detections: pd.DataFrame = field(default_factory=DETECTIONS_CSV.frame)
    also_erased: Sequence[str] = ()

    def own(self, prompt_set: str | None = None) -> pd.DataFrame:
        """The verdicts at the method's own window that count, of one prompt set or of all."""
        rows = self._own(self.verdicts, prompt_set)
        for words in self.also_erased:
            named = rows["prompt"].str.contains(words, case=False, regex=False)
            rows = rows[~named | ~rows["prompt_set"].isin((RETENTION, NEIGHBOURS))]
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

    Beside the sets of the verdicts there is "neighbours", where they have no such prompts: the retention
    prompts of the two objects that the original comes nearest to confusing with the concept.

    Seeds together: the value is the mean of the seeds' values, its interval that of
    :func:`ear.evaluation.statistics.intervals.over_seeds`, which takes the prompts as shared by the seeds.
    What the prompts and sampling alone leave open is, for the rates, Wilson's interval with an effective
    number of images (``clustered_wilson``) and for ``clip_score`` a bootstrap over prompts, both with each
    prompt's images of all seeds together; for ``kid`` and ``bleu`` the means of the seeds' ends, which is
    never narrower than the interval of the mean, however the seeds are correlated (a mean's deviation is at
    most the mean deviation). ``fid`` and ``diversity`` have no interval. ``n`` is the total over the seeds.

    Returns:
        ``METRICS_CSV``, concepts, methods and seeds in the order of ``jobs``.
    """
    rows: list[dict[str, Any]] = []
    closest = _closest_objects(jobs)
    for names, group in by_seed(jobs):
        images = [job.own() for job in group]
        rows += _image_rows(images, **names)
        rows += _neighbour_rows(images, closest.get(names["concept"], ()), names)
        rows += _score_rows(group, names)
    return METRICS_CSV.frame(rows)


def window_table(jobs: Sequence[Job]) -> pd.DataFrame:
    """Concept rate and CLIP score on the target prompts at every window length, by seed and over seeds.

    Jobs without a window are left out. Seeds together are taken as in ``metrics_table``.

    Returns:
        ``WINDOW_LENGTH_CSV``, windows ascending.
    """
    rows: list[dict[str, Any]] = []
    for names, group in by_seed([job for job in jobs if job.window is not None]):
        frames = [job.verdicts[job.verdicts["prompt_set"] == "target"] for job in group]
        for window in sorted(set().union(*(frame["window"] for frame in frames))):
            images = [frame[frame["window"] == window] for frame in frames]
            for metric in _OF_WINDOWS:
                place = names | {"window": int(window), "metric": metric}
                rows.append(place | numbers(_measure(metric, images)))
    return WINDOW_LENGTH_CSV.frame(rows)


def top_k_table(jobs: Sequence[Job]) -> pd.DataFrame:
    """How often the concept's label is among the judge's k most likely ones, on the target prompts.

    At the methods' own windows, with intervals as in :func:`metrics_table`. Jobs whose judge does not rank
    are left out.

    Returns:
        ``TOP_K_CSV``, k ascending from 1 to 10.
    """
    rows: list[dict[str, Any]] = []
    for names, group in by_seed([job for job in jobs if job.own(TARGET)["rank"].notna().any()]):
        images = [job.own(TARGET) for job in group]
        together = pd.concat(images, ignore_index=True)
        for k in range(1, LARGEST_K + 1):
            seeds = [clustered_wilson(seed["rank"] <= k, seed["prompt_id"]) for seed in images]
            of_all = clustered_wilson(together["rank"] <= k, together["prompt_id"])
            rows.append(names | {"k": k} | numbers(over_seeds(seeds, of_all, (0, 1))))
    return TOP_K_CSV.frame(rows)


def detection_table(jobs: Sequence[Job]) -> pd.DataFrame:
    """Detections by NudeNet's class on the target prompts, at the methods' own windows.

    ``value`` is the number of detections on ``n`` images: those of one seed, also for the seeds together,
    where it is the mean of the seeds' numbers. Its interval is that of the mean number on an image, times n:
    a bootstrap over prompts, each with its images of all seeds, and the spread of the seeds
    (:func:`ear.evaluation.statistics.intervals.over_seeds`). Where no image has any, the bootstrap has no
    width, and Wilson's interval of 0 images of n with a detection stands in.

    Returns:
        ``DETECTION_COUNTS_CSV``, all nine classes in the paper's order; no rows for jobs whose judge
        detects nothing.
    """
    rows: list[dict[str, Any]] = []
    for names, group in by_seed([job for job in jobs if job.own(TARGET)["protocol"].map(detects).any()]):
        counts = [_class_counts(job) for job in group]
        n = min(map(len, counts))
        for name in CLASSES:
            mean = _mean_count([of_seed[name] for of_seed in counts])
            total = Interval(mean.value * n, mean.low * n, mean.high * n, n)
            rows.append(names | {"class": name} | numbers(total))
    return DETECTION_COUNTS_CSV.frame(rows)


def _class_counts(job: Job) -> pd.DataFrame:
    """Detections of each class (columns) in each target image (rows, by prompt)."""
    detections = job.own_detections(TARGET)
    counts = pd.crosstab(detections["prompt_id"], detections["class"])
    return counts.reindex(index=job.own(TARGET)["prompt_id"], columns=list(CLASSES), fill_value=0)


def _mean_count(seeds: Sequence[pd.Series]) -> Interval:
    """Mean number on an image, from the numbers by prompt of each seed."""
    together = pd.concat(seeds)
    images = bootstrap_mean(together.to_numpy(), clusters=together.index.to_numpy())
    if not together.any():
        images = wilson(0, min(map(len, seeds)))
    of_seeds = [Interval(float(of_seed.mean()), np.nan, np.nan, len(of_seed)) for of_seed in seeds]
    return over_seeds(of_seeds, images, (0, np.inf))


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
        for metric in OF_IMAGES:
            if prompt_set not in _ALWAYS and axis_of(prompt_set, metric.removeprefix("second_")) is None:
                continue
            interval = _measure(metric, images)
            if interval.n:
                rows.append(names | {"prompt_set": prompt_set, "metric": metric} | numbers(interval))
    return rows


def _closest_objects(jobs: Sequence[Job]) -> dict[str, list[str]]:
    """Concept → the objects that the original's images come nearest to showing it with.

    By the judge's mean score over the original's retention images of each object; none where these name fewer
    than three objects, or where neighbours have prompts of their own.
    """
    found = {}
    for job in jobs:
        retention = job.own(RETENTION).dropna(subset=["object"])
        own = (job.verdicts["prompt_set"] == NEIGHBOURS).any()
        if job.method == ORIGINAL and not own and retention["object"].nunique() > CLOSEST:
            scores = retention.groupby("object")["score"].mean()
            found[job.concept] = scores.nlargest(CLOSEST).index.tolist()
    return found


def _neighbour_rows(
    seeds: Sequence[pd.DataFrame], objects: Sequence[str], names: dict[str, str]
) -> list[dict[str, Any]]:
    """Accuracy on the retention prompts of the closest objects."""
    if not objects:
        return []
    images = [one[(one["prompt_set"] == RETENTION) & one["object"].isin(objects)] for one in seeds]
    interval = _measure(RIGHT, images)
    row = names | {"prompt_set": NEIGHBOURS, "metric": RIGHT} | numbers(interval)
    return [row] if interval.n else []


def _measure(metric: str, seeds: Sequence[pd.DataFrame]) -> Interval:
    """The metric over the verdicts of one seed, or over those of several."""
    measured = [interval for verdicts in seeds if (interval := OF_IMAGES[metric](verdicts)).n]
    if len(measured) < 2:
        return measured[0] if measured else NOTHING
    return over_seeds(measured, OF_IMAGES[metric](pd.concat(seeds, ignore_index=True)), _bounds(metric))


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
        interval = over_seeds(seeds, items, _bounds(str(metric)))
        place = names | {"prompt_set": str(prompt_set), "metric": str(metric)}
        rows.append(place | numbers(interval))
    return rows


def _bounds(metric: str) -> tuple[float, float]:
    """Least and greatest value of a metric, which may be one that no axis has."""
    bounds = METRICS[metric].bounds if metric in METRICS else None
    return bounds or (-np.inf, np.inf)


def numbers(interval: Interval) -> dict[str, float | int]:
    """The columns value, ci_low, ci_high and n."""
    return dict(zip(("value", "ci_low", "ci_high", "n"), interval, strict=True))


def score_row(metric: str, prompt_set: str, interval: Interval, protocol: str) -> dict[str, Any]:
    """One row of a scores table.

    Args:
        metric: "fid", "kid", "diversity", "bleu", "length_ratio" or "accuracy".
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
