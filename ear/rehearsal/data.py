"""Stand-ins of the data: the seven published prompt files, and COCO's pictures and captions.

All texts are made here of a few phrases; the odd ones of the real files are there too: a blank in front of a
safe prompt, an index without a name, a prompt that occurs twice, a grey picture among coloured ones.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from ear.errors import InputError
from ear.files import write_csv
from ear.seeding import stable_seed

PLACES = ("on a hill", "by a lake", "in a village", "under a cloudy sky", "near a forest", "beside a river")
TIMES = ("at dawn", "at noon", "at dusk", "at night", "in spring", "in summer", "in autumn", "in winter")
SCENES = [f"{place} {time}" for time, place in product(TIMES, PLACES)]
THINGS = ("dog", "bus", "kite", "bench", "horse", "clock", "boat", "train")
BUILDINGS = ("barn", "cinema", "library", "pavilion", "lighthouse", "windmill")
CAPTIONS = (
    "A {} {}.",
    "There is a {} {}",
    "A photo of a {} {}.",
    "A {} is seen {}. ",
    "Someone looks at a {} {}.",
)
GENERAL = [(thing, scene) for scene, thing in product(SCENES, THINGS)]

UNUSED_PICTURES = 4  # of COCO, that are in none of the prompts
LARGEST_COCO_ID = 581_929
EVALUATION_SEEDS = 10_000


@dataclass(frozen=True)
class Counts:
    """How large the files are.

    Attributes:
        pairs: prompt pairs a concept.
        targets: test prompts a concept.
        general: rows of coco_30k.csv.

    Raises:
        InputError: there are not as many texts.
    """

    pairs: int
    targets: int
    general: int

    def __post_init__(self) -> None:
        most = {"pairs": len(SCENES), "targets": len(SCENES), "general": len(GENERAL) - UNUSED_PICTURES}
        for name, largest in most.items():
            if not 1 <= getattr(self, name) <= largest:
                raise InputError(f"stand-ins: {name}: found {getattr(self, name)}, wanted 1 to {largest}")


@dataclass(frozen=True)
class CocoPicture:
    """One picture of COCO: its id, its size in pixels and its five captions."""

    image_id: int
    width: int
    height: int
    captions: tuple[str, ...]

    @property
    def file(self) -> str:
        """Its name in val2014."""
        return f"COCO_val2014_{self.image_id:012d}.jpg"


def coco_pictures(general: int, seed: int) -> list[CocoPicture]:
    """Pictures for ``general`` prompts and a few more; as in COCO, two of them share a caption."""
    rng = np.random.default_rng(stable_seed("stand-ins", "coco", seed))
    count = general + UNUSED_PICTURES
    ids = rng.choice(LARGEST_COCO_ID, size=count, replace=False) + 1
    subjects = GENERAL[:count]
    subjects[general - 1] = subjects[0]
    sizes = rng.permuted(np.tile([96, 72], (count, 1)), axis=1)  # some lie, some stand
    return [
        CocoPicture(int(image_id), int(width), int(height), tuple(text.format(*subject) for text in CAPTIONS))
        for image_id, (width, height), subject in zip(ids, sizes, subjects, strict=True)
    ]


def all_texts() -> list[str]:
    """Everything that any of the files may say: what a tokenizer's vocabulary is made of."""
    largest = Counts(len(SCENES), len(SCENES), 1)
    rows = [row for table in _prompt_tables(largest, [], seed=0).values() for row in table]
    texts = [str(value) for row in rows for value in row.values()]
    return texts + [caption.format(*subject) for subject in GENERAL for caption in CAPTIONS]


def write_prompts(folder: Path, counts: Counts, pictures: Sequence[CocoPicture], seed: int) -> None:
    """Write the seven prompt files of the authors' repository."""
    folder.mkdir()
    for name, rows in _prompt_tables(counts, pictures, seed).items():
        if name.endswith(".json"):
            (folder / name).write_text(json.dumps(rows, indent=4), encoding="utf-8")
        else:
            write_csv(folder / name, pd.DataFrame(rows))


def _prompt_tables(
    counts: Counts, pictures: Sequence[CocoPicture], seed: int
) -> dict[str, list[dict[str, Any]]]:
    """File name → rows; keys and columns as published, in their order."""
    rng = np.random.default_rng(stable_seed("stand-ins", "evaluation seeds", seed))

    def evaluation_seed() -> int:
        return int(rng.integers(EVALUATION_SEEDS))

    pairs, targets = SCENES[: counts.pairs], SCENES[: counts.targets]
    church = [
        {
            "original_prompt": f"The church stands {scene}.",
            "modified_prompt": f"The {building} stands {scene}.",
            "concept": "church",
            "replaced": building,
        }
        for scene, building in zip(pairs, BUILDINGS * len(pairs), strict=False)
    ]
    church_tests = [{"prompt": f"A photograph of a church {scene}."} for scene in targets]
    church_tests[-1] = church_tests[0]
    nudity = [
        {
            "unsafe_prompt": f"A nude statue in a museum {scene}.",
            "safe_prompt": f" A statue in a museum {scene}.",
            "concept": "nude",
            "category": "sexual",
        }
        for scene in pairs
    ]
    van_gogh_tests = [
        {
            "": number,
            "case_number": number,
            "prompt": f"A Boat, {scene}, by Vincent van Gogh",
            "evaluation_seed": evaluation_seed(),
            "artist": "Vincent van Gogh",
        }
        for number, scene in enumerate(targets)
    ]
    nudity_tests = [
        {
            "case_number": number,
            "evaluation_seed": evaluation_seed(),
            "prompt": f"an oil painting of a nude figure, {scene}",
        }
        for number, scene in enumerate(targets)
    ]
    coco = [
        {
            "image_id": picture.image_id,
            "source": "coco",
            "prompt": picture.captions[0],
            "evaluation_seed": evaluation_seed(),
            "width": picture.width,
            "height": picture.height,
        }
        for picture in pictures[: counts.general]
    ]
    return {
        "train_church.json": church,
        "test_church.json": church_tests,
        "train_van_gogh.csv": [
            {
                "unsafe_prompt": f"a photo of a boat {scene} in Van Gogh",
                "safe_prompt": f"a photo of a boat {scene}",
            }
            for scene in pairs
        ],
        "test_van_gogh.csv": van_gogh_tests,
        "train_nudity.json": nudity,
        "Six-CD_Nudity.csv": nudity_tests,
        "coco_30k.csv": coco,
    }


def write_coco_images(folder: Path, pictures: Sequence[CocoPicture], seed: int) -> None:
    """Draw val2014: a coloured disc on a coloured ground, the first picture in grey as some of COCO's are."""
    (folder / "val2014").mkdir(parents=True)
    for number, picture in enumerate(pictures):
        rng = np.random.default_rng(stable_seed("stand-ins", "picture", picture.image_id, seed))
        ground, disc = (tuple(colour) for colour in rng.integers(256, size=(2, 3)).tolist())
        image = Image.new("RGB", (picture.width, picture.height), ground)
        left, top = rng.integers(40, size=2).tolist()
        ImageDraw.Draw(image).ellipse((left, top, left + 30, top + 30), fill=disc)
        image.convert("L" if number == 0 else "RGB").save(folder / "val2014" / picture.file, quality=90)


def write_coco_captions(folder: Path, pictures: Sequence[CocoPicture]) -> None:
    """Write captions_val2014.json; as in COCO, the captions of a picture do not stand together."""
    (folder / "annotations").mkdir(parents=True)
    spoken = [(picture.image_id, picture.captions[n]) for n in range(len(CAPTIONS)) for picture in pictures]
    content = {
        "info": {"description": "stand-in of COCO 2014", "url": "", "version": "1.0", "year": 2014},
        "images": [
            {
                "license": 1,
                "file_name": picture.file,
                "coco_url": "",
                "height": picture.height,
                "width": picture.width,
                "date_captured": "2013-11-14 11:18:45",
                "flickr_url": "",
                "id": picture.image_id,
            }
            for picture in pictures
        ],
        "licenses": [{"url": "", "id": 1, "name": "none"}],
        "annotations": [
            {"image_id": image_id, "id": number, "caption": text}
            for number, (image_id, text) in enumerate(spoken, 1)
        ],
    }
    (folder / "annotations" / "captions_val2014.json").write_text(json.dumps(content), encoding="utf-8")
