"""The training set of the mini world: drawn scenes with their captions, from `train` frames alone."""

from pathlib import Path

import numpy as np
import pandas as pd

from ear.errors import InputError
from ear.files import atomic_path, read_csv
from ear.progress import progress
from ear.world.canvas import SIZE
from ear.world.captions import KINDS, Kind, caption, describe, frames_of, scene_of
from ear.world.scenes import OBJECTS, draw

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
