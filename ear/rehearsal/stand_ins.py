"""Fills a folder with stand-ins of the paper's assets; every later stage takes them for the real ones."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch

from ear.errors import InputError
from ear.files import atomic_path, sha256_file, sha256_lines, write_json
from ear.rehearsal import judges
from ear.rehearsal.backbone import write_backbone, write_tuned_weights
from ear.rehearsal.data import coco_pictures, write_coco_captions, write_coco_images, write_prompts
from ear.rehearsal.diffusion import write_stable_diffusion
from ear.seeding import stable_seed

BACKBONES = ("janus-pro-7b", "janus-pro-1b")
TUNED = "ear-weights"
UNPACKED = {"coco-images": "val2014/", "coco-captions": "annotations/"}
LOCK = "assets.lock.json"

logger = logging.getLogger(__name__)


def make_stand_ins(
    root: str | Path, names: Sequence[str], seed: int, pairs: int, targets: int, general: int
) -> None:
    """Write ``<root>/<name>/…`` for each asset, whole or not at all, and last ``<root>/assets.lock.json``.

    The same arguments give the same bytes on one machine. (On another one the TorchScript file may differ:
    it holds the path of the code that it was made of.)

    Args:
        root: the folder to fill.
        names: of assets.
        seed: of all weights, pictures and numbers.
        pairs: prompt pairs a concept.
        targets: test prompts a concept.
        general: captions of COCO that are general prompts.

    Raises:
        InputError: an asset has no stand-in, or the authors' weights have no Janus-Pro to belong to.
    """
    root, pictures = Path(root), coco_pictures(general, seed)
    backbone = next((name for name in BACKBONES if name in names), None)
    write: dict[str, Callable[[Path], None]] = {
        **dict.fromkeys(BACKBONES, write_backbone),
        "resnet50": judges.write_resnet50,
        "clip": judges.write_clip,
        "artist-classifier": judges.write_artist_classifier,
        "nudenet": judges.write_nudenet,
        "inception": judges.write_inception,
        "stable-diffusion": write_stable_diffusion,
        "prompts": partial(
            write_prompts, pictures=pictures[:general], seed=seed, pairs=pairs, targets=targets
        ),
        "coco-images": partial(write_coco_images, pictures=pictures, seed=seed),
        "coco-captions": partial(write_coco_captions, pictures=pictures),
    }
    if backbone:
        write[TUNED] = partial(write_tuned_weights, backbone=root / backbone)
    for name in names:
        if name not in write:
            raise InputError(f"stand-ins: found {name!r}, wanted one of {', '.join(write)}")
    lock = {}
    for name in sorted(names, key=TUNED.__eq__):  # the tuned weights after what they were tuned from
        with torch.random.fork_rng(devices=[]), atomic_path(root / name) as partial_folder:
            torch.manual_seed(stable_seed("stand-ins", name, seed))
            write[name](partial_folder)
        paths = sorted(path for path in (root / name).rglob("*") if path.is_file())
        hashes = {path.relative_to(root / name).as_posix(): sha256_file(path) for path in paths}
        if name in UNPACKED:  # all files of an unpacked archive have one digest
            hashes = {UNPACKED[name]: sha256_lines(hashes)}
        lock[name] = {"revision": None, "files": hashes}
        logger.info("%s: written", name)
    write_json(root / LOCK, lock)
