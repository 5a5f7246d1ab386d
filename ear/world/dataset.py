"""Drawn pictures of the mini world: the training set, from `train` frames alone, and held-out pictures.

No model was trained on the held-out ones: the reference of FID, and pictures to be captioned.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ear.errors import InputError
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
    """Draw the training set, every object equally often.

    Writes ``images.npy``, (N, 64, 64, 3) uint8 RGB, and ``captions.csv`` with CAPTION_COLUMNS, one row an
    image in the same order; an empty ``colour`` means natural colours. The folder appears as a whole.

    Args:
        folder: where to write.
        images: N.
        seed: the same seed and N give the same bytes.
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
        words = (text, describe(scene))
        rows.append((index, *words, object, scene.colour, scene.place, scene.time, fire, van_gogh, sepia))
    with atomic_path(folder) as partial:
        partial.mkdir()
        np.save(partial / IMAGES_FILE, pixels)
        table = pd.DataFrame(rows, columns=list(CAPTION_COLUMNS))
        table.to_csv(partial / CAPTIONS_FILE, index=False, lineterminator="\n")


def _described(rng: np.random.Generator) -> tuple[Kind, ...]:
    """The kinds of things that one caption speaks of without their words, mostly none."""
    may, *chances = rng.random(1 + len(KINDS))
    if may >= DESCRIBED_SHARE:
        return ()
    return tuple(kind for kind, chance in zip(KINDS, chances, strict=True) if chance < DESCRIBED_THING_SHARE)


def load_training_set(folder: str | Path) -> tuple[np.ndarray, pd.DataFrame]:
    """Read what ``draw_training_set`` wrote.

    Returns:
        The images, (N, 64, 64, 3) uint8, and the table with CAPTION_COLUMNS; N rows each.

    Raises:
        InputError: a file is missing, or the two do not belong together.
    """
    folder = Path(folder)
    table = read_csv(folder / CAPTIONS_FILE, CAPTION_COLUMNS)
    try:
        pixels = np.load(folder / IMAGES_FILE)
    except FileNotFoundError:
        raise InputError(f"{folder / IMAGES_FILE}: not found, wanted the images of {CAPTIONS_FILE}") from None
    wanted = (len(table), SIZE, SIZE, 3)
    if pixels.shape != wanted or pixels.dtype != np.uint8:
        raise InputError(
            f"{folder / IMAGES_FILE}: found {pixels.shape} {pixels.dtype}, wanted {wanted} uint8"
        )
    return pixels, table


def draw_reference(folder: str | Path, count: int, seed: int) -> None:
    """Draw the shared general prompts as the world draws them.

    The folder appears whole: PNGs and manifest.csv (image_id, file, references, prompt_id, sha256).

    Args:
        folder: folder of the pictures.
        count: general prompts of a concept.
        seed: seed of the experiment.
    """
    scenes = [
        scene_of(frame, name, fire=False, van_gogh=False) for frame, name in general_subjects(count, seed)
    ]
    _draw_all(folder, "reference", scenes, seed, prompt_id=general_prompts(count, seed)["prompt_id"])


def draw_captioned(folder: str | Path, count: int, seed: int) -> None:
    """Draw pictures of the training distribution from held-out frames; each has THE caption as reference.

    Args:
        folder: made whole or not at all; manifest.csv has columns image_id, file, references (a
            JSON list of one text) and sha256.
        count: pictures.
        seed: seed of the experiment.
    """
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
        for image_id, file, scene in zip(manifest["image_id"], manifest["file"], scenes, strict=True):
            draw(scene, np.random.Generator(np.random.Philox(stable_seed(seed, image_id)))).save(
                partial / file
            )
        hashes = [sha256_file(partial / file) for file in manifest["file"]]
        write_csv(partial / "manifest.csv", manifest.assign(sha256=hashes))
