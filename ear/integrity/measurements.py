"""Verdicts, scores and detections: of the images and captions that are there, and of no others."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import pandas as pd

from ear.axes.protocols import is_judged
from ear.config.concepts import Which
from ear.errors import InputError
from ear.integrity.filtering import least_score
from ear.integrity.images import NAME, answers_of, manifests_of, speaks
from ear.integrity.inspection import Inspection
from ear.integrity.rows import compare_rows
from ear.judges.base import SECOND_COLUMNS
from ear.metrics.captions import caption_rows, question_rows
from ear.metrics.columns import DETECTIONS_CSV, SCORES_CSV, VERDICTS_CSV
from ear.metrics.inputs import CAPTION_COLUMNS
from ear.names import ORIGINAL
from ear.questions import ANSWER_COLUMNS
from ear.render import MANIFEST_COLUMNS

IMAGE = ["prompt_id", "prompt_set", "prompt", "object", "window"]
CAPTION_METRICS = ("bleu", "length_ratio")
DISTANCES = [("fid", "general"), ("kid", "general"), ("diversity", "general")]

Captions = tuple[str, ...]
"""Tables of captions, shard by shard."""
ScoresOf = Callable[[Captions], list[dict[str, Any]]]


def check_measurements(inspection: Inspection) -> None:
    """Check what every (concept, method, seed) was measured to be."""
    question = inspection.config.utility.question
    # Kept, since the original's captions serve all concepts.
    scores_of = cache(lambda captions: caption_rows(captions, question))
    for run in inspection.config.runs():
        inspection.counts["runs"] += 1
        _check_verdicts(inspection, *run)
        _check_scores(inspection, *run, scores_of)


def _check_verdicts(inspection: Inspection, concept: str, method: str, seed: int) -> None:
    """A verdict on each image, "shown" as its rank or score says, and detections in these images alone."""
    paths = inspection.paths
    path = paths.run("evaluation", concept, method, seed, "verdicts.csv")
    verdicts = inspection.table(path, list(VERDICTS_CSV.columns))
    of_objects = paths.run("evaluation", concept, method, seed, "detections.csv")
    detections = inspection.table(of_objects, list(DETECTIONS_CSV.columns))
    if verdicts is None:
        return
    manifests = [
        inspection.table(name, MANIFEST_COLUMNS) for name in manifests_of(inspection, concept, method, seed)
    ]
    drawn = [manifest[IMAGE] for manifest in manifests if manifest is not None]
    if len(drawn) == len(manifests):
        compare_rows(inspection, path, verdicts, pd.concat(drawn, ignore_index=True), NAME)
    _check_unjudged(inspection, path, verdicts)
    for which in inspection.config.concepts[concept].judges:
        of_judges = verdicts[verdicts["prompt_set"].map(is_judged).astype(bool)]
        check_shown(inspection, path, of_judges, concept, which)
    if detections is not None:
        judged = set(verdicts[NAME].itertuples(index=False, name=None))
        for name in detections[NAME].drop_duplicates().itertuples(index=False, name=None):
            if name not in judged:
                where = f"{of_objects}: {name[0]} {name[1]}"
                inspection.mismatch(where, "detections", "none without a verdict")


def _check_unjudged(inspection: Inspection, path: str, verdicts: pd.DataFrame) -> None:
    """No verdict on images that judges do not see."""
    unseen = verdicts[~verdicts["prompt_set"].map(is_judged).astype(bool)]
    said = [name for name in ("shown", "score", "rank", *SECOND_COLUMNS) if name in unseen]
    for row in unseen[unseen[said].notna().any(axis="columns")].itertuples():
        inspection.mismatch(
            f"{path}: {row.prompt_id} {row.prompt_set}", "a verdict", "none: no judge sees it"
        )


def check_shown(
    inspection: Inspection,
    path: str,
    verdicts: pd.DataFrame,
    concept: str,
    which: Which,
    keys: Sequence[str] = NAME,
) -> None:
    """Where a judge finds the concept, as its rank or score says; of a second judge no rank is kept."""
    judge = inspection.config.concepts[concept].judges[which]
    prefix = "" if which == "judge" else "second_"
    if f"{prefix}shown" not in verdicts:
        inspection.mismatch(path, f"no column {prefix}shown", "one, of the second judge")
        return
    top_k, least = getattr(judge, "top_k", None), least_score(inspection, concept, which)
    if (top_k and prefix) or (judge.by == "zero-shot" and least is None):
        return
    numbers = pd.to_numeric(verdicts["rank" if top_k else f"{prefix}score"], errors="coerce")
    if top_k:
        shown = numbers <= top_k
    elif least is not None:
        shown = numbers.astype("float32").astype("float64") >= least
    else:
        shown = numbers > 0
    compare_rows(inspection, path, verdicts, verdicts[list(keys)].assign(**{f"{prefix}shown": shown}), keys)


def _check_scores(inspection: Inspection, concept: str, method: str, seed: int, scores_of: ScoresOf) -> None:
    """Distances of the general images, and what the captions give anew."""
    config, paths = inspection.config, inspection.paths
    path = paths.run("evaluation", concept, method, seed, "scores.csv")
    scores = inspection.table(path, list(SCORES_CSV.columns))
    if scores is None:
        return
    captions = []
    for shard in range(config.rendering.shards):
        if method == ORIGINAL:
            captions.append(paths.general(shard, "captions.csv"))
        elif speaks(inspection, method):
            captions.append(paths.run("images", concept, method, seed, f"shard{shard}/captions.csv"))
    names = [] if config.methods[method].diffusion else DISTANCES
    names = [*names, *((metric, "captions") for metric in CAPTION_METRICS if captions)]
    answers = answers_of(inspection, concept, method, seed)
    tables = [inspection.table(name, ANSWER_COLUMNS) for name in answers]
    asked = pd.concat([table["about"] for table in tables if table is not None] or [pd.Series(dtype=object)])
    names = [*names, *(("accuracy", f"questions-{about}") for about in sorted(asked.unique()))]
    columns = ["metric", "prompt_set"]
    compare_rows(inspection, path, scores, pd.DataFrame(names, columns=columns), columns)
    if captions and all(inspection.table(name, CAPTION_COLUMNS) is not None for name in captions):
        try:
            wanted = SCORES_CSV.frame(scores_of(tuple(captions)))
        except InputError as error:
            inspection.unreadable(error)
        else:
            found = scores[scores["metric"].isin(CAPTION_METRICS)]
            compare_rows(inspection, path, found, wanted, columns)
    if answers and all(table is not None for table in tables):
        accuracy = SCORES_CSV.frame(question_rows(answers))
        compare_rows(inspection, path, scores[scores["metric"] == "accuracy"], accuracy, columns)
