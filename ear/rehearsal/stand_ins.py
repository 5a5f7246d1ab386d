"""Fills a folder with stand-ins of the paper's assets; every later stage takes them for the real ones."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ear.errors import InputError
from ear.files import atomic_path, sha256_file, write_json
from ear.rehearsal.backbone import write_backbone, write_tuned_weights
from ear.rehearsal.data import Counts, coco_pictures, write_coco_captions, write_coco_images, write_prompts
from ear.rehearsal.diffusion import write_stable_diffusion
from ear.rehearsal.judges import (
    write_artist_classifier,
    write_clip,
    write_inception,
    write_nudenet,
    write_resnet50,
)
from ear.seeding import stable_seed

BACKBONES = ("janus-pro-7b", "janus-pro-1b")
TUNED = "ear-weights"
UNPACKED = {"coco-images": "val2014/", "coco-captions": "annotations/"}
LOCK = "assets.lock.json"

logger = logging.getLogger(__name__)


def make_stand_ins(root: str | Path, names: Sequence[str], seed: int, counts: Counts) -> None:
    """Write ``<root>/<name>/…`` for each asset, whole or not at all, and last ``<root>/assets.lock.json``.

    The same arguments give the same bytes on one machine. (On another one the TorchScript file may differ:
    it holds the path of the code that it was made of.)

    Args:
        root: the folder to fill.
        names: of assets.
        seed: of all weights, pictures and numbers.
        counts: rows of the prompt files.

    Raises:
        InputError: an asset has no stand-in, or the authors' weights have no Janus-Pro to belong to.
    """
    root = Path(root)
    write = _writers(root, names, seed, counts)
    unknown = [name for name in names if name not in write]
    if unknown:
        raise InputError(f"stand-ins: found {unknown[0]!r}, wanted one of {', '.join(write)}")
    lock = {}
    for name in sorted(names, key=TUNED.__eq__):  # the tuned weights after what they were tuned from
        with torch.random.fork_rng(devices=[]), atomic_path(root / name) as partial_folder:
            torch.manual_seed(stable_seed("stand-ins", name, seed))
            write[name](partial_folder)
        lock[name] = {"revision": None, "files": _hashes(name, root / name)}
        logger.info("%s: written", name)
    write_json(root / LOCK, lock)


def _writers(
    root: Path, names: Sequence[str], seed: int, counts: Counts
) -> dict[str, Callable[[Path], None]]:
    """Asset → what writes its folder."""
    pictures = coco_pictures(counts.general, seed)
    writers: dict[str, Any] = dict.fromkeys(BACKBONES, write_backbone) | {
        "resnet50": write_resnet50,
        "clip": write_clip,
        "artist-classifier": write_artist_classifier,
        "nudenet": write_nudenet,
        "inception": write_inception,
        "stable-diffusion": write_stable_diffusion,
        "prompts": partial(write_prompts, counts=counts, pictures=pictures, seed=seed),
        "coco-images": partial(write_coco_images, pictures=pictures, seed=seed),
        "coco-captions": partial(write_coco_captions, pictures=pictures),
    }
    backbone = next((name for name in BACKBONES if name in names), None)
    if backbone:
        writers[TUNED] = partial(write_tuned_weights, backbone=root / backbone)
    elif TUNED in names:
        raise InputError(f"stand-ins: found {TUNED} alone, wanted {' or '.join(BACKBONES)} too")
    return writers


def _hashes(name: str, folder: Path) -> dict[str, str]:
    """Path → SHA-256; the files of an unpacked archive have one digest, as ``ear.assets.lock`` defines it."""
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    hashes = {path: sha256_file(folder / path) for path in paths}
    if name not in UNPACKED:
        return hashes
    lines = sorted(f"{digest}  {path}\n" for path, digest in hashes.items())
    return {UNPACKED[name]: hashlib.sha256("".join(lines).encode()).hexdigest()}
