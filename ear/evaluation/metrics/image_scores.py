"""What models see in the images of one (concept, method, seed). A killed job keeps finished parts."""

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from PIL import Image

from ear.errors import InputError
from ear.evaluation.metrics.fid import RESIZE, Extractor, check_numbers, features_of, load_extractor
from ear.evaluation.protocols import is_judged
from ear.judges.base import BATCH, ON_CPU, Judge, image_batches
from ear.judges.clip import Clip
from ear.judges.loading import load_judges
from ear.judges.ranking import ConceptJudge
from ear.workflow.files import atomic_path, sha256_file

JUDGES = ("judge", "second_judge")
"""Looks of the concept's judge, and of its second one."""
JPEG_QUALITY = 75
"""Pillow's default, which the release keeps for its measurements of COCO-30k."""
GENERAL, JUDGED = "general", "judged"
"""General images, whose features are wanted, and all others, whose verdicts are; CLIP sees both."""
PART = 16
"""Batches of a part: what a killed job loses at most."""
PROTOCOL, KEY, NAMES = "protocol", "key", "names"

Arrays = dict[str, np.ndarray]
"""Name → array with a row an image; ``PROTOCOL`` → a text, of all of them."""
Seen = dict[str, dict[str, Arrays]]
"""Group of images → look → its arrays."""


@dataclass(frozen=True)
class Look:
    """What one model is asked of every image.

    Attributes:
        name: short.
        protocol: name and version of what is asked.
        weights: all else that the answers depend on: the model's weights and settings, in any form.
        see: (rows of images, the images) → arrays with a row an image.
    """

    name: str
    protocol: str
    weights: str
    see: Callable[[pd.DataFrame, Sequence[Image.Image]], Arrays]


def look_at(
    images: pd.DataFrame,
    looks: Mapping[str, Sequence[Look]],
    folder: Path,
    code: str = "",
    batch_size: int = BATCH,
) -> Seen:
    """Ask models of the images of a run, each image opened once for all of them.

    Batches are the same however often the job was killed, so that answers that depend on them in their last
    bits are the same too.

    Args:
        images: rows of ``read_manifests``.
        looks: what is asked of ``GENERAL`` images and of ``JUDGED`` ones.
        folder: where an earlier try left parts, and this one does, until what they are for is written.
        code: fingerprint of the code; parts of other code are not taken.
        batch_size: images in memory at once.
    """
    judged = images["prompt_set"].map(is_judged)
    return {
        group: _look_at(rows, looks.get(group, ()), folder / group, code, batch_size)
        for group, rows in ((JUDGED, images[judged]), (GENERAL, images[~judged]))
    }


def _look_at(
    images: pd.DataFrame, looks: Sequence[Look], folder: Path, code: str, batch_size: int
) -> dict[str, Arrays]:
    if images.empty or not looks:
        return {}
    parts: list[Arrays] = []
    for start in range(0, len(images), PART * batch_size):
        rows = images.iloc[start : start + PART * batch_size]
        path, key = folder / f"{start}.npz", _key(rows, looks, code)
        part = _kept(path, key)
        if part is None:
            desc = f"judging {folder.name} images {start + 1} to {start + len(rows)} of {len(images)}"
            batches = image_batches(rows["file"].tolist(), desc, batch_size)
            part = _joined(
                [
                    _flat({look.name: look.see(rows.iloc[place], opened) for look in looks})
                    for place, opened in batches
                ]
            )
            write_arrays(path, part | {KEY: np.array(key)})
        parts.append(part)
    found = _nested(_joined(parts))
    return {look.name: found[look.name] | {PROTOCOL: np.array(look.protocol)} for look in looks}


def _key(rows: pd.DataFrame, looks: Sequence[Look], code: str) -> str:
    """What a part depends on: code, protocols, weights, the images' hashes and their prompts."""
    digest = hashlib.sha256(f"{code}\n".encode())
    for look in looks:
        digest.update(f"{look.name}\n{look.protocol}\n{look.weights}\n".encode())
    for image, prompt in zip(rows["sha256"], rows["prompt"], strict=True):
        digest.update(f"{image} {prompt}\n".encode())
    return digest.hexdigest()


def _kept(path: Path, key: str) -> Arrays | None:
    """A part; None where it is not there, is damaged or depends on anything else."""
    try:
        arrays = read_arrays(path)
    except InputError:
        return None
    return arrays if str(arrays.pop(KEY, "")) == key else None


def _joined(parts: Sequence[Arrays]) -> Arrays:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _flat(nested: Mapping[str, Arrays]) -> Arrays:
    return {f"{outer}/{name}": values for outer, arrays in nested.items() for name, values in arrays.items()}


def _nested(flat: Arrays) -> dict[str, Arrays]:
    nested: dict[str, Arrays] = {}
    for name, values in flat.items():
        outer, _, inner = name.partition("/")
        nested.setdefault(outer, {})[inner] = values
    return nested


def write_arrays(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays as .npz, atomically."""
    with atomic_path(path) as partial, open(partial, "wb") as handle:
        np.savez(handle, allow_pickle=False, **{NAMES: np.array(sorted(arrays), dtype=str)}, **arrays)


def read_arrays(path: str | Path) -> Arrays:
    """Read what :func:`write_arrays` wrote.

    Raises:
        InputError: the file is missing or damaged.
    """
    wanted = "wanted whole arrays (.npz); remove it and run again"
    broken_zip = zipfile.BadZipFile, zlib.error
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, EOFError, ValueError, AttributeError, RuntimeError, *broken_zip) as error:
        raise InputError(f"{path}: {error}, {wanted}") from None
    # A zip archive has checksums of what it holds, and none of the names.
    if arrays.pop(NAMES, np.array([])).tolist() != sorted(arrays):
        raise InputError(f"{path}: found {', '.join(sorted(arrays))}, {wanted}")
    return arrays


def write_seen(path: str | Path, seen: Seen) -> None:
    """Write what was seen as .npz, atomically."""
    write_arrays(path, _flat({group: _flat(found) for group, found in seen.items()}))


def read_seen(path: str | Path, images: pd.DataFrame) -> Seen:
    """Read what :func:`write_seen` wrote of these images.

    Raises:
        InputError: the file is missing or damaged, or is of another number of images.
    """
    judged = int(images["prompt_set"].map(is_judged).sum())
    counts = {JUDGED: judged, GENERAL: len(images) - judged}
    seen: Seen = {group: {} for group in counts}
    for group, arrays in _nested(read_arrays(path)).items():
        for key, values in arrays.items():
            if values.ndim and len(values) != counts[group]:
                raise InputError(
                    f"{path}: {group}/{key}: found {len(values)} images, wanted {counts[group]}; "
                    "remove it and run again"
                )
        seen[group] = _nested(arrays)
    return seen


def through_jpeg(images: Sequence[Image.Image]) -> list[Image.Image]:
    """RGB images as they are after they were saved as JPEG with Pillow's defaults; no file is written."""
    lossy = []
    for image in images:
        file = io.BytesIO()
        image.save(file, format="JPEG", quality=JPEG_QUALITY)
        with Image.open(file) as decoded:
            lossy.append(decoded.convert("RGB"))
    return lossy


def clip_scores(cosines: ArrayLike) -> np.ndarray:
    """CLIP score of each image in torchmetrics' convention: 100 · max(cosine of image and text, 0).

    Args:
        cosines: (N,) cosine of image and text embedding, in [-1, 1].

    Returns:
        (N,) float32 in [0, 100]. Hessel et al. (2021) scale by 2.5 instead of 100.
    """
    return (100 * np.clip(np.asarray(cosines, dtype=np.float32), 0, 1)).astype(np.float32)


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


def _lossy(jpeg: bool) -> str:
    return f"-jpeg{JPEG_QUALITY}" if jpeg else ""


def judge_look(name: str, judge: Judge, weights: str = "") -> Look:
    """Verdicts of a judge; detections as JSON, a list of ``Detection`` an image."""

    def see(rows: pd.DataFrame, images: Sequence[Image.Image]) -> Arrays:
        verdicts = judge.judge(images)
        check_numbers(verdicts.score, rows["file"].tolist().__getitem__, "score of the judge", 0, 1)
        if name == JUDGES[0] and isinstance(judge, ConceptJudge) and verdicts.objects is None:
            _check_objects(rows, judge.classifier.groups[judge.group])
        found: dict[str, Any] = {"shown": verdicts.shown, "score": verdicts.score, "rank": verdicts.rank}
        found |= {"objects": verdicts.objects, "labels": verdicts.labels}
        if verdicts.detections is not None:
            found["detections"] = [json.dumps(of_image) for of_image in verdicts.detections]
        return {key: np.asarray(values) for key, values in found.items() if values is not None}

    return Look(name, judge.protocol, weights, see)


def _check_objects(rows: pd.DataFrame, labels: Collection[str]) -> None:
    """Check that the objects of prompts are labels of the judge: else no image would show the right one."""
    for file, wanted in zip(rows["file"], rows["object"], strict=True):
        if pd.notna(wanted) and wanted not in labels:
            near = get_close_matches(wanted, labels, n=1)
            said = f", as {near[0]!r}" if near else ""
            raise InputError(f"{file}: object: found {wanted!r}, wanted one of the judge's labels{said}")


def load_looks(
    files: Mapping[str, Any],
    judges: Sequence[Mapping[str, Any]],
    device: str,
    features: str,
    jpeg: bool,
    on_gpu: bool | None = None,
) -> dict[str, list[Look]]:
    """Load the models of a run: what is asked of each group of images.

    Args:
        files: judge and second_judge (a file in the model's folder, then the ``second_file`` of some),
            objects; clip and extractor (a file in the model's folder, or none).
        judges: settings of the concept's judge, and of its second one where it has two.
        device: where the models run.
        features: kind of the extractor.
        jpeg: whether CLIP and the extractor see what JPEG leaves of an image.
        on_gpu: True: the models that can run on a GPU, False: the others; None: all.
    """
    looks: dict[str, list[Look]] = {GENERAL: [], JUDGED: []}
    if on_gpu is not False:
        clip = clip_look(Clip.load(Path(files["clip"]).parent, device=device), jpeg, _digest([files["clip"]]))
        looks[GENERAL].append(clip)
        looks[JUDGED].append(clip)
        if files.get("extractor"):
            extractor = load_extractor(features, Path(files["extractor"]).parent, device)
            looks[GENERAL].append(feature_look(extractor, jpeg, _digest([files["extractor"]])))
    chosen = [
        (name, settings, files[name])
        for name, settings in zip(JUDGES, judges, strict=False)
        if on_gpu is None or on_gpu != (settings["by"] in ON_CPU)
    ]
    if chosen:
        names, settings, models = zip(*chosen, strict=True)
        loaded = load_judges(settings, models, device, files["objects"])
        for name, keys, model, judge in zip(names, settings, models, loaded, strict=False):
            if judge is not None:
                weights = json.dumps(keys, sort_keys=True) + _digest([model[0], *files["objects"]])
                weights += "".join(map(sha256_file, model[1:]))  # a calibration, a record of Q16's prompts
                looks[JUDGED].append(judge_look(name, judge, weights))
    return looks


def _digest(files: Sequence[str]) -> str:
    """SHA-256 of files, each with all that is in its folder: a model is more than the file that names it."""
    digest = hashlib.sha256()
    for folder in dict.fromkeys(Path(file).parent for file in files):
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                digest.update(f"{path.relative_to(folder)} {sha256_file(path)}\n".encode())
    return digest.hexdigest()
