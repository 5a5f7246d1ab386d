"""The visual filter (ECGVF, step 3): a kept pair shows the concept on its unsafe side only."""

from pathlib import Path

import numpy as np
import pandas as pd

from ear.errors import InputError
from ear.files import read_csv
from ear.judges.base import Judge
from ear.judges.images import image_batches
from ear.prompts.tables import PAIR_COLUMNS

FALSE_NEGATIVE = "false negative"  # the unsafe image does not show the concept
FALSE_POSITIVE = "false positive"  # the safe image does


def filter_pairs(
    candidates: pd.DataFrame, verdicts: pd.DataFrame, drop: bool
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split candidate pairs by what the frozen model draws for them.

    Args:
        candidates: ``PAIR_COLUMNS``.
        verdicts: one row an image; prompt_id ("<pair id>/unsafe" or "/safe"), shown (bool), score in [0, 1].
        drop: whether pairs that fail are taken out of the kept ones.

    Returns:
        (kept, failed), in the order of the candidates, both with unsafe_score and safe_score; failed with the
        reason: a false negative, a false positive or both.

    Raises:
        InputError: no pair would be kept.
    """
    by_id = verdicts.set_index("prompt_id")
    unsafe, safe = (
        by_id.loc[[pair_id + side for pair_id in candidates["pair_id"]]].reset_index(drop=True)
        for side in ("/unsafe", "/safe")
    )
    table = candidates[PAIR_COLUMNS].reset_index(drop=True)
    table = table.assign(unsafe_score=unsafe["score"], safe_score=safe["score"])
    missed, leaked = ~unsafe["shown"], safe["shown"]
    reasons = [
        " and ".join(name for name, holds in ((FALSE_NEGATIVE, miss), (FALSE_POSITIVE, leak)) if holds)
        for miss, leak in zip(missed, leaked, strict=True)
    ]
    failed = missed | leaked
    if drop and failed.all():
        raise InputError(
            f"{table['concept'].iloc[0]}: found no pair of {len(table)} that passes the visual filter, "
            f"wanted at least one; the backbone draws the concept badly or the judge does not know it"
        )
    return table[~failed] if drop else table, table.assign(reason=reasons)[failed]


def pair_prompts(candidates: pd.DataFrame) -> pd.DataFrame:
    """Both sides of each pair as prompts: prompt_id, prompt_set, prompt, object (empty), window (0)."""
    sides = [
        candidates[["pair_id"]].assign(
            prompt_id=candidates["pair_id"] + f"/{side}",
            prompt_set=side,
            prompt=candidates[f"{side}_prompt"],
            object="",
            window=0,
        )
        for side in ("unsafe", "safe")
    ]
    return pd.concat(sides, ignore_index=True).drop(columns="pair_id")


def judge_pairs(manifest: str | Path, judge: Judge) -> pd.DataFrame:
    """Verdicts on the images of a manifest: one row an image; prompt_id, shown, score."""
    images = read_csv(manifest, ["prompt_id", "file"])
    files = [Path(manifest).parent / name for name in images["file"]]
    verdicts = [judge.judge(opened) for _, opened in image_batches(files, f"judging {len(files)} images")]
    return images[["prompt_id"]].assign(
        shown=np.concatenate([batch.shown for batch in verdicts]),
        score=np.concatenate([batch.score for batch in verdicts]),
    )
