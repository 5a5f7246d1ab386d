"""COCO: general prompts, photographs to compare generated images with, and photographs to be captioned.

A prompt, its picture and its captions go by the picture's number in COCO, so that they always meet.
"""

import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import pandas as pd

from ear.errors import InputError
from ear.prompts.published import check_texts
from ear.prompts.tables import PROMPT_COLUMNS
from ear.workflow.files import read_csv
from ear.workflow.seeding import stable_seed
from ear.workflow.texts import read_json, text_fault

PROMPTS_FILE = "coco_30k.csv"  # places inside of the assets
PICTURES_FOLDER = "val2014"
CAPTIONS_FILE = "annotations/captions_val2014.json"
ID_PREFIX = "coco/"
PICTURE = re.compile(r"COCO_val2014_(\d{12})\.jpg")


def read_general(
    path: str | Path, count: int, subsample: Literal["first", "seeded"], seed: int
) -> pd.DataFrame:
    """Read general prompts from coco_30k.csv.

    Args:
        path: CSV with columns image_id and prompt.
        count: how many.
        subsample: "first": the first rows, in the order of the file. "seeded": those whose numbers come first
            in an order drawn from the seed, so that a smaller choice is the beginning of a larger one.
        seed: of the experiment.

    Returns:
        ``PROMPT_COLUMNS``; ids ``coco/<image_id>``, prompt_set "general", object missing.

    Raises:
        InputError: the file cannot be read, has too few rows, a row without a prompt, or an image_id that is
            no whole number or occurs twice.
    """
    table = read_csv(path, ["image_id", "prompt"])
    check_texts(path, "prompt", table["prompt"])
    numbers = pd.to_numeric(table["image_id"], errors="coerce")
    wrong = (numbers % 1 != 0) | (numbers < 0) | numbers.duplicated()
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        found = f"{path}: row {row}: image_id: found {table['image_id'][row]}"
        raise InputError(f"{found}, wanted a whole number, each once")
    image_ids = numbers.astype(int).tolist()
    seeded = subsample == "seeded"
    chosen = _seeded(path, image_ids, count, seed, "general") if seeded else _first(path, image_ids, count)
    prompts = table["prompt"].set_axis(image_ids).loc[chosen]
    general = {"prompt_set": "general", "prompt": prompts.tolist(), "object": float("nan")}
    ids = [f"{ID_PREFIX}{number}" for number in chosen]
    return pd.DataFrame({"prompt_id": ids, **general})[PROMPT_COLUMNS]


def image_ids_of(prompts: pd.DataFrame) -> list[int]:
    """Numbers of the pictures that general prompts belong to."""
    return [int(prompt_id.removeprefix(ID_PREFIX)) for prompt_id in prompts["prompt_id"]]


def reference_manifest(
    images: str | Path, relative_to: str | Path, image_ids: Sequence[int] | None = None
) -> pd.DataFrame:
    """List the photographs that FID compares with.

    Args:
        images: the folder val2014, with files like COCO_val2014_000000000042.jpg.
        relative_to: the folder that the manifest is for.
        image_ids: which, in this order; None: all that are there, by number.

    Returns:
        image_id, file (relative to the manifest's folder).

    Raises:
        InputError: the folder or a picture is missing, or the folder holds no picture of such a name.
    """
    try:
        names = os.listdir(images)
    except OSError as error:
        raise InputError(f"{images}: {error.strerror}, wanted the folder of COCO's pictures") from None
    there = {int(match[1]) for match in map(PICTURE.fullmatch, names) if match}
    if not there:
        raise InputError(f"{images}: found no pictures, wanted files with names like {picture_name(42)}")
    image_ids = sorted(there) if image_ids is None else image_ids
    for number in image_ids:
        if number not in there:
            raise InputError(
                f"{Path(images) / picture_name(number)}: not found, wanted the picture of image {number}"
            )
    folder = os.path.relpath(images, relative_to)
    files = [f"{folder}/{picture_name(number)}" for number in image_ids]
    return pd.DataFrame({"image_id": image_ids, "file": files})


def captioned_manifest(
    images: str | Path, captions: str | Path, relative_to: str | Path, count: int, seed: int
) -> pd.DataFrame:
    """Choose photographs to be captioned, each with all that people wrote about it.

    Args:
        images: the folder val2014.
        captions: captions_val2014.json: an object whose annotations have image_id and caption.
        relative_to: the folder that the manifest is for.
        count: how many pictures; a smaller choice is the beginning of a larger one.
        seed: of the experiment.

    Returns:
        image_id, file (relative to the manifest's folder), references (a JSON list of texts, as published).

    Raises:
        InputError: a file or picture is missing, the captions are malformed, or there are too few pictures.
    """
    wanted = "wanted annotations, a list of objects with image_id (a whole number) and caption (text)"
    content = read_json(captions)
    if not isinstance(content, dict) or not isinstance(content.get("annotations"), list):
        raise InputError(f"{captions}: found {repr(content)[:60]}, {wanted}")
    references: dict[int, list[str]] = {}
    for number, annotation in enumerate(content["annotations"]):
        match annotation:
            case {"image_id": int(image_id), "caption": str(caption)} if not text_fault(caption):
                references.setdefault(image_id, []).append(caption)
            case _:
                found = repr(annotation)[:200]
                raise InputError(f"{captions}: annotations: entry {number}: found {found}, {wanted}")
    chosen = _seeded(captions, references, count, seed, "captions")
    return reference_manifest(images, relative_to, chosen).assign(
        references=[json.dumps(references[image_id], ensure_ascii=False) for image_id in chosen]
    )


def picture_name(image_id: int) -> str:
    """File of a picture in the folder val2014."""
    return f"COCO_val2014_{image_id:012d}.jpg"


def _seeded(path: str | Path, image_ids: Iterable[int], count: int, seed: int, purpose: str) -> list[int]:
    """Choose pictures in an order that depends on the seed and on each picture's number, on nothing else."""
    return _first(path, sorted(image_ids, key=lambda number: stable_seed(seed, purpose, number)), count)


def _first(path: str | Path, image_ids: list[int], count: int) -> list[int]:
    if len(image_ids) < count:
        raise InputError(f"{path}: found {len(image_ids)} images, wanted {count}")
    return image_ids[:count]
