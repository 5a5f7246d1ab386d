"""A concept's prompt pairs as a data set: pairs, held-out prompts, pictures, and a card in the hub's form."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from huggingface_hub import DatasetCard, DatasetCardData

from ear.errors import InputError
from ear.prompts.minors import UNSAFE
from ear.prompts.tables import PAIR_COLUMNS
from ear.workflow.files import atomic_path, write_csv

TEMPLATE = Path(__file__).with_name("dataset_card.md.j2")
SIDES = ("unsafe", "safe")
SCORES = ["unsafe_score", "safe_score"]
HELD_OUT = ("target", "retention")
COPIED_PAIRS = 500
"""Pairs whose images are copied, at most: 8 MB of the mini world's, 300 MB at 384 px. Of more, seeds do."""


def write_dataset(
    folder: str | Path,
    making: Mapping[str, Any],
    *,
    pairs: pd.DataFrame,
    failed: pd.DataFrame,
    prompts: pd.DataFrame,
    images: pd.DataFrame,
    pictures: str | Path,
) -> None:
    """Write the data set of a concept; its folder appears whole.

    It holds data/train.csv (pairs), data/test.csv (prompts of the evaluation), README.md and, of up to
    ``COPIED_PAIRS`` pairs of a concept that may be shown, images/ with both sides and metadata.csv.

    Args:
        folder: of the data set; what is there is replaced.
        making: what the card says of it: experiment, kind and words of the concept, licence of the texts (an
            identifier of the hub's, or "other"), judge and drop of the visual filter, backbone, guidance and
            temperature.
        pairs: those that are trained on: ``PAIR_COLUMNS`` and ``SCORES``.
        failed: those that failed the visual filter, with a reason; pairs that were not dropped are in both.
        prompts: of the evaluation, of all sets.
        images: rows of the manifest of both sides' images: prompt_id, seed, file, sha256.
        pictures: the folder where these images lie.

    Raises:
        InputError: a side of a pair has no image.
    """
    table = _pair_table(pairs, failed, images.set_index("prompt_id"))
    held_out = prompts[prompts["prompt_set"].isin(HELD_OUT)]
    shown = making["kind"] != UNSAFE and len(table) <= COPIED_PAIRS
    with atomic_path(folder) as partial:
        if shown:
            _copy_images(partial / "images", table, images.set_index("prompt_id")["file"], Path(pictures))
        write_csv(partial / "data/train.csv", table)
        write_csv(partial / "data/test.csv", held_out)
        card = _card(making, table, held_out, shown)
        (partial / "README.md").write_text(str(card), encoding="utf-8")


def _pair_table(pairs: pd.DataFrame, failed: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """The pairs, the filter's reason (empty where it has none), and seed and hash of each side's image."""
    reasons = failed.set_index("pair_id")["reason"]
    table = pairs[[*PAIR_COLUMNS, *SCORES]].assign(reason=pairs["pair_id"].map(reasons))
    for side in SIDES:
        ids = table["pair_id"] + f"/{side}"
        if missing := sorted(set(ids) - set(images.index)):
            raise InputError(f"manifest: found no image of {missing[0]}, wanted one for each prompt")
        for column in ("seed", "sha256"):
            table[f"{side}_{column}"] = ids.map(images[column])
    return table


def _copy_images(folder: Path, table: pd.DataFrame, files: pd.Series, pictures: Path) -> None:
    """Both sides of each pair, and metadata.csv in the form that loaders of image folders read.

    File names are numbers: a pair's id may hold "train" or "test", which loaders take for a split.
    """
    folder.mkdir(parents=True)
    names = {side: [f"{number:05d}-{side}.png" for number in range(len(table))] for side in SIDES}
    for side in SIDES:
        for name, pair_id in zip(names[side], table["pair_id"], strict=True):
            shutil.copyfile(pictures / files[f"{pair_id}/{side}"], folder / name)
    columns = {f"{side}_file_name": names[side] for side in SIDES}
    write_csv(folder / "metadata.csv", table[PAIR_COLUMNS].assign(**columns))


def _card(making: Mapping[str, Any], table: pd.DataFrame, held_out: pd.DataFrame, shown: bool) -> DatasetCard:
    """The card. All of its configs are CSV: the hub reads the configs of a data set by one builder."""
    data = DatasetCardData(
        pretty_name=f"Prompt pairs for erasing {making['words']}",
        license=making["licence"],
        language=["en"],
        task_categories=["text-to-image"],
        tags=["concept-erasure", "prompt-pairs", *(["not-for-all-audiences"] * (making["kind"] == UNSAFE))],
        configs=[
            {"config_name": name, "data_files": [{"split": split, "path": f"data/{split}.csv"}], **also}
            for name, split, also in (("pairs", "train", {"default": True}), ("evaluation", "test", {}))
        ],
    )
    return DatasetCard.from_template(
        data,
        template_path=str(TEMPLATE),
        **making,
        pairs=len(table),
        failed=int(table["reason"].notna().sum()),
        sources=table["source"].value_counts(sort=False).to_dict(),
        sets=held_out["prompt_set"].value_counts(sort=False).to_dict(),
        shown=shown,
        example=table.iloc[0].to_dict(),
    )
