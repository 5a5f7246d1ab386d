"""A table of prompts becomes one shard: PNGs and the manifest that lists them."""

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from torch import Tensor

from ear.images.batching import BatchSize, drawn_at_once
from ear.images.reading import UNREADABLE
from ear.images.sampling import Guidance, sample_prompts
from ear.images.tokens import SavedTokens
from ear.models.backbone import Backbone, tensor_digest
from ear.prompts.tables import first_targets, with_samples
from ear.workflow.files import put_file, read_csv, remove_partials, sha256_file, write_json
from ear.workflow.progress import progress
from ear.workflow.seeding import stable_seed
from ear.workflow.texts import read_json

MANIFEST_COLUMNS = ["prompt_id", "prompt_set", "prompt", "object", "window", "seed", "file", "sha256"]
NOTE_SUFFIX = ".drawn-from"
SHARD = re.compile(r"shard\d+")
PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
"""The last chunk of every PNG, which Pillow takes for granted."""


def shard_rows(prompts: pd.DataFrame, shard: int, shards: int) -> pd.DataFrame:
    """Rows of one shard: every ``shards``-th prompt, so that shards are of one size and one mixture."""
    return prompts.iloc[shard::shards].reset_index(drop=True)


def image_seed(experiment_seed: int, prompt_id: str, sample: int = 0) -> int:
    """Seed of one image, the same for all methods and fine-tuning seeds: common random numbers."""
    return stable_seed(experiment_seed, prompt_id, sample)


def batches_by_length(lengths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """Row numbers in batches of similar length; they depend on the whole table, not on what is left to do."""
    order = sorted(range(len(lengths)), key=lambda row: (lengths[row], row))
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def render_prompts(
    backbone: Backbone,
    prompts: pd.DataFrame,
    folder: str | Path,
    experiment_seed: int,
    guidance: Guidance,
    temperature: float,
    batch_size: BatchSize,
    desc: str,
    prefix: Tensor | None = None,
    saved: SavedTokens | None = None,
) -> pd.DataFrame:
    """Render one image of each prompt into ``folder``; see :func:`draw_images`.

    Args:
        backbone: the model, with its edited weights if it has one.
        prompts: columns prompt_id, prompt_set, prompt, object, window, and perhaps same_as: the prompt whose
            random numbers the image shares.
        folder: where the PNGs go.
        experiment_seed: with the prompt's id it fixes the image's random numbers.
        guidance: classifier-free guidance, perhaps away from a negative prompt.
        temperature: softmax temperature.
        batch_size: prompts sampled at once; it gets smaller where memory runs out.
        desc: label of the progress bar.
        prefix: (N, k) int64, the first image tokens of each image, where they are given.
        saved: is given the tokens of the images; an image without them is rendered again.

    Returns:
        The manifest's rows (``MANIFEST_COLUMNS``), in the order of ``prompts``.
    """
    rows = image_rows(prompts, experiment_seed).reset_index(drop=True)
    if rows.empty:
        return rows.assign(sha256="")[MANIFEST_COLUMNS]
    if prefix is not None:
        rows = rows.assign(begun=[tensor_digest(tokens).hex() for tokens in prefix])
    lengths = backbone.encode(list(rows["prompt"]), "chat").mask.sum(dim=1).tolist()

    def draw(part: pd.DataFrame) -> Iterator[np.ndarray]:
        texts, seeds = list(part["prompt"]), list(part["seed"])
        begun = None if prefix is None else prefix[part.index.tolist()]
        names = list(part["prompt_id"])
        tokens = sample_prompts(backbone, texts, seeds, "chat", guidance, temperature, begun, names=names)
        if saved is not None:
            saved.add(list(zip(texts, seeds, strict=True)), tokens)
        return backbone.pixels(tokens)

    def fit(batch: Sequence[int]) -> int:
        longest = max(lengths[row] for row in batch)
        return drawn_at_once(backbone, batch_size.wanted, guidance.rows, longest)

    drawn_from = f"{backbone.source()} {experiment_seed} {guidance} {temperature}"
    return draw_images(
        rows,
        folder,
        drawn_from=drawn_from if backbone.rounded else f"{drawn_from} cut off",
        batches=list(batches_by_length(lengths, batch_size.wanted)),
        draw=draw,
        batch_size=batch_size,
        desc=desc,
        fit=fit,
        saved=saved,
    )


def image_rows(prompts: pd.DataFrame, experiment_seed: int) -> pd.DataFrame:
    """Prompts with the seed and the file of the image that each of them gets."""
    own = prompts["prompt_id"]
    owners = prompts["same_as"].fillna(own) if "same_as" in prompts else own
    return prompts.assign(
        seed=[image_seed(experiment_seed, owner) for owner in owners],
        file=[
            # Window 0 stands for images that no window length distinguishes.
            f"{prompt_id.replace('/', '-')}{f'-W{window}' if window else ''}.png"
            for prompt_id, window in zip(own, prompts["window"], strict=True)
        ],
    )


def draw_images(
    rows: pd.DataFrame,
    folder: str | Path,
    *,
    drawn_from: str,
    batches: Sequence[Sequence[int]],
    draw: Callable[[pd.DataFrame], Iterable[np.ndarray]],
    batch_size: BatchSize,
    desc: str,
    fit: Callable[[Sequence[int]], int] | None = None,
    saved: SavedTokens | None = None,
) -> pd.DataFrame:
    """Draw the batches of a table's images of which one is missing, damaged or drawn from anything else.

    Args:
        rows: what ``image_rows`` made, and perhaps begun: what an image goes on from.
        folder: where the PNGs go.
        drawn_from: all that an image depends on besides its row; images drawn from anything else are removed.
        batches: row numbers, those drawn together; they must not depend on what is left to do.
        draw: pictures (H, W, 3) uint8 of some rows, in their order.
        batch_size: it gets smaller where memory runs out.
        desc: label of the progress bar.
        fit: how many rows of a batch the device should have memory for; None where that is not known.
        saved: holds the tokens of images that are done.

    Returns:
        The manifest's rows (``MANIFEST_COLUMNS``), in the order of ``rows``.
    """
    folder = Path(folder)
    _prepare(folder, rows, drawn_from)

    def drawn(part: Sequence[int]) -> list[tuple[str, np.ndarray]]:
        table = rows.iloc[list(part)]
        return list(zip(table["file"], draw(table), strict=True))

    def done(part: Sequence[int]) -> bool:
        table = rows.iloc[list(part)]
        images = zip(table["prompt"], table["seed"], strict=True)
        if saved is not None and not all(image in saved for image in images):
            return False
        return all(damage(folder / name) is None for name in table["file"])

    def write(image: tuple[str, np.ndarray]) -> None:
        name, pixels = image
        with put_file(folder / name) as partial:
            Image.fromarray(pixels).save(partial, format="PNG")

    writing: Iterable[None] = ()  # one part's images are written while the next part is drawn
    with ThreadPoolExecutor(max_workers=1) as writer:
        for batch in progress(batches, desc=desc, unit=f"batch of {batch_size.wanted}"):
            if done(batch):
                continue
            for images in batch_size.each(batch, drawn, fit(batch) if fit else None):
                list(writing)  # one that could not be written ends the job
                writing = writer.map(write, images)
    list(writing)
    hashes = [sha256_file(folder / name) for name in rows["file"]]
    return rows.assign(sha256=hashes)[MANIFEST_COLUMNS]


def damage(path: Path) -> str | None:
    """What is wrong with a PNG, which has a checksum of each of its parts; None where it is whole."""
    try:
        with Image.open(path) as image:
            image.verify()
    except (*UNREADABLE, Image.DecompressionBombError) as error:
        return str(error)
    return None if path.read_bytes().endswith(PNG_END) else "its end is missing"


def _prepare(folder: Path, rows: pd.DataFrame, drawn_from: str) -> None:
    """Leave in a folder the images that need not be drawn again: of the same weights, settings and prompts.

    What a killed job left half-written is removed, and images of anything else are. Those that another shard
    has, since an earlier run had another number of shards, are taken from it: each is wanted by one shard
    only. What each image was drawn from stands beside the folder, in a note for each window length.
    """
    folder.mkdir(parents=True, exist_ok=True)
    remove_partials(folder)
    given = rows["begun"] if "begun" in rows else [""] * len(rows)
    keys = {
        name: hashlib.sha256(f"{drawn_from}\n{seed}\n{prompt}{begun}".encode()).hexdigest()
        for name, seed, prompt, begun in zip(rows["file"], rows["seed"], rows["prompt"], given, strict=True)
    }
    suffix = f"-W{rows['window'].iloc[0]}{NOTE_SUFFIX}"
    note = folder.parent / f".{folder.name}{suffix}"
    known = _read_note(note)
    for name, key in keys.items():
        if known.get(name) != key:
            (folder / name).unlink(missing_ok=True)
    write_json(note, {name: key for name, key in known.items() if (folder / name).exists()} | keys)
    if SHARD.fullmatch(folder.name):
        for other in sorted(set(folder.parent.glob(f".shard*{suffix}")) - {note}):
            theirs, place = _read_note(other), folder.parent / other.name[1 : -len(suffix)]
            for name, key in keys.items():
                if theirs.get(name) == key and not (folder / name).exists():
                    with suppress(FileNotFoundError):
                        os.replace(place / name, folder / name)


def _read_note(path: Path) -> dict[str, str]:
    """Image → what it was drawn from; nothing where there is no such note."""
    try:
        return dict(read_json(path))
    except (ValueError, TypeError):
        return {}


def render_left(
    backbone: Backbone,
    prompts: pd.DataFrame,
    folder: str | Path,
    shared: Sequence[str | Path],
    **settings: Any,
) -> pd.DataFrame:
    """Render (:func:`render_prompts`) what other jobs have not rendered with the same weights.

    Returns:
        The manifest's rows of all prompts, those of the manifests ``shared`` too; ``file`` is relative to
        ``folder``.
    """
    tables = []
    for path in map(Path, shared):
        place, rows = os.path.relpath(path.parent, folder), read_csv(path, MANIFEST_COLUMNS)
        tables.append(rows.assign(file=[f"{place}/{name}" for name in rows["file"]]))
    known = {prompt_id for table in tables for prompt_id in table["prompt_id"]}
    left = prompts[~prompts["prompt_id"].isin(known)]
    tables.append(render_prompts(backbone, left, folder, **settings))
    rows = pd.concat([table for table in tables if len(table)] or tables).set_index("prompt_id")
    return rows.loc[prompts["prompt_id"]].reset_index()[MANIFEST_COLUMNS]


def prompts_by_window(
    prompts: pd.DataFrame, own: int, windows: Sequence[int], window_prompts: int, samples: int = 1
) -> dict[int, pd.DataFrame]:
    """What is drawn with each window length of a fine-tuning: length → prompts with a column window.

    Args:
        prompts: evaluation prompts of the concept.
        own: the method's own length (0 for the original model), which comes first: drawn for all prompts.
        windows: all trained lengths; those other than ``own`` are drawn for the first target prompts only.
        window_prompts: how many of these.
        samples: images of each target and retention prompt with the own window.
    """
    others = first_targets(prompts, window_prompts)
    tables = {own: with_samples(prompts, samples)} | {window: others for window in windows if window != own}
    return {window: table.assign(window=window) for window, table in tables.items()}
