"""The tidy tables of the results, from what each (concept, method, seed) was measured to be.

Tables name their seed as text: "0", "1", … or "all" for the seeds taken together.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
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
from ear.evaluation.protocols import (
    GENERAL,
    METRICS,
    NEIGHBOURS,
    RETENTION,
    RIGHT,
    SECOND,
    SHOWN,
    TARGET,
    axis_of,
)
from ear.evaluation.statistics.intervals import (
    NOTHING,
    Interval,
    bootstrap_mean,
    clustered_wilson,
    over_seeds,
    wilson,
)
from ear.judges.nudenet import CLASSES, detects
from ear.prompts.tables import prompt_of
from ear.workflow.seeding import ALL_SEEDS, ORIGINAL

CLOSEST = 2
"""Objects that count as a concept's neighbours."""
LARGEST_K = 10
_ALWAYS = (TARGET, RETENTION, GENERAL)
"""Prompt sets of which every metric is told; of the others, what their axis names."""


def _verdicts_of(column: str, verdicts: pd.DataFrame) -> pd.Series:
    """Of images that the judge has seen: attacks ask the first alone, and many concepts have no second."""
    return (verdicts[column] if column in verdicts else pd.Series(dtype=bool)).dropna().astype(bool)


def _right_object(verdicts: pd.DataFrame) -> pd.Series:
    """Of images whose prompt names an object, by judges that know objects: is it the most likely one?"""
    named = verdicts[verdicts["object"].notna() & verdicts["top1_object"].notna()]
    return named["object"] == named["top1_object"]


RATES: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    SHOWN: partial(_verdicts_of, "shown"),
    SECOND: partial(_verdicts_of, "second_shown"),
    RIGHT: _right_object,
}
"""Metric → whether each image counts; images that are not asked are left out, by the rows' labels."""


def rate(metric: str, verdicts: pd.DataFrame) -> Interval:
    """One of ``RATES`` over verdicts (rows with unique labels), images of one prompt together."""
    outcomes = RATES[metric](verdicts)
    return clustered_wilson(outcomes, prompt_of(verdicts.loc[outcomes.index, "prompt_id"]))


def mean_clip_score(verdicts: pd.DataFrame) -> Interval:
    """Mean CLIP score with a bootstrap over prompts, images of one prompt together."""
    return bootstrap_mean(verdicts["clip_score"].to_numpy(), prompt_of(verdicts["prompt_id"]).to_numpy())


OF_IMAGES: dict[str, Callable[[pd.DataFrame], Interval]] = {
    **{metric: partial(rate, metric) for metric in RATES},
    "clip_score": mean_clip_score,
}
"""Metric → its value over verdicts, for all that are measured image by image."""


def with_attacks(verdicts: pd.DataFrame, attacks: pd.DataFrame | None) -> pd.DataFrame:
    """Verdicts on the images of prompts, then those on attacks, of which nothing but the verdict is known."""
    if attacks is None or attacks.empty:
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
        also_erased: words of further concepts that the same set of edited weights erases: prompts of
            retention and of neighbours that name one do not count, since nothing of them is to be retained.
    """

    concept: str
    method: str
    seed: int
    window: int | None
    verdicts: pd.DataFrame
    scores: pd.DataFrame
    detections: pd.DataFrame = field(default_factory=DETECTIONS_CSV.frame)
    also_erased: Sequence[str] = ()

    def own(self) -> pd.DataFrame:
        """The verdicts at the method's own window that count."""
        rows = self.at_own_window(self.verdicts)
        for words in self.also_erased:
            named = rows["prompt"].str.contains(words, case=False, regex=False)
            rows = rows[~named | ~rows["prompt_set"].isin((RETENTION, NEIGHBOURS))]
        return rows

    def at_own_window(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of verdicts or detections at the method's own window."""
        return table if self.window is None else table[table["window"] == self.window]


def metrics_table(jobs: Sequence[Job]) -> pd.DataFrame:
    """The table of all metrics: each job's, then the seeds together (seed "all", also of one seed alone).

    Where there are no prompts of a set "neighbours", it is the retention prompts of the two objects that the
    original comes nearest to confusing with the concept.

    Seeds together: the value is the mean of the seeds' values, its interval that of
    :func:`ear.evaluation.statistics.intervals.over_seeds`. What the prompts and sampling alone leave open is,
    for rates and ``clip_score``, the interval of all seeds' images, each prompt's together; for ``kid`` and
    ``bleu`` the means of the seeds' ends, which is never narrower than the interval of the mean (a mean's
    deviation is at most the mean deviation). ``fid`` and ``diversity`` have no interval. ``n`` is the total.

    Returns:
        ``METRICS_CSV``, concepts, methods and seeds in the order of ``jobs``.
    """
    rows: list[dict[str, Any]] = []
    closest = _closest_objects(jobs)
    for names, group in by_seed(jobs):
        images = [_with_neighbours(job.own(), closest.get(job.concept, [])) for job in group]
        rows += [names | row for row in (*_image_rows(images), *_score_rows(group))]
    return METRICS_CSV.frame(rows)


def window_table(jobs: Sequence[Job]) -> pd.DataFrame:
    """Concept rate and CLIP score on the target prompts at every window length, by seed and over seeds.

    Jobs without a window are left out. Seeds together are taken as in ``metrics_table``.

    Returns:
        ``WINDOW_LENGTH_CSV``, windows ascending.
    """
    rows: list[dict[str, Any]] = []
    for names, group in by_seed([job for job in jobs if job.window is not None]):
        frames = [_of_set(job.verdicts, TARGET) for job in group]
        for window in sorted(set().union(*(frame["window"] for frame in frames))):
            images = [frame[frame["window"] == window] for frame in frames]
            for metric in (SHOWN, "clip_score"):
                place = names | {"window": int(window), "metric": metric}
                rows.append(place | numbers(measured(OF_IMAGES[metric], images, _bounds(metric))))
    return WINDOW_LENGTH_CSV.frame(rows)


def top_k_table(jobs: Sequence[Job]) -> pd.DataFrame:
    """How often the concept's label is among the judge's k most likely ones, on the target prompts.

    At the methods' own windows, with intervals as in :func:`metrics_table`. Jobs whose judge does not rank
    are left out.

    Returns:
        ``TOP_K_CSV``, k ascending from 1 to 10.
    """
    rows: list[dict[str, Any]] = []
    for names, group in by_seed([job for job in jobs if _target(job)["rank"].notna().any()]):
        images = [_target(job) for job in group]
        for k in range(1, LARGEST_K + 1):
            rows.append(names | {"k": k} | numbers(measured(partial(_within, k), images, (0, 1))))
    return TOP_K_CSV.frame(rows)


def _within(k: int, verdicts: pd.DataFrame) -> Interval:
    return clustered_wilson(verdicts["rank"] <= k, verdicts["prompt_id"])


def detection_table(jobs: Sequence[Job]) -> pd.DataFrame:
    """Detections by NudeNet's class on the target prompts, at the methods' own windows.

    ``value`` is the number of detections on ``n`` images: those of one seed, also for the seeds together,
    where it is the mean of the seeds' numbers. Its interval is n times that of the mean number on an image,
    from a bootstrap over prompts and the spread of the seeds. Where no image has any, the bootstrap has no
    width, and Wilson's interval of 0 images of n with a detection stands in.

    Returns:
        ``DETECTION_COUNTS_CSV``, all nine classes in the paper's order; no rows for jobs whose judge
        detects nothing.
    """
    rows: list[dict[str, Any]] = []
    for names, group in by_seed([job for job in jobs if _target(job)["protocol"].map(detects).any()]):
        counts = [_class_counts(job) for job in group]
        n = min(map(len, counts))
        for name in CLASSES:
            mean = mean_count([of_seed[name] for of_seed in counts])
            total = Interval(mean.value * n, mean.low * n, mean.high * n, n)
            rows.append(names | {"class": name} | numbers(total))
    return DETECTION_COUNTS_CSV.frame(rows)


def _class_counts(job: Job) -> pd.DataFrame:
    """Detections of each class (columns) in each target image (rows, by prompt)."""
    detections = _of_set(job.at_own_window(job.detections), TARGET)
    counts = pd.crosstab(detections["prompt_id"], detections["class"])
    return counts.reindex(index=_target(job)["prompt_id"], columns=list(CLASSES), fill_value=0)


def mean_count(seeds: Sequence[pd.Series]) -> Interval:
    """Mean number on an image, from the numbers by prompt of each seed."""
    together = pd.concat(seeds)
    images = bootstrap_mean(together.to_numpy(), clusters=together.index.to_numpy())
    if not together.any():
        images = wilson(0, min(map(len, seeds)))
    of_seeds = [Interval(float(of_seed.mean()), np.nan, np.nan, len(of_seed)) for of_seed in seeds]
    return over_seeds(of_seeds, images, (0, np.inf))


def _target(job: Job) -> pd.DataFrame:
    """Its verdicts on target images."""
    return _of_set(job.own(), TARGET)


def _of_set(table: pd.DataFrame, prompt_set: str) -> pd.DataFrame:
    return table[table["prompt_set"] == prompt_set]


def by_seed(jobs: Iterable[Job]) -> Iterator[tuple[dict[str, str], list[Job]]]:
    """The columns concept, method and seed with their jobs: each seed of a method, then all of them."""
    groups: dict[tuple[str, str], list[Job]] = {}
    for job in jobs:
        groups.setdefault((job.concept, job.method), []).append(job)
    for (concept, method), group in groups.items():
        for seed, of_seed in [*((str(job.seed), [job]) for job in group), (ALL_SEEDS, group)]:
            yield {"concept": concept, "method": method, "seed": seed}, of_seed


def _closest_objects(jobs: Sequence[Job]) -> dict[str, list[str]]:
    """Concept → the objects that the original's images come nearest to showing it with.

    By the judge's mean score over the original's retention images of each object; none where these name fewer
    than three objects, or where neighbours have prompts of their own.
    """
    found = {}
    for job in jobs:
        retention = _of_set(job.own(), RETENTION).dropna(subset=["object"])
        own = (job.verdicts["prompt_set"] == NEIGHBOURS).any()
        if job.method == ORIGINAL and not own and retention["object"].nunique() > CLOSEST:
            scores = retention.groupby("object")["score"].mean()
            found[job.concept] = scores.nlargest(CLOSEST).index.tolist()
    return found


def _with_neighbours(images: pd.DataFrame, objects: Sequence[str]) -> pd.DataFrame:
    """Verdicts, and again those on retention prompts of the closest objects, as a set of their own."""
    near = _of_set(images, RETENTION)
    near = near[near["object"].isin(objects)].assign(prompt_set=NEIGHBOURS)
    return images if near.empty else pd.concat([images, near], ignore_index=True)


def _image_rows(seeds: Sequence[pd.DataFrame]) -> Iterator[dict[str, Any]]:
    for prompt_set in seeds[0]["prompt_set"].unique():
        images = [_of_set(verdicts, prompt_set) for verdicts in seeds]
        for metric, measure in OF_IMAGES.items():
            if prompt_set in _ALWAYS or axis_of(prompt_set, metric.removeprefix("second_")):
                interval = measured(measure, images, _bounds(metric))
                if interval.n:
                    yield {"prompt_set": prompt_set, "metric": metric} | numbers(interval)


def measured(
    measure: Callable[[pd.DataFrame], Interval], seeds: Sequence[pd.DataFrame], bounds: tuple[float, float]
) -> Interval:
    """A metric over the verdicts of one seed, or over those of several."""
    found = [interval for verdicts in seeds if (interval := measure(verdicts)).n]
    if len(found) < 2:
        return found[0] if found else NOTHING
    return over_seeds(found, measure(pd.concat(seeds, ignore_index=True)), bounds)


def _score_rows(group: Sequence[Job]) -> Iterator[dict[str, Any]]:
    scores = pd.concat([job.scores for job in group])
    for (metric, prompt_set), found in scores.groupby(["metric", "prompt_set"], sort=False):
        seeds = [_interval(row) for _, row in found.iterrows()]
        value, low, high = (float(found[name].mean(skipna=False)) for name in ("value", "ci_low", "ci_high"))
        interval = over_seeds(seeds, Interval(value, low, high, seeds[0].n), _bounds(str(metric)))
        yield {"prompt_set": str(prompt_set), "metric": str(metric)} | numbers(interval)


def _bounds(metric: str) -> tuple[float, float]:
    """Least and greatest value of a metric, which may be one that no axis has."""
    bounds = METRICS[metric].bounds if metric in METRICS else None
    return bounds or (-np.inf, np.inf)


def numbers(interval: Interval) -> dict[str, float | int]:
    """The columns value, ci_low, ci_high and n."""
    return dict(zip(("value", "ci_low", "ci_high", "n"), interval, strict=True))


def _interval(row: pd.Series) -> Interval:
    """What :func:`numbers` made columns of."""
    return Interval(float(row["value"]), float(row["ci_low"]), float(row["ci_high"]), int(row["n"]))


def score_row(metric: str, prompt_set: str, interval: Interval, protocol: str) -> dict[str, Any]:
    """One row of a scores table: a metric of a whole prompt set, by a named and versioned protocol."""
    return {"metric": metric, "prompt_set": prompt_set} | numbers(interval) | {"protocol": protocol}


def lookup(metrics: pd.DataFrame, **wanted: str) -> Interval:
    """The one row of a metrics table with these values, as an interval; all NaN where there is none."""
    row = metrics[
        np.logical_and.reduce([metrics[name].astype(str) == value for name, value in wanted.items()])
    ]
    return NOTHING if row.empty else _interval(row.iloc[0])
