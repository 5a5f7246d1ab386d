"""Verdicts, scores and detections: of the images and captions that are there, and of no others."""

from collections.abc import Callable, Sequence
from functools import cache

import pandas as pd

from ear.config.concepts import Which
from ear.errors import InputError
from ear.integrity.filtering import least_score
from ear.integrity.images import NAME, answers_of, manifests_of, speaks
from ear.integrity.inspection import Inspection
from ear.integrity.rows import compare_rows
from ear.metrics.bleu import corpus_bleu, signature
from ear.metrics.inputs import CAPTION_COLUMNS, read_captions
from ear.metrics.questions import question_rows
from ear.metrics.table import DETECTION_COLUMNS, SCORE_COLUMNS, VERDICT_COLUMNS, score_row
from ear.names import ORIGINAL
from ear.questions import ANSWER_COLUMNS
from ear.render import MANIFEST_COLUMNS

IMAGE = ["prompt_id", "prompt_set", "prompt", "object", "window"]
DISTANCES = [("fid", "general"), ("kid", "general"), ("diversity", "general")]

Captions = tuple[str, ...]
"""Tables of captions, shard by shard."""
BleuOf = Callable[[Captions], dict[str, object]]


def check_measurements(inspection: Inspection) -> None:
    """Check what every (concept, method, seed) was measured to be."""
    bleu = cache(_bleu)  # the original's captions serve all concepts
    for run in inspection.config.runs():
        inspection.counts["runs"] += 1
        _check_verdicts(inspection, *run)
        _check_scores(inspection, *run, bleu)


def _check_verdicts(inspection: Inspection, concept: str, method: str, seed: int) -> None:
    """A verdict on each image, "shown" as its rank or score says, and detections in these images alone."""
    paths = inspection.paths
    path = paths.run("evaluation", concept, method, seed, "verdicts.csv")
    verdicts = inspection.table(path, VERDICT_COLUMNS)
    of_objects = paths.run("evaluation", concept, method, seed, "detections.csv")
    detections = inspection.table(of_objects, DETECTION_COLUMNS)
    if verdicts is None:
        return
    manifests = [
        inspection.table(name, MANIFEST_COLUMNS) for name in manifests_of(inspection, concept, method, seed)
    ]
    drawn = [manifest[IMAGE] for manifest in manifests if manifest is not None]
    if len(drawn) == len(manifests):
        compare_rows(inspection, path, verdicts, pd.concat(drawn, ignore_index=True), NAME)
    for which in inspection.config.concepts[concept].judges:
        check_shown(inspection, path, verdicts, concept, which)
    if detections is not None:
        judged = set(verdicts[NAME].itertuples(index=False, name=None))
        for name in detections[NAME].drop_duplicates().itertuples(index=False, name=None):
            if name not in judged:
                where = f"{of_objects}: {name[0]} {name[1]}"
                inspection.mismatch(where, "detections", "none without a verdict")


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


def _check_scores(inspection: Inspection, concept: str, method: str, seed: int, bleu_of: BleuOf) -> None:
    """Distances of the general images, and BLEU, which the captions give anew."""
    config, paths = inspection.config, inspection.paths
    path = paths.run("evaluation", concept, method, seed, "scores.csv")
    scores = inspection.table(path, SCORE_COLUMNS)
    if scores is None:
        return
    captions = []
    for shard in range(config.rendering.shards):
        if method == ORIGINAL:
            captions.append(paths.general(shard, "captions.csv"))
        elif speaks(inspection, method):
            captions.append(paths.run("images", concept, method, seed, f"shard{shard}/captions.csv"))
    names = [] if config.methods[method].diffusion else DISTANCES
    names = [*names, ("bleu", "captions")] if captions else names
    answers = answers_of(inspection, concept, method, seed)
    tables = [inspection.table(name, ANSWER_COLUMNS) for name in answers]
    asked = pd.concat([table["about"] for table in tables if table is not None] or [pd.Series(dtype=object)])
    names = [*names, *(("accuracy", f"questions-{about}") for about in sorted(asked.unique()))]
    columns = ["metric", "prompt_set"]
    compare_rows(inspection, path, scores, pd.DataFrame(names, columns=columns), columns)
    if captions and all(inspection.table(name, CAPTION_COLUMNS) is not None for name in captions):
        try:
            bleu = pd.DataFrame([bleu_of(tuple(captions))], columns=list(SCORE_COLUMNS))
        except InputError as error:
            inspection.unreadable(error)
        else:
            compare_rows(inspection, path, scores[scores["metric"] == "bleu"], bleu, columns)
    if answers and all(table is not None for table in tables):
        accuracy = pd.DataFrame(question_rows(answers), columns=list(SCORE_COLUMNS))
        compare_rows(inspection, path, scores[scores["metric"] == "accuracy"], accuracy, columns)


def _bleu(captions: Captions) -> dict[str, object]:
    said, wanted = read_captions(captions)
    return score_row("bleu", "captions", corpus_bleu(said, wanted), signature(wanted))
