"""The visual filter (ECGVF, step 3): a kept pair shows the concept on its unsafe side only."""

from pathlib import Path
from typing import Any

import pandas as pd

from ear.errors import InputError
from ear.judges.base import SECOND_COLUMNS, Judge, image_batches
from ear.prompts.tables import PAIR_COLUMNS
from ear.workflow.files import read_csv

KEPT = "kept"  # the unsafe image shows the concept, the safe one does not
FALSE_NEGATIVE = "false negative"  # the unsafe image does not show the concept
FALSE_POSITIVE = "false positive"  # the safe image does
PAIR_VERDICT_COLUMNS = ["prompt_id", "prompt_set", "shown", "score", "threshold", "protocol"]
SECOND_PAIR_COLUMNS = [*SECOND_COLUMNS, "second_threshold"]


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
            f"wanted at least one: check the judge's threshold, and in the images how the backbone renders it"
        )
    return table[~failed] if drop else table, table.assign(reason=reasons)[failed]


def pair_outcomes(kept: pd.DataFrame, failed: pd.DataFrame) -> pd.DataFrame:
    """All candidate pairs of :func:`filter_pairs` with ``outcome``: KEPT, or the reason why one failed."""
    passed = kept[~kept["pair_id"].isin(failed["pair_id"])].assign(outcome=KEPT)
    return pd.concat([passed, failed.rename(columns={"reason": "outcome"})], ignore_index=True)


def pair_prompts(candidates: pd.DataFrame) -> pd.DataFrame:
    """Both sides of each pair as prompts: prompt_id, prompt_set, prompt, object (empty), window (0)."""
    sides = [
        pd.DataFrame(
            {
                "prompt_id": candidates["pair_id"] + f"/{side}",
                "prompt_set": side,
                "prompt": candidates[f"{side}_prompt"],
                "object": "",
                "window": 0,
            }
        )
        for side in ("unsafe", "safe")
    ]
    return pd.concat(sides, ignore_index=True)


def judge_pairs(manifest: str | Path, judge: Judge, second: Judge | None = None) -> pd.DataFrame:
    """Verdicts on the images of both sides of pairs, of a manifest; the filter does not listen to ``second``.

    Returns:
        One row an image, in the order of the manifest: ``PAIR_VERDICT_COLUMNS``, and with a second judge
        ``SECOND_PAIR_COLUMNS``. The thresholds are empty for judges that rank.
    """
    images = read_csv(manifest, ["prompt_id", "prompt_set", "file"])
    files = [Path(manifest).parent / name for name in images["file"]]
    judges = {"": judge} if second is None else {"": judge, "second_": second}
    parts = []
    for place, opened in image_batches(files, f"judging {len(files)} images"):
        rows = images.iloc[place]
        for prefix, one in judges.items():
            found = one.judge(opened)
            told: dict[str, Any] = {"shown": found.shown, "score": found.score}
            told |= {"threshold": one.threshold, "protocol": one.protocol}
            rows = rows.assign(**{prefix + name: value for name, value in told.items()})
        parts.append(rows)
    columns = [*PAIR_VERDICT_COLUMNS, *(SECOND_PAIR_COLUMNS if second else ())]
    return pd.concat(parts, ignore_index=True)[columns]
