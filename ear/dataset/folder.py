"""The folder of a data set, which appears whole."""

import shutil
from pathlib import Path

import pandas as pd

from ear.dataset.card import Making, Subject, dataset_card
from ear.dataset.tables import SIDES, held_out_table, pair_table, rejected_table
from ear.files import atomic_path, write_csv
from ear.prompts.tables import PAIR_COLUMNS

CARD = "README.md"
COPIED_PAIRS = 500
"""Pairs whose images are copied, at most: 8 MB of the mini world's, 300 MB at 384 px. Of more, seeds do."""


def write_dataset(
    folder: str | Path,
    subject: Subject,
    making: Making,
    *,
    pairs: pd.DataFrame,
    failed: pd.DataFrame,
    prompts: pd.DataFrame,
    aspects: pd.DataFrame,
    manifest: str | Path,
    images: pd.DataFrame,
    rejected: pd.DataFrame | None = None,
) -> None:
    """Write the data set of a concept.

    It holds data/train.csv (pairs), data/test.csv (prompts of the evaluation), rejected.csv, README.md and,
    of up to ``COPIED_PAIRS`` pairs of a concept that may be shown, images/ with both sides and metadata.csv.

    Args:
        folder: what is there is replaced.
        subject: what the data set is about.
        making: how it was made.
        pairs: what the visual filter left.
        failed: what failed it.
        prompts: of the evaluation, of all sets.
        aspects: what sources told of pairs.
        manifest: file that lists the images of both sides; they lie beside it.
        images: its rows: prompt_id, seed, file, sha256.
        rejected: what the checks rejected, if anything.

    Raises:
        InputError: a side of a pair has no image.
    """
    table = pair_table(pairs, failed, aspects, images)
    held_out, lost = held_out_table(prompts), rejected_table(pairs, failed, rejected)
    with_images = subject.kind != "unsafe" and len(table) <= COPIED_PAIRS
    with atomic_path(folder) as partial:
        write_csv(partial / "data/train.csv", table)
        write_csv(partial / "data/test.csv", held_out)
        write_csv(partial / "rejected.csv", lost)
        if with_images:
            _copy_images(partial / "images", table, images, Path(manifest).parent)
        card = dataset_card(subject, making, table, held_out, lost, with_images)
        (partial / CARD).write_text(card, encoding="utf-8")


def _copy_images(folder: Path, table: pd.DataFrame, images: pd.DataFrame, of: Path) -> None:
    """Both sides of each pair, and metadata.csv in the form that loaders of image folders read.

    File names are numbers: a pair's id may hold "train" or "test", which loaders take for a split.
    """
    folder.mkdir(parents=True)
    files = images.set_index("prompt_id")["file"]
    rows = table[[*PAIR_COLUMNS, *(f"{side}_seed" for side in SIDES)]].copy()
    for side in SIDES:
        names = [f"{number:05d}-{side}.png" for number in range(len(table))]
        for name, pair_id in zip(names, table["pair_id"], strict=True):
            shutil.copyfile(of / files[f"{pair_id}/{side}"], folder / name)
        rows.insert(0, f"{side}_file_name", names)
    write_csv(folder / "metadata.csv", rows)
