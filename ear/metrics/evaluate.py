"""Measure one (concept, method, seed): a verdict on every image, and scores of whole sets."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from ear.errors import InputError
from ear.files import read_csv, write_csv
from ear.judges.classifier import Classifier, ConceptQuestion
from ear.judges.clip import Clip
from ear.metrics.bleu import corpus_bleu, signature
from ear.metrics.clip_score import clip_scores
from ear.metrics.fid import RESIZE, fid, image_features, kid
from ear.metrics.intervals import Interval
from ear.metrics.table import SCORE_COLUMNS, VERDICT_COLUMNS, score_row
from ear.progress import progress

MANIFEST_COLUMNS = ("prompt_id", "prompt_set", "prompt", "object", "window", "file")
OBJECT_GROUP = "object"


@dataclass(frozen=True)
class Judges:
    """The models that measure, loaded once.

    Attributes:
        classifier: answers the concept's question and names the object; its features measure FID and KID.
        clip: scores image against prompt.
        question: is the concept in the image?
    """

    classifier: Classifier
    clip: Clip
    question: ConceptQuestion


def evaluate(
    manifests: Sequence[str | Path],
    window: int | None,
    captions: Sequence[str | Path],
    reference: str | Path,
    judges: Judges,
    verdicts_path: str | Path,
    scores_path: str | Path,
    batch_size: int = 64,
) -> None:
    """Judge all images of one (concept, method, seed) and write its verdicts and scores.

    Args:
        manifests: tables of images, columns MANIFEST_COLUMNS; ``file`` is relative to the manifest's folder.
        window: the method's own window length: FID and KID are of the general images at this window. None: of
            all of them.
        captions: tables image_id, reference, caption for BLEU.
        reference: manifest (column ``file``) of the images that FID and KID compare with.
        judges: the models.
        verdicts_path: where the verdicts go, a row an image in the order of the manifests (columns
            VERDICT_COLUMNS).
        scores_path: where the scores go (columns SCORE_COLUMNS): fid and kid on "general", bleu on
            "captions".
        batch_size: images a forward pass.

    Raises:
        InputError: a table lacks a column, an image is missing, there are no general images, or the
            classifier lacks the concept's label.
    """
    images = pd.concat([_manifest(path, MANIFEST_COLUMNS) for path in manifests], ignore_index=True)
    columns = ["image_id", "reference", "caption"]
    spoken = pd.concat([read_csv(path, columns) for path in captions], ignore_index=True)
    general = images[images["prompt_set"] == "general"]
    if window is not None:
        general = general[general["window"] == window]
    if general.empty:
        raise InputError(
            f"{manifests[0]}: found no general images at window {window}, wanted those of FID and KID"
        )
    write_csv(verdicts_path, judge_images(images, judges, batch_size))
    rows = [
        *_distances(
            general["file"].tolist(),
            _manifest(reference, ["file"])["file"].tolist(),
            judges.classifier,
            batch_size,
        ),
        score_row("bleu", "captions", _bleu(spoken), signature()),
    ]
    write_csv(scores_path, pd.DataFrame(rows, columns=list(SCORE_COLUMNS)))


def judge_images(images: pd.DataFrame, judges: Judges, batch_size: int = 64) -> pd.DataFrame:
    """Verdicts on images, each opened once and passed once through each model.

    Args:
        images: rows with columns MANIFEST_COLUMNS, ``file`` a path that can be opened.
        judges: the models.
        batch_size: images a forward pass.

    Returns:
        The rows with columns VERDICT_COLUMNS.
    """
    parts = []
    for start in progress(
        range(0, len(images), batch_size), desc=f"judging {len(images)} images", unit="batch"
    ):
        rows = images.iloc[start : start + batch_size]
        opened = [_open(file) for file in rows["file"]]
        prediction = judges.classifier.predict(opened, batch_size)
        verdicts = judges.question.answer(prediction)
        parts.append(
            rows.assign(
                shown=verdicts.shown,
                score=verdicts.score,
                top1_object=prediction.top1(OBJECT_GROUP),
                clip_score=clip_scores(judges.clip.cosines(opened, rows["prompt"].tolist())),
                protocol=judges.question.protocol,
            )
        )
    return pd.concat(parts, ignore_index=True)[list(VERDICT_COLUMNS)]


def _distances(
    generated: list[Path], reference: list[Path], classifier: Classifier, batch_size: int
) -> list[dict[str, Any]]:
    features, wanted = (
        image_features(files, classifier.clean_fid_features, classifier.device, batch_size)
        for files in (generated, reference)
    )
    return [
        score_row("fid", "general", fid(features, wanted), f"clean-fid-{RESIZE}-classifier/1"),
        score_row("kid", "general", kid(features, wanted), f"unbiased-mmd2-{RESIZE}-classifier/1"),
    ]


def _bleu(spoken: pd.DataFrame) -> Interval:
    said = spoken["caption"].fillna("")  # a model may answer with nothing
    return corpus_bleu(said.astype(str).tolist(), spoken["reference"].astype(str).tolist())


def _manifest(path: str | Path, columns: Sequence[str]) -> pd.DataFrame:
    frame = read_csv(path, columns)
    return frame.assign(file=[Path(path).parent / name for name in frame["file"]])


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except FileNotFoundError:
        raise InputError(f"{path}: not found, wanted the image that its manifest names") from None
