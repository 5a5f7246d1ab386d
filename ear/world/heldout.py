"""Drawn pictures that no model was trained on: the reference of FID, and pictures to be captioned."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ear.files import atomic_path, sha256_file, write_csv
from ear.prompts.grammar import general_prompts, general_subjects
from ear.seeding import stable_seed
from ear.world.captions import describe, frames_of, scene_of
from ear.world.dataset import FIRE_SHARE, SEPIA_SHARE, VAN_GOGH_SHARE
from ear.world.scenes import OBJECTS, Scene, draw


def draw_reference(folder: str | Path, count: int, seed: int) -> None:
    """Draw the shared general prompts as the world draws them.

    The folder appears whole: PNGs and manifest.csv (image_id, file, references, prompt_id, sha256).

    Args:
        folder: where they go.
        count: general prompts of a concept.
        seed: of the experiment.
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
        seed: of the experiment.
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
