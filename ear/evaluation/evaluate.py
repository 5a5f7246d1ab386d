"""Measure one (concept, method, seed): a verdict on every image, and scores of whole sets."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ear.errors import InputError
from ear.evaluation.columns import DETECTIONS_CSV, SCORES_CSV, VERDICTS_CSV
from ear.evaluation.metrics import image_scores as looks
from ear.evaluation.metrics.answers import caption_rows, question_rows
from ear.evaluation.metrics.fid import fid, kid, vendi_score
from ear.evaluation.metrics.image_scores import JUDGES, PROTOCOL, Arrays, Seen
from ear.evaluation.metrics_table import score_row
from ear.evaluation.protocols import GENERAL, NEIGHBOURS, is_judged
from ear.judges.base import SECOND_COLUMNS
from ear.workflow.files import write_csv


@dataclass(frozen=True)
class Reference:
    """What FID and KID compare with.

    Attributes:
        features: (M, D) features of the reference images.
        prompt_ids: (M,) prompt that each of them belongs to; None where they belong to none.
    """

    features: np.ndarray
    prompt_ids: pd.Series | None = None

    def of(self, prompt_ids: pd.Series) -> np.ndarray:
        """Features of the reference images of some prompts, or of all where they belong to none."""
        if self.prompt_ids is None:
            return self.features
        return self.features[self.prompt_ids.isin(prompt_ids).to_numpy()]


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
    of_judged, of_general = seen[looks.JUDGED], seen[looks.GENERAL]

    def column(found: Mapping[str, Arrays], look: str, name: str, rows: pd.Series) -> pd.Series:
        values = found[look].get(name) if look in found else None
        if values is None:
            return pd.Series(None, index=images.index, dtype=object)
        given: Any = values if values.ndim else str(values)
        whole: pd.Series = pd.Series(given, index=images.index[rows])
        return (whole.astype("Int64") if values.dtype.kind == "i" else whole).reindex(images.index)

    first, second = JUDGES
    objects, labels = (column(of_judged, first, name, judged) for name in ("objects", "labels"))
    table = images.assign(
        **{name: column(of_judged, first, name, judged) for name in ("shown", "score", "rank")},
        top1_object=objects.where((images["prompt_set"] != NEIGHBOURS) | labels.isna(), labels),
        clip_score=column(of_judged, "clip", "score", judged).astype(np.float32),
        clip_protocol=column(of_judged, "clip", PROTOCOL, judged),
        protocol=column(of_judged, first, PROTOCOL, judged),
        **{
            name: column(of_judged, second, name.removeprefix("second_"), judged)
            for name in (SECOND_COLUMNS if second in of_judged else ())
        },
    )
    for name, value in (("clip_score", "score"), ("clip_protocol", PROTOCOL)):
        if not judged.all():
            table[name] = table[name].where(judged, column(of_general, "clip", value, ~judged))
    names = images.loc[judged, ["prompt_id", "prompt_set", "window"]].itertuples(index=False, name=None)
    said = of_judged.get(first, {}).get("detections", np.array(["[]"] * int(judged.sum())))
    found = [
        (*name, label, score, *box)
        for name, text in zip(names, said, strict=True)
        for label, score, *box in json.loads(str(text))
    ]
    detections = DETECTIONS_CSV.frame(found).astype({"score": np.float32})
    columns = [*VERDICTS_CSV.columns, *(SECOND_COLUMNS if second in of_judged else ())]
    return table[columns], detections


def distance_rows(
    images: pd.DataFrame, window: int | None, reference: Reference, seen: Mapping[str, Arrays]
) -> list[dict[str, Any]]:
    """FID, KID and diversity of the general images; no rows where there are none.

    Args:
        images: rows of ``read_manifests``.
        window: the method's own window length, whose images are measured. None: all of them.
        reference: what they are compared with.
        seen: what ``look_at`` gave of the general images.

    Raises:
        InputError: there are general images, but none at this window; or they have other features than the
            reference.
    """
    drawn = images[images["prompt_set"] == GENERAL]
    if drawn.empty:
        return []
    own = np.ones(len(drawn), bool) if window is None else (drawn["window"] == window).to_numpy()
    if not own.any():
        folder = drawn["file"].iloc[0].parent
        raise InputError(f"{folder}: found no general images at window {window}, wanted those of FID and KID")
    features, way = seen["features"]["features"][own], str(seen["features"][PROTOCOL])
    if features.shape[1] != reference.features.shape[1]:
        raise InputError(
            f"FID and KID: found {reference.features.shape[1]} features in the reference, "
            f"wanted {features.shape[1]}, those of {way}"
        )
    wanted = reference.of(drawn.loc[own, "prompt_id"])
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
    window: int | None,
    verdicts_path: str | Path,
    scores_path: str | Path,
    detections_path: str | Path,
    answers: Sequence[str | Path] = (),
) -> None:
    """Write the verdicts, scores and detections of one (concept, method, seed). No model is asked.

    Args:
        images: rows of ``read_manifests``.
        seen: what ``look_at`` gave of them.
        captions: tables as ``read_captions`` reads them; none where captions are not measured.
        question: what the model was asked for captions.
        reference: what FID and KID compare with; None where they are not measured.
        window: the method's own window length; None for a method without one.
        verdicts_path: where the verdicts go (``verdict_table``).
        scores_path: where the scores go (``SCORES_CSV``): fid, kid and diversity on "general", bleu
            and length_ratio on "captions", accuracy on "questions-concept" and "questions-others".
        detections_path: where the detections go (``verdict_table``).
        answers: tables as ``question_rows`` reads them; none where nothing was asked.
    """
    rows = caption_rows(captions, question) + question_rows(answers)
    if reference is not None:
        rows = distance_rows(images, window, reference, seen[looks.GENERAL]) + rows
    verdicts, detections = verdict_table(images, seen)
    write_csv(verdicts_path, verdicts)
    write_csv(scores_path, SCORES_CSV.frame(rows))
    write_csv(detections_path, detections)
