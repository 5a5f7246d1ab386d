"""Measure one (concept, method, seed): a verdict on every image, and scores of whole sets."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ear.evaluation.columns import DETECTIONS_CSV, SCORES_CSV, VERDICTS_CSV
from ear.evaluation.metrics import image_scores as looks
from ear.evaluation.metrics.answers import caption_rows, question_rows
from ear.evaluation.metrics.fid import fid, kid, vendi_score
from ear.evaluation.metrics.image_scores import JUDGES, PROTOCOL, Arrays, Seen
from ear.evaluation.metrics_table import score_row
from ear.evaluation.protocols import GENERAL, NEIGHBOURS, RETENTION, is_judged
from ear.judges.base import SECOND_COLUMNS


@dataclass(frozen=True)
class Reference:
    """What FID and KID compare with.

    Attributes:
        features: (M, D) features of the reference images.
        prompt_ids: (M,) prompt that each of them belongs to, of which only those of the images count; None
            where they belong to none.
    """

    features: np.ndarray
    prompt_ids: pd.Series | None = None


def verdict_table(images: pd.DataFrame, seen: Seen) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What judges and CLIP said of images, as tables.

    Args:
        images: rows of ``read_manifests``.
        seen: what ``look_at`` gave of them.

    Returns:
        (verdicts, detections): a row an image in the order of ``images``, ``VERDICTS_CSV`` and, with a
        second judge, SECOND_COLUMNS; a row a detection (``DETECTIONS_CSV``), none for judges that
        detect nothing. Images that no judge sees have a CLIP score and no verdict.
    """
    judged = images["prompt_set"].map(is_judged)
    of_judged, first, second = seen[looks.JUDGED], *JUDGES

    def told(group: str, look: str, rows: pd.Series) -> pd.DataFrame:
        """What a look gave of some images, and nothing of what it does not know or see."""
        arrays = seen[group].get(look, {})
        columns = {name: values if values.ndim else str(values) for name, values in arrays.items()}
        table = pd.DataFrame(columns, index=images.index[rows])
        return table.reindex(columns=["shown", "score", "rank", "objects", "labels", "detections", PROTOCOL])

    verdicts = told(looks.JUDGED, first, judged).astype({"rank": "Int64"}).reindex(images.index)
    clip = pd.concat([told(looks.JUDGED, "clip", judged), told(looks.GENERAL, "clip", ~judged)])
    objects, labels = verdicts["objects"], verdicts["labels"]
    # Neighbours are of the concept's kind, and so is what is retained where the judge knows no objects.
    alike = (images["prompt_set"] == NEIGHBOURS) | ((images["prompt_set"] == RETENTION) & objects.isna())
    table = images.assign(
        **{name: verdicts[name] for name in ("shown", "score", "rank")},
        top1_object=objects.where(~alike | labels.isna(), labels),
        clip_score=clip["score"].astype(np.float32),
        clip_protocol=clip[PROTOCOL],
        protocol=verdicts[PROTOCOL],
    )
    columns = list(VERDICTS_CSV.columns)
    if second in of_judged:
        opinion = told(looks.JUDGED, second, judged).reindex(images.index)
        table = table.assign(**{name: opinion[name.removeprefix("second_")] for name in SECOND_COLUMNS})
        columns += SECOND_COLUMNS
    said = table.assign(said=verdicts["detections"])[["prompt_id", "prompt_set", "window", "said"]]
    found = [
        (*image, label, score, *box)
        for *image, text in said.dropna(subset="said").itertuples(index=False, name=None)
        for label, score, *box in json.loads(text)
    ]
    return table[columns], DETECTIONS_CSV.frame(found).astype({"score": np.float32})


def distance_rows(
    images: pd.DataFrame, reference: Reference, seen: Mapping[str, Arrays]
) -> list[dict[str, Any]]:
    """FID, KID and diversity of the general images; no rows where there are none.

    Args:
        images: rows of ``read_manifests``.
        reference: what they are compared with.
        seen: what ``look_at`` gave of the general images.
    """
    general = images[images["prompt_set"] == GENERAL]
    if general.empty:
        return []
    features, way = seen["features"]["features"], str(seen["features"][PROTOCOL])
    wanted = reference.features
    if reference.prompt_ids is not None:
        wanted = wanted[reference.prompt_ids.isin(general["prompt_id"]).to_numpy()]
    return [
        score_row("fid", GENERAL, fid(features, wanted), f"clean-fid-{way}"),
        score_row("kid", GENERAL, kid(features, wanted), f"unbiased-mmd2-{way}"),
        score_row("diversity", GENERAL, vendi_score(features), f"vendi-cosine-{way.partition('-')[2]}"),
    ]


def evaluate(
    images: pd.DataFrame,
    seen: Seen,
    captions: Sequence[str | Path],
    question: str,
    reference: Reference | None,
    answers: Sequence[str | Path] = (),
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Verdicts, scores and detections of one (concept, method, seed). No model is asked.

    Args:
        images: rows of ``read_manifests``.
        seen: what ``look_at`` gave of them.
        captions: tables as ``read_captions`` reads them; none where captions are not measured.
        question: what the model was asked for captions.
        reference: what FID and KID compare with; None where they are not measured.
        answers: tables as ``question_rows`` reads them; none where nothing was asked.

    Returns:
        Tables as ``VERDICTS_CSV``, ``SCORES_CSV`` and ``DETECTIONS_CSV``.
    """
    rows = caption_rows(captions, question) + question_rows(answers)
    if reference is not None:
        rows = distance_rows(images, reference, seen[looks.GENERAL]) + rows
    verdicts, detections = verdict_table(images, seen)
    return verdicts, SCORES_CSV.frame(rows), detections
