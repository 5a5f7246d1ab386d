"""Drawn pictures of the mini world: the training set, from `train` frames alone, and held-out pictures.

No model was trained on the held-out ones: the reference of FID, and pictures to be captioned.
"""

import json
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pandas as pd

from ear.workflow.files import atomic_path, read_csv, sha256_file, write_csv
from ear.workflow.progress import progress
from ear.workflow.seeding import stable_seed
from ear.world.drawing import SIZE
from ear.world.grammar import general_prompts, general_subjects
from ear.world.scenes import OBJECTS, Scene, draw
from ear.world.sentences import KINDS, Kind, caption, describe, frames_of, scene_of

IMAGES_FILE, CAPTIONS_FILE = "images.npy", "captions.csv"
CAPTION_COLUMNS = (
    *("index", "caption", "description", "object", "colour", "place", "time", "fire", "van_gogh", "sepia"),
)
FIRE_SHARE, VAN_GOGH_SHARE = 0.12, 0.15
SEPIA_SHARE = 0.10  # of the pictures that are not painted
# Captions that may speak of things without their words, and how often each thing in one of them does.
DESCRIBED_SHARE, DESCRIBED_THING_SHARE = 0.2, 0.75


def draw_training_set(folder: str | Path, images: int, seed: int) -> None:
    """Draw N ``images``, every object equally often; the same seed and N give the same bytes.

    Writes ``images.npy``, (N, 64, 64, 3) uint8 RGB, and ``captions.csv`` with CAPTION_COLUMNS, one row an
    image in the same order; an empty ``colour`` means natural colours. The folder appears as a whole.
    """
    rng = np.random.default_rng(seed)
    train = frames_of("train")
    pixels = np.empty((images, SIZE, SIZE, 3), dtype=np.uint8)
    rows = []
    for index in progress(range(images), desc="drawing the training set", unit="image"):
        frame, object = train[rng.integers(len(train))], OBJECTS[index % len(OBJECTS)]
        fire, van_gogh = bool(rng.random() < FIRE_SHARE), bool(rng.random() < VAN_GOGH_SHARE)
        sepia = bool(rng.random() < SEPIA_SHARE) and not van_gogh
        described = _described(rng)
        scene = scene_of(frame, object, fire, van_gogh, sepia)
        pixels[index] = np.asarray(draw(scene, rng))
        text = caption(frame, object, fire, van_gogh, sepia=sepia, described=described)
        rows.append((index, text, describe(scene), *astuple(scene)))
    with atomic_path(folder) as partial:
        partial.mkdir()
        np.save(partial / IMAGES_FILE, pixels)
        write_csv(partial / CAPTIONS_FILE, pd.DataFrame(rows, columns=list(CAPTION_COLUMNS)))


def _described(rng: np.random.Generator) -> tuple[Kind, ...]:
    """What one caption speaks of without its words, mostly nothing."""
    may, *chances = rng.random(1 + len(KINDS))
    if may >= DESCRIBED_SHARE:
        return ()
    return tuple(kind for kind, chance in zip(KINDS, chances, strict=True) if chance < DESCRIBED_THING_SHARE)


def load_training_set(folder: str | Path) -> tuple[np.ndarray, pd.DataFrame]:
    """Read what ``draw_training_set`` wrote: images, (N, 64, 64, 3) uint8, and their table."""
    table = read_csv(Path(folder) / CAPTIONS_FILE, CAPTION_COLUMNS)
    return np.load(Path(folder) / IMAGES_FILE), table


def draw_reference(folder: str | Path, count: int, seed: int) -> None:
    """Draw the shared general prompts as the world draws them: PNGs and manifest.csv, whole or not at all.

    The manifest has image_id, file, references (a JSON list of one description), prompt_id and sha256.

    Args:
        folder: where to write.
        count: general prompts of a concept.
        seed: seed of the experiment.
    """
    scenes = [
        scene_of(frame, name, fire=False, van_gogh=False) for frame, name in general_subjects(count, seed)
    ]
    _draw_all(folder, "reference", scenes, seed, prompt_id=general_prompts(count, seed)["prompt_id"])


def draw_captioned(folder: str | Path, count: int, seed: int) -> None:
    """Draw pictures of the training distribution from held-out frames, as ``draw_reference`` does."""
    rng = np.random.Generator(np.random.Philox(stable_seed(seed, "captions")))
    frames = frames_of("evaluation")
    scenes = []
    for number in range(count):
        fire, van_gogh, toned = (rng.random(3) < (FIRE_SHARE, VAN_GOGH_SHARE, SEPIA_SHARE)).tolist()
        frame, name = frames[rng.integers(len(frames))], OBJECTS[number % len(OBJECTS)]
        scenes.append(scene_of(frame, name, fire, van_gogh, sepia=toned and not van_gogh))
    _draw_all(folder, "captions", scenes, seed)


def _draw_all(
    folder: str | Path, name: str, scenes: Sequence[Scene], seed: int, **further: pd.Series
) -> None:
    """Draw scenes into a folder with a manifest, which gets further columns."""
    rows = [
        (f"{name}/{number:04d}", f"{name}-{number:04d}.png", json.dumps([describe(scene)]))
        for number, scene in enumerate(scenes)
    ]
    manifest = pd.DataFrame(rows, columns=["image_id", "file", "references"]).assign(**further)
    with atomic_path(folder) as partial:
        partial.mkdir()
        for (image_id, file, _), scene in zip(rows, scenes, strict=True):
            rng = np.random.Generator(np.random.Philox(stable_seed(seed, image_id)))
            draw(scene, rng).save(partial / file)
        hashes = [sha256_file(partial / file) for file in manifest["file"]]
        write_csv(partial / "manifest.csv", manifest.assign(sha256=hashes))
