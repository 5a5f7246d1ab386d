"""Measure one (concept, method, seed): a verdict on every image, and scores of whole sets."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ear.axes.protocols import NEIGHBOURS
from ear.errors import InputError
from ear.files import write_csv
from ear.judges.base import SECOND_COLUMNS, Judge, Verdicts, second_opinion
from ear.judges.clip import Clip
from ear.judges.images import BATCH, image_batches
from ear.metrics.bleu import corpus_bleu, signature
from ear.metrics.clip_score import clip_scores
from ear.metrics.diversity import vendi_score
from ear.metrics.fid import RESIZE, Extractor, fid, image_features, kid
from ear.metrics.inputs import read_captions, read_manifests
from ear.metrics.questions import question_rows
from ear.metrics.table import DETECTION_COLUMNS, SCORE_COLUMNS, VERDICT_COLUMNS, score_row


@dataclass(frozen=True)
class Reference:
    """What FID and KID compare with.

    Attributes:
        features: (M, D) features of the reference images.
        extractor: the network that made them.
        prompt_ids: (M,) prompt that each of them belongs to; None where they belong to none.
    """

    features: np.ndarray
    extractor: Extractor
    prompt_ids: pd.Series | None = None

    def of(self, prompt_ids: pd.Series) -> np.ndarray:
        """Features of the reference images of some prompts, or of all where they belong to none."""
        if self.prompt_ids is None:
            return self.features
        return self.features[self.prompt_ids.isin(prompt_ids).to_numpy()]


def evaluate_images(
    images: pd.DataFrame,
    judge: Judge,
    clip: Clip,
    batch_size: int = BATCH,
    second: Judge | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Judge images, each opened once and passed once through each model.

    Args:
        images: rows of ``read_manifests``.
        judge: says whether the concept is shown.
        clip: scores each image against its own prompt.
        batch_size: images in memory at once.
        second: another judge that is asked too.

    Returns:
        (verdicts, detections): a row an image in the order of ``images``, columns VERDICT_COLUMNS and, with a
        second judge, SECOND_COLUMNS; a row a detection, columns DETECTION_COLUMNS, none for judges that
        detect nothing.

    Raises:
        InputError: an image is missing, or the judge does not know the concept's label.
    """
    parts, found = [], []
    files = images["file"].tolist()
    for place, opened in image_batches(files, f"judging {len(files)} images", batch_size):
        rows = images.iloc[place]
        verdicts = judge.judge(opened)
        parts.append(
            rows.assign(
                shown=verdicts.shown,
                score=verdicts.score,
                rank=verdicts.rank,
                top1_object=_seen(rows, verdicts),
                clip_score=clip_scores(clip.cosines(opened, rows["prompt"].tolist())),
                protocol=judge.protocol,
                **second_opinion(second, opened),
            )
        )
        if verdicts.detections is not None:
            names = rows[["prompt_id", "prompt_set", "window"]].itertuples(index=False, name=None)
            for name, of_image in zip(names, verdicts.detections, strict=True):
                found += [(*name, *detection) for detection in of_image]
    detections = pd.DataFrame(found, columns=list(DETECTION_COLUMNS)).astype({"score": np.float32})
    columns = [*VERDICT_COLUMNS, *(SECOND_COLUMNS if second else ())]
    return pd.concat(parts, ignore_index=True)[columns], detections


def _seen(rows: pd.DataFrame, verdicts: Verdicts) -> list[str] | np.ndarray | None:
    """What is held to what a prompt asks for: the object, of neighbours a label of the concept's kind."""
    if verdicts.labels is None or not (rows["prompt_set"] == NEIGHBOURS).any():
        return verdicts.objects
    objects = np.full(len(rows), None) if verdicts.objects is None else verdicts.objects
    return np.where(rows["prompt_set"] == NEIGHBOURS, verdicts.labels, objects)


def distance_rows(
    images: pd.DataFrame, window: int | None, reference: Reference, batch_size: int = BATCH
) -> list[dict[str, Any]]:
    """FID, KID and diversity of the general images; no rows where there are none.

    Args:
        images: rows of ``read_manifests``.
        window: the method's own window length, whose images are measured. None: all of them.
        reference: what they are compared with.
        batch_size: images a forward pass.

    Raises:
        InputError: there are general images, but none at this window; or they have other features than the
            reference.
    """
    drawn = images[images["prompt_set"] == "general"]
    if drawn.empty:
        return []
    general = drawn if window is None else drawn[drawn["window"] == window]
    if general.empty:
        folder = drawn["file"].iloc[0].parent
        raise InputError(f"{folder}: found no general images at window {window}, wanted those of FID and KID")
    files, extractor = general["file"].tolist(), reference.extractor
    features = image_features(files, extractor, f"features of {len(files)} images", batch_size)
    if features.shape[1] != reference.features.shape[1]:
        raise InputError(
            f"FID and KID: found {reference.features.shape[1]} features in the reference, "
            f"wanted {features.shape[1]}, those of {extractor.kind}"
        )
    way, wanted = f"{RESIZE}-{extractor.kind}/1", reference.of(general["prompt_id"])
    return [
        score_row("fid", "general", fid(features, wanted), f"clean-fid-{way}"),
        score_row("kid", "general", kid(features, wanted), f"unbiased-mmd2-{way}"),
        score_row("diversity", "general", vendi_score(features), f"vendi-cosine-{extractor.kind}/1"),
    ]


def caption_rows(captions: Sequence[str | Path]) -> list[dict[str, Any]]:
    """BLEU of captions; no row where there are none.

    Args:
        captions: tables as ``read_captions`` reads them.
    """
    said, wanted = read_captions(captions)
    if not said:
        return []
    return [score_row("bleu", "captions", corpus_bleu(said, wanted), signature(wanted))]


def evaluate(
    manifests: Sequence[str | Path],
    captions: Sequence[str | Path],
    reference: Reference | None,
    judge: Judge,
    clip: Clip,
    window: int | None,
    verdicts_path: str | Path,
    scores_path: str | Path,
    detections_path: str | Path,
    batch_size: int = BATCH,
    second: Judge | None = None,
    answers: Sequence[str | Path] = (),
) -> None:
    """Judge all images of one (concept, method, seed) and write its verdicts, scores and detections.

    Args:
        manifests: tables of images, as ``read_manifests`` reads them.
        captions: tables as ``read_captions`` reads them; none where captions are not measured.
        reference: what FID and KID compare with; None where they are not measured.
        judge: says whether the concept is shown.
        clip: scores each image against its own prompt.
        window: the method's own window length; None for a method without one.
        verdicts_path: where the verdicts go (``evaluate_images``).
        scores_path: where the scores go (columns SCORE_COLUMNS): fid, kid and diversity on "general", bleu on
            "captions", accuracy on "questions-concept" and "questions-others".
        detections_path: where the detections go (``evaluate_images``).
        batch_size: images in memory at once.
        second: another judge that is asked too.
        answers: tables as ``question_rows`` reads them; none where nothing was asked.
    """
    images = read_manifests(manifests)
    rows = caption_rows(captions) + question_rows(answers)
    if reference is not None:
        rows = distance_rows(images, window, reference, batch_size) + rows
    verdicts, detections = evaluate_images(images, judge, clip, batch_size, second)
    write_csv(verdicts_path, verdicts)
    write_csv(scores_path, pd.DataFrame(rows, columns=list(SCORE_COLUMNS)))
    write_csv(detections_path, detections)
