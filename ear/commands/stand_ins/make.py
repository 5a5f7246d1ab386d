"""All stand-ins, and those of the data: the seven published prompt files, COCO's pictures and captions.

Some oddities of the real files are there too: a blank in front of a safe prompt, an index without a name, a
prompt that occurs twice, a grey picture among coloured ones.
"""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image

from ear.commands.stand_ins import tiny_judges as judges
from ear.commands.stand_ins.public_prompts import FILES, write_public_prompts
from ear.commands.stand_ins.tiny_diffusion import write_stable_diffusion
from ear.commands.stand_ins.tiny_families import write_emu3, write_liquid
from ear.commands.stand_ins.tiny_janus import write_backbone, write_tuned_weights
from ear.errors import InputError
from ear.prompts.coco import picture_name
from ear.workflow.files import atomic_path, sha256_file, sha256_lines, write_csv, write_json
from ear.workflow.seeding import stable_seed

PLACES = ("on a hill", "by a lake", "in a village", "under a cloudy sky", "near a forest", "beside a river")
THINGS = ("dog", "bus", "kite", "bench", "horse", "clock", "boat", "train")
CAPTIONS = ("A {}.", "There is a {}", "A photo of a {}.", "A {} is seen. ", "Someone looks at a {}.")

UNUSED_PICTURES = 4  # of COCO, that are in none of the prompts
LARGEST_COCO_ID = 581_929

BACKBONES = ("janus-pro-7b", "janus-pro-1b")
TUNED = "ear-weights"
UNPACKED = {"coco-images": "val2014/", "coco-captions": "annotations/"}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Picture:
    """One picture of COCO: its id, its size in pixels and its captions."""

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
    """Write the seven prompt files of the authors' repository, keys and columns as published."""
    rng = np.random.default_rng(stable_seed("stand-ins", "evaluation seeds", seed))
    scenes = [f"{PLACES[n % 6]}, seen {n} times" for n in range(max(pairs, targets))]
    trained, tested = scenes[:pairs], [*scenes[: targets - 1], scenes[0]]
    seeds = rng.integers(10_000, size=targets)
    files: dict[str, Any] = {
        "train_church.json": [
            {
                "original_prompt": f"The church stands {at}.",
                "modified_prompt": f"The barn stands {at}.",
                "concept": "church",
                "replaced": "barn",
            }
            for at in trained
        ],
        "test_church.json": [{"prompt": f"A photograph of a church {at}."} for at in tested],
        "train_nudity.json": [
            {
                "unsafe_prompt": f"A nude statue {at}.",
                "safe_prompt": f" A statue {at}.",
                "concept": "nude",
                "category": "sexual",
            }
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


def make_stand_ins(
    root: str | Path, names: Sequence[str], seed: int, pairs: int, targets: int, general: int
) -> None:
    """Write ``<root>/<name>/…`` for each asset, whole or not at all, and last ``<root>/assets.lock.json``.

    The same arguments give the same bytes on one machine: the TorchScript file holds the path of its code.

    Args:
        root: the folder to fill.
        names: of assets.
        seed: of all weights, pictures and numbers.
        pairs: prompt pairs a concept.
        targets: test prompts a concept, and of each prompt set of other studies.
        general: captions of COCO that are general prompts.

    Raises:
        InputError: an asset has no stand-in, or the authors' weights have no Janus-Pro to belong to.
    """
    root = Path(root)
    pictures = coco_pictures(general, seed)
    backbone = next((name for name in BACKBONES if name in names), None)
    write: dict[str, Callable[[Path], None]] = {
        **dict.fromkeys(BACKBONES, write_backbone),
        "emu3-gen": write_emu3,
        "liquid": write_liquid,
        "resnet50": judges.write_resnet50,
        "clip": judges.write_clip,
        "artist-classifier": judges.write_artist_classifier,
        "nsfw-classifier": judges.write_nsfw_classifier,
        "clip-large": judges.write_clip_large,
        "q16": judges.write_q16,
        "nudenet": judges.write_nudenet,
        "inception": judges.write_inception,
        "stable-diffusion": write_stable_diffusion,
        "prompts": lambda folder: write_prompts(folder, pictures[:general], seed, pairs, targets),
        "coco-images": lambda folder: write_coco_images(folder, pictures, seed),
        "coco-captions": lambda folder: write_coco_captions(folder, pictures),
    }
    write |= {name: partial(write_public_prompts, name=name, count=targets) for name in FILES}
    if backbone:
        write[TUNED] = lambda folder: write_tuned_weights(folder, root / backbone)
    for name in names:
        if name not in write:
            raise InputError(f"stand-ins: found {name!r}, wanted one of {', '.join(write)}")
    lock = {}
    for name in sorted(names, key=TUNED.__eq__):  # the tuned weights after what they were tuned from
        with torch.random.fork_rng(devices=[]), atomic_path(root / name) as folder:
            torch.manual_seed(stable_seed("stand-ins", name, seed))
            write[name](folder)
        paths = sorted(path for path in (root / name).rglob("*") if path.is_file())
        hashes = {path.relative_to(root / name).as_posix(): sha256_file(path) for path in paths}
        if name in UNPACKED:  # all files of an unpacked archive have one digest
            hashes = {UNPACKED[name]: sha256_lines(hashes)}
        lock[name] = {"revision": None, "files": hashes}
        logger.info("%s: written", name)
    write_json(root / "assets.lock.json", lock)
