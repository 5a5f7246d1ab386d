"""What models saw in a job's images, kept in whole parts: killed, the job goes on from them."""

import hashlib
import shutil
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from ear.errors import InputError
from ear.judges.base import BATCH, image_batches
from ear.workflow.files import atomic_path

PART = 16
"""Batches of a part: what a killed job loses at most."""
PROTOCOL, NAMES = "protocol", "names"
UNREADABLE = (OSError, EOFError, ValueError, AttributeError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What NumPy and zipfile raise of a damaged .npz."""

Arrays = dict[str, np.ndarray]
"""Name → array with a row an image; ``PROTOCOL`` → a text, of all of them."""


@dataclass(frozen=True)
class Look:
    """What one model is asked of every image.

    Attributes:
        name: short, for a file's name.
        protocol: name and version of what is asked.
        weights: all else that the answers depend on: the model's weights and settings, in any form.
        see: (rows of images, the images) → arrays with a row an image.
    """

    name: str
    protocol: str
    weights: str
    see: Callable[[pd.DataFrame, Sequence[Image.Image]], Arrays]


@dataclass(frozen=True)
class Parts:
    """The finished parts of a job.

    Attributes:
        folder: where they are, one file a part and look.
        made_by: fingerprint of the code; parts of other code are not taken.
    """

    folder: Path
    made_by: str = ""

    def key(self, look: Look, rows: pd.DataFrame) -> str:
        """What a part depends on: code, protocol, weights, the images' hashes and their prompts."""
        digest = hashlib.sha256(f"{self.made_by}\n{look.protocol}\n{look.weights}\n".encode())
        for image, prompt in zip(rows["sha256"], rows["prompt"], strict=True):
            digest.update(f"{image} {prompt}\n".encode())
        return digest.hexdigest()

    def read(self, name: str, key: str) -> Arrays | None:
        """A part's arrays; None where it is not there, is damaged or depends on anything else."""
        try:
            arrays = read_arrays(self.folder / f"{name}.npz")
        except InputError:
            return None
        found = arrays.pop("key", None)
        return arrays if found is not None and str(found) == key else None

    def write(self, name: str, key: str, arrays: Arrays) -> None:
        """Keep a part; it appears whole."""
        write_arrays(self.folder / f"{name}.npz", {**arrays, "key": np.array(key)})

    def remove(self) -> None:
        """Remove all parts: what they are for is written."""
        shutil.rmtree(self.folder, ignore_errors=True)


def look_at(
    images: pd.DataFrame, looks: Sequence[Look], parts: Parts, group: str, batch_size: int = BATCH
) -> dict[str, Arrays]:
    """Ask models of images, each image opened once for all of them.

    Batches are the same however often the job was killed, so that answers that depend on them in their last
    bits are the same too.

    Args:
        images: columns file, prompt, sha256 and what the looks read.
        looks: what is asked.
        parts: what an earlier try kept, and where this one keeps its own.
        group: name of these images among those of the job.
        batch_size: images in memory at once.

    Returns:
        Look → its arrays, rows in the order of ``images``.
    """
    if images.empty or not looks:
        return {}
    found: dict[str, list[Arrays]] = {look.name: [] for look in looks}
    size = PART * batch_size
    for start in range(0, len(images), size):
        rows = images.iloc[start : start + size]
        of_part = {look.name: (f"{group}-{look.name}-{start}", parts.key(look, rows)) for look in looks}
        kept = {look.name: parts.read(*of_part[look.name]) for look in looks}
        missing = [look for look in looks if kept[look.name] is None]
        if missing:
            desc = f"judging {group} images {start + 1} to {start + len(rows)} of {len(images)}"
            for name, arrays in _seen(rows, missing, desc, batch_size).items():
                parts.write(*of_part[name], arrays)
                kept[name] = arrays
        for name, arrays_of_part in kept.items():
            if arrays_of_part is not None:
                found[name].append(arrays_of_part)
    return {look.name: _joined(found[look.name]) | {PROTOCOL: np.array(look.protocol)} for look in looks}


def _seen(rows: pd.DataFrame, looks: Sequence[Look], desc: str, batch_size: int) -> dict[str, Arrays]:
    seen: dict[str, list[Arrays]] = {look.name: [] for look in looks}
    for place, opened in image_batches(rows["file"].tolist(), desc, batch_size):
        for look in looks:
            seen[look.name].append(look.see(rows.iloc[place], opened))
    return {name: _joined(arrays) for name, arrays in seen.items()}


def _joined(arrays: Sequence[Arrays]) -> Arrays:
    return {name: np.concatenate([one[name] for one in arrays]) for name in arrays[0]}


def write_arrays(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays as .npz, atomically."""
    with atomic_path(path) as partial, open(partial, "wb") as handle:
        np.savez(handle, allow_pickle=False, **{NAMES: np.array(sorted(arrays), dtype=str)}, **arrays)


def read_arrays(path: str | Path) -> Arrays:
    """Read what :func:`write_arrays` wrote.

    Raises:
        InputError: the file is missing or damaged.
    """
    wanted = "wanted whole arrays (.npz); remove it and run again"
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except UNREADABLE as error:
        raise InputError(f"{path}: {error}, {wanted}") from None
    # A zip archive has checksums of what it holds, and none of the names.
    if arrays.pop(NAMES, np.array([])).tolist() != sorted(arrays):
        raise InputError(f"{path}: found {', '.join(sorted(arrays))}, {wanted}")
    return arrays
