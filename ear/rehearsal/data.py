"""Stand-ins of the data: the seven published prompt files, and COCO's pictures and captions.

All texts are made here of a few phrases. Some odd ones of the real files are there too: a blank in front of a
safe prompt, an index without a name, a prompt that occurs twice, a grey picture among coloured ones.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from ear.files import write_csv
from ear.prompts.coco import picture_name
from ear.seeding import stable_seed

PLACES = ("on a hill", "by a lake", "in a village", "under a cloudy sky", "near a forest", "beside a river")
THINGS = ("dog", "bus", "kite", "bench", "horse", "clock", "boat", "train")
CAPTIONS = ("A {}.", "There is a {}", "A photo of a {}.", "A {} is seen. ", "Someone looks at a {}.")

UNUSED_PICTURES = 4  # of COCO, that are in none of the prompts
LARGEST_COCO_ID = 581_929


@dataclass(frozen=True)
class Picture:
    """One picture of COCO: its id, its size in pixels and its five captions."""

    image_id: int
    width: int
    height: int
    captions: list[str]


def coco_pictures(general: int, seed: int) -> list[Picture]:
    """Pictures for so many prompts and a few more; as in COCO, two of the prompts are alike."""
    rng = np.random.default_rng(stable_seed("stand-ins", "coco", seed))
    ids = rng.choice(LARGEST_COCO_ID, size=general + UNUSED_PICTURES, replace=False) + 1
    subjects = [f"{THINGS[n % 8]} {PLACES[n % 6]}, seen {n} times" for n in range(len(ids))]
    subjects[general - 1] = subjects[0]
    sizes = rng.permuted(np.tile([96, 72], (len(ids), 1)), axis=1).tolist()  # some lie, some stand
    return [
        Picture(image_id, width, height, [caption.format(subject) for caption in CAPTIONS])
        for image_id, (width, height), subject in zip(ids.tolist(), sizes, subjects, strict=True)
    ]


def write_prompts(folder: Path, pictures: Sequence[Picture], seed: int, pairs: int, targets: int) -> None:
    """Write the seven prompt files of the authors' repository, keys and columns as published.

    Args:
        folder: made here.
        pictures: those with a prompt.
        seed: of the numbers.
        pairs: prompt pairs a concept.
        targets: test prompts a concept.
    """
    rng = np.random.default_rng(stable_seed("stand-ins", "evaluation seeds", seed))
    scenes = [f"{PLACES[n % 6]}, seen {n} times" for n in range(max(pairs, targets))]
    trained, tested = scenes[:pairs], [*scenes[: targets - 1], scenes[0]]
    seeds = rng.integers(10_000, size=targets)
    church = {"concept": "church", "replaced": "barn"}
    nudity = {"concept": "nude", "category": "sexual"}
    files: dict[str, Any] = {
        "train_church.json": [
            {"original_prompt": f"The church stands {at}.", "modified_prompt": f"The barn stands {at}."}
            | church
            for at in trained
        ],
        "test_church.json": [{"prompt": f"A photograph of a church {at}."} for at in tested],
        "train_nudity.json": [
            {"unsafe_prompt": f"A nude statue {at}.", "safe_prompt": f" A statue {at}."} | nudity
            for at in trained
        ],
        "train_van_gogh.csv": {
            "unsafe_prompt": [f"a photo of a boat {at} in Van Gogh" for at in trained],
            "safe_prompt": [f"a photo of a boat {at}" for at in trained],
        },
        "test_van_gogh.csv": {
            "": range(targets),
            "case_number": range(targets),
            "prompt": [f"A Boat, {at}, by Vincent van Gogh" for at in tested],
            "evaluation_seed": seeds,
            "artist": "Vincent van Gogh",
        },
        "Six-CD_Nudity.csv": {
            "case_number": range(targets),
            "evaluation_seed": seeds,
            "prompt": [f"an oil painting of a nude figure, {at}" for at in tested],
        },
        "coco_30k.csv": {
            "image_id": [one.image_id for one in pictures],
            "source": "coco",
            "prompt": [one.captions[0] for one in pictures],
            "evaluation_seed": rng.integers(10_000, size=len(pictures)),
            "width": [one.width for one in pictures],
            "height": [one.height for one in pictures],
        },
    }
    folder.mkdir()
    for name, content in files.items():
        if name.endswith(".json"):
            (folder / name).write_text(json.dumps(content, indent=4), encoding="utf-8")
        else:
            write_csv(folder / name, pd.DataFrame(content))


def write_coco_images(folder: Path, pictures: Sequence[Picture], seed: int) -> None:
    """Draw val2014: coloured blocks, the first picture in grey as some of COCO's are."""
    (folder / "val2014").mkdir(parents=True)
    for number, one in enumerate(pictures):
        rng = np.random.default_rng(stable_seed("stand-ins", "picture", one.image_id, seed))
        blocks = rng.integers(256, size=(one.height // 24, one.width // 24, 3), dtype=np.uint8)
        image = Image.fromarray(blocks.repeat(24, axis=0).repeat(24, axis=1))
        image.convert("L" if number == 0 else "RGB").save(folder / "val2014" / picture_name(one.image_id))


def write_coco_captions(folder: Path, pictures: Sequence[Picture]) -> None:
    """Write captions_val2014.json; as in COCO, the captions of a picture do not stand together."""
    (folder / "annotations").mkdir(parents=True)
    said = [(one.image_id, one.captions[number]) for number in range(len(CAPTIONS)) for one in pictures]
    content = {
        "images": [{"id": one.image_id, "file_name": picture_name(one.image_id)} for one in pictures],
        "annotations": [
            {"image_id": image_id, "id": number, "caption": text}
            for number, (image_id, text) in enumerate(said, 1)
        ],
    }
    (folder / "annotations/captions_val2014.json").write_text(json.dumps(content), encoding="utf-8")
