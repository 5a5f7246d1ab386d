"""What is asked of the images of one (concept, method, seed), and by which models."""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from ear.errors import InputError
from ear.evaluation.metrics.fid import RESIZE, Extractor, check_numbers, features_of, load_extractor
from ear.evaluation.metrics.parts import Arrays, Look, Parts, look_at, read_arrays, write_arrays
from ear.evaluation.metrics.rates import clip_scores
from ear.evaluation.protocols import is_judged
from ear.judges.base import BATCH, ON_CPU, Judge
from ear.judges.clip import Clip
from ear.judges.loading import load_judges
from ear.workflow.files import sha256_file

JUDGES = ("judge", "second_judge")
"""Looks of the concept's judge, and of its second one."""
JPEG_QUALITY = 75
"""Pillow's default, which the release keeps for its measurements of COCO-30k."""
GENERAL, JUDGED = "general", "judged"
"""General images, whose features are wanted, and all others, whose verdicts are; CLIP sees both."""

Seen = dict[str, dict[str, Arrays]]
"""Group of images → look → its arrays."""


@dataclass
class Looks:
    """What is asked of each group of images."""

    general: list[Look] = field(default_factory=list)
    judged: list[Look] = field(default_factory=list)

    def at(self, images: pd.DataFrame, parts: Parts, batch_size: int = BATCH) -> Seen:
        """Ask it of the images of a run (rows of ``read_manifests``), part by part."""
        judged = images["prompt_set"].map(is_judged)
        return {
            JUDGED: look_at(images[judged], self.judged, parts, JUDGED, batch_size),
            GENERAL: look_at(images[~judged], self.general, parts, GENERAL, batch_size),
        }


def through_jpeg(images: Sequence[Image.Image]) -> list[Image.Image]:
    """RGB images as they are after they were saved as JPEG with Pillow's defaults; no file is written."""
    return [_through_jpeg(image) for image in images]


def _through_jpeg(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, format="JPEG", quality=JPEG_QUALITY)
    with Image.open(file) as decoded:
        return decoded.convert("RGB")


def clip_look(clip: Clip, jpeg: bool = False, weights: str = "") -> Look:
    """CLIP score of each image and its own prompt, perhaps of what JPEG leaves of the image."""

    def see(rows: pd.DataFrame, images: Sequence[Image.Image]) -> Arrays:
        cosines = clip.cosines(through_jpeg(images) if jpeg else images, rows["prompt"].tolist())
        # Unit vectors in float32, or in bfloat16 on a GPU.
        check_numbers(cosines, rows["file"].tolist().__getitem__, "CLIP cosine", -1.01, 1.01)
        return {"score": clip_scores(cosines)}

    return Look("clip", f"clip-score{_lossy(jpeg)}/1", weights, see)


def feature_look(extractor: Extractor, jpeg: bool = False, weights: str = "") -> Look:
    """Features for FID, KID and diversity, perhaps of what JPEG leaves of the image."""

    def see(rows: pd.DataFrame, images: Sequence[Image.Image]) -> Arrays:
        features = features_of(through_jpeg(images) if jpeg else images, extractor)
        check_numbers(features, rows["file"].tolist().__getitem__, "features")
        return {"features": features}

    return Look("features", f"{RESIZE}-{extractor.kind}{_lossy(jpeg)}/1", weights, see)


def judge_look(name: str, judge: Judge, weights: str = "") -> Look:
    """Verdicts of a judge; detections as JSON, a list of ``Detection`` an image."""

    def see(rows: pd.DataFrame, images: Sequence[Image.Image]) -> Arrays:
        verdicts = judge.judge(images)
        check_numbers(verdicts.score, rows["file"].tolist().__getitem__, "score of the judge", 0, 1)
        found: dict[str, Any] = {"shown": verdicts.shown, "score": verdicts.score, "rank": verdicts.rank}
        found |= {"objects": verdicts.objects, "labels": verdicts.labels}
        if verdicts.detections is not None:
            found["detections"] = [json.dumps(of_image) for of_image in verdicts.detections]
        return {key: np.asarray(values) for key, values in found.items() if values is not None}

    return Look(name, judge.protocol, weights, see)


def load_looks(
    files: Mapping[str, Any],
    judges: Sequence[Mapping[str, Any]],
    device: str,
    features: str,
    jpeg: bool,
    on_gpu: bool | None = None,
) -> Looks:
    """Load the models of a run.

    Args:
        files: judge and second_judge (a file in the model's folder, then a calibration where it has one),
            objects; clip and extractor (a file in the model's folder, or none).
        judges: settings of the concept's judge, and of its second one where it has two.
        device: where the models run.
        features: kind of the extractor.
        jpeg: whether CLIP and the extractor see what JPEG leaves of an image.
        on_gpu: True: the models that can run on a GPU, False: the others; None: all.
    """
    chosen = [
        (name, settings, files[name])
        for name, settings in zip(JUDGES, judges, strict=False)
        if on_gpu is None or on_gpu != (settings["by"] in ON_CPU)
    ]
    looks = Looks()
    if on_gpu is not False:
        clip = clip_look(Clip.load(Path(files["clip"]).parent, device=device), jpeg, _digest([files["clip"]]))
        looks.general.append(clip)
        looks.judged.append(clip)
        if files.get("extractor"):
            extractor = load_extractor(features, Path(files["extractor"]).parent, device)
            looks.general.append(feature_look(extractor, jpeg, _digest([files["extractor"]])))
    if chosen:
        names, settings, models = zip(*chosen, strict=True)
        loaded = load_judges(settings, models, device, files["objects"])
        for name, keys, model, judge in zip(names, settings, models, loaded, strict=False):
            if judge is not None:
                weights = json.dumps(keys, sort_keys=True) + _digest([model[0], *files["objects"]])
                weights += "".join(map(sha256_file, model[1:]))  # a calibration
                looks.judged.append(judge_look(name, judge, weights))
    return looks


def write_seen(path: str | Path, seen: Seen) -> None:
    """Write what was seen as .npz, atomically."""
    arrays = {
        f"{group}/{look}/{name}": values
        for group, found in seen.items()
        for look, arrays_of in found.items()
        for name, values in arrays_of.items()
    }
    write_arrays(path, arrays)


def read_seen(path: str | Path, images: pd.DataFrame) -> Seen:
    """Read what :func:`write_seen` wrote of these images.

    Raises:
        InputError: the file is missing or damaged, or is of another number of images.
    """
    judged = int(images["prompt_set"].map(is_judged).sum())
    counts = {JUDGED: judged, GENERAL: len(images) - judged}
    seen: Seen = {group: {} for group in counts}
    for key, values in read_arrays(path).items():
        group, look, name = key.split("/")
        if values.ndim and len(values) != counts[group]:
            raise InputError(
                f"{path}: {key}: found {len(values)} images, wanted {counts[group]}; remove it and run again"
            )
        seen[group].setdefault(look, {})[name] = values
    return seen


def _lossy(jpeg: bool) -> str:
    return f"-jpeg{JPEG_QUALITY}" if jpeg else ""


def _digest(files: Sequence[str]) -> str:
    """SHA-256 of files, each with all that is in its folder: a model is more than the file that names it."""
    digest = hashlib.sha256()
    for folder in dict.fromkeys(Path(file).parent for file in files):
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                digest.update(f"{path.relative_to(folder)} {sha256_file(path)}\n".encode())
    return digest.hexdigest()
