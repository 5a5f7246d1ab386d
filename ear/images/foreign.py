"""Images that were made elsewhere become those of a method: each is of a prompt, by its name or a table."""

import logging
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from ear.errors import InputError
from ear.images.reading import open_image
from ear.images.rendering import MANIFEST_COLUMNS, damage, image_rows, shard_rows
from ear.workflow.files import atomic_path, column_names, read_csv, sha256_file, write_csv
from ear.workflow.progress import progress

MANIFEST = "manifest.csv"
PNG_START = b"\x89PNG\r\n\x1a\n"
PAGE = "see docs/how-to/foreign-images.md"

logger = logging.getLogger(__name__)


def import_images(
    folder: str | Path,
    files: Iterable[str | Path],
    prompts: pd.DataFrame,
    shards: Sequence[Path],
    experiment_seed: int,
    desc: str,
) -> None:
    """Copy a concept's images as they are, and write a manifest of each shard.

    A prompt set is taken whole or, without any image, not at all.

    Args:
        folder: where they are.
        files: all files in it.
        prompts: columns prompt_id, prompt_set, prompt, object; a row for each image that a method may have.
        shards: folders, each of which appears whole in place of what is there.
        experiment_seed: of our own images. Nothing was drawn with it here: the seeds in the manifest say
            which images of other methods an image is shown beside.
        desc: label of the progress bar.

    Raises:
        InputError: an image is damaged, of no prompt or of one that has another; a prompt set lacks some
            of its images, or the target prompts all of theirs.
    """
    folder = Path(folder)
    paths = {Path(path).relative_to(folder).as_posix(): Path(path) for path in files}
    rows = image_rows(prompts.assign(window=0), experiment_seed)
    names = _listed(paths[MANIFEST], rows) if MANIFEST in paths else _named(folder, paths, rows)
    for name in names.values():
        if name not in paths:
            raise InputError(f"{folder / MANIFEST}: file: found {name!r}, wanted a file in {folder}")
    rows = _whole_sets(folder, rows, names)
    sources = [paths[names[prompt_id]] for prompt_id in rows["prompt_id"]]
    rows["file"] = [f"{Path(own).stem}{path.suffix}" for own, path in zip(rows["file"], sources, strict=True)]
    rows["source"] = list(map(str, sources))
    for number, shard in enumerate(shards):
        part = shard_rows(rows, number, len(shards))
        copies, hashes = list(zip(part["source"], part["file"], strict=True)), []
        with atomic_path(shard) as partial:
            partial.mkdir()
            for source, name in progress(copies, desc=f"{desc}, shard {number}", unit="image"):
                _check_whole(Path(source))
                shutil.copyfile(source, partial / name)
                hashes.append(sha256_file(partial / name))
            write_csv(partial / MANIFEST, part.assign(sha256=hashes)[MANIFEST_COLUMNS])


def _named(folder: Path, names: Iterable[str], rows: pd.DataFrame) -> dict[str, str]:
    """Id of a prompt → the file that is named like our own image of it."""
    ids = {Path(own).stem: prompt_id for own, prompt_id in zip(rows["file"], rows["prompt_id"], strict=True)}
    unknown = [name for name in names if Path(name).stem not in ids]
    _check_known(folder, unknown, f"names of prompts, as {next(iter(ids))}.png, or a {MANIFEST}")
    return _once(folder, [(ids[Path(name).stem], name) for name in names])


def _listed(path: Path, rows: pd.DataFrame) -> dict[str, str]:
    """Id of a prompt → its file in a table; the further rows of one text are its further images."""
    table = read_csv(path, ["file"])
    key = next((name for name in ("prompt_id", "prompt") if name in table), None)
    if key is None:
        raise InputError(f"{path}: found columns {column_names(table)}, wanted also prompt_id or prompt")
    for column in (key, "file"):
        if table[column].isna().any():
            raise InputError(f"{path}: {column}: found an empty cell, wanted none")
    texts, files = table[key].astype(str), table["file"].astype(str)
    wanted = rows["prompt_id"] if key == "prompt_id" else _numbered(rows["prompt"])
    ids = dict(zip(wanted, rows["prompt_id"], strict=True))
    found = list(zip(texts if key == "prompt_id" else _numbered(texts), files, strict=True))
    unknown = [text for (one, _), text in zip(found, texts, strict=True) if one not in ids]
    _check_known(f"{path}: {key}", unknown, "prompts of the experiment, each as often as it has images")
    return _once(path, [(ids[one], name) for one, name in found])


def _numbered(texts: pd.Series) -> list[tuple[str, int]]:
    """Each text with the number of times that it came before."""
    return list(zip(texts, texts.groupby(texts).cumcount(), strict=True))


def _check_known(where: object, unknown: Sequence[str], wanted: str) -> None:
    if unknown:
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise InputError(f"{where}: found {unknown[0]!r}{more}, wanted {wanted}: {PAGE}")


def _once(where: Path, named: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for prompt_id, name in named:
        if prompt_id in found:
            raise InputError(
                f"{where}: found {found[prompt_id]} and {name} for {prompt_id}, wanted one image"
            )
        found[prompt_id] = name
    return found


def _whole_sets(folder: Path, rows: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """The rows of all prompt sets that have their images."""
    there = rows["prompt_id"].isin(names)
    for name, of_set in there.groupby(rows["prompt_set"], sort=False):
        if of_set.all():
            continue
        if of_set.any() or name == "target":
            lacking = rows.loc[of_set.index[~of_set], "prompt_id"].iloc[0]
            wanted = "all" if name == "target" else "all or none"
            raise InputError(
                f"{folder}: found {of_set.sum()} of {len(of_set)} images of the {name} prompts, "
                f"none for {lacking}, wanted {wanted}: {PAGE}"
            )
        logger.info("no images of the %s prompts: what they measure stays unknown", name)
    return rows[there].reset_index(drop=True)


def _check_whole(path: Path) -> None:
    """Decode an image; a PNG has checksums beside."""
    open_image(path)
    with path.open("rb") as handle:
        png = handle.read(len(PNG_START)) == PNG_START
    if png and (fault := damage(path)):
        raise InputError(f"{path}: {fault}, wanted a whole image")
