"""The tables of a data set: pairs that are trained on, prompts that are held out, and what was rejected."""

import re
import unicodedata

import pandas as pd

from ear.errors import InputError
from ear.prompts.checks import ASPECTS
from ear.prompts.coverage import ASPECT_COLUMNS
from ear.prompts.tables import PAIR_COLUMNS, PROMPT_COLUMNS

SIDES = ("unsafe", "safe")
SCORES = ["unsafe_score", "safe_score"]
REJECTED_COLUMNS = ["stage", "source", "unsafe_prompt", "safe_prompt", *SCORES, "reason"]
CHECKS, VISUAL_FILTER = "checks", "visual filter"
HELD_OUT = ("target", "retention")
_FORMULA = re.compile(r"\s*[=+\-@]|[\t\r]")


def pair_table(
    pairs: pd.DataFrame, failed: pd.DataFrame, aspects: pd.DataFrame, images: pd.DataFrame
) -> pd.DataFrame:
    """Pairs that are trained on.

    Args:
        pairs: what the visual filter left: ``PAIR_COLUMNS`` and ``SCORES``.
        failed: what failed it, with a reason; pairs that were not dropped are in both.
        aspects: what sources told of them (``ear.prompts.coverage.ASPECT_COLUMNS``); may be empty.
        images: manifest of the images of both sides: prompt_id ("<pair id>/unsafe", "/safe"), seed, sha256.

    Returns:
        ``PAIR_COLUMNS``, the aspects (empty where not told), ``SCORES``, reason (of the visual filter; empty
        where it is passed), and seed and sha256 of each side's image.

    Raises:
        InputError: a side has no image.
    """
    told = (
        aspects[ASPECT_COLUMNS]
        .drop_duplicates(["pair_id", "aspect"])
        .pivot(index="pair_id", columns="aspect", values="value")
    )
    table = pairs[[*PAIR_COLUMNS, *SCORES]].join(told.reindex(columns=list(ASPECTS)), on="pair_id")
    reasons = failed.set_index("pair_id")["reason"]
    table = table.assign(reason=table["pair_id"].map(reasons))
    of_image = images.set_index("prompt_id")
    for side in SIDES:
        ids = table["pair_id"] + f"/{side}"
        if missing := sorted(set(ids) - set(of_image.index)):
            raise InputError(f"manifest: found no image of {missing[0]}, wanted one of each side")
        for column in ("seed", "sha256"):
            table[f"{side}_{column}"] = of_image[column].loc[ids].to_numpy()
    columns = [f"{side}_{column}" for side in SIDES for column in ("seed", "sha256")]
    return table[[*PAIR_COLUMNS, *ASPECTS, *SCORES, "reason", *columns]].reset_index(drop=True)


def held_out_table(prompts: pd.DataFrame) -> pd.DataFrame:
    """Prompts of the evaluation that are the concept's own: those that name it, and those that do not."""
    return prompts.loc[prompts["prompt_set"].isin(HELD_OUT), PROMPT_COLUMNS].reset_index(drop=True)


def rejected_table(
    pairs: pd.DataFrame, failed: pd.DataFrame, by_checks: pd.DataFrame | None = None
) -> pd.DataFrame:
    """What was rejected on the way (``REJECTED_COLUMNS``), by the checks and then by the visual filter.

    Args:
        pairs: what the visual filter left.
        failed: what failed it; those that are in ``pairs`` all the same are no rejected ones.
        by_checks: source, unsafe_prompt, safe_prompt and reason of what the checks rejected, if anything.
    """
    dropped = failed[~failed["pair_id"].isin(pairs["pair_id"])].assign(stage=VISUAL_FILTER)
    tables = [dropped] if by_checks is None else [by_checks.assign(stage=CHECKS), dropped]
    return pd.concat(
        [table.reindex(columns=REJECTED_COLUMNS).astype(object) for table in tables], ignore_index=True
    )


def formula_cells(table: pd.DataFrame) -> int:
    """Number of texts that a spreadsheet takes for a formula; the checks leave none, published files may."""
    cells = table.select_dtypes(exclude="number").to_numpy().flat
    texts = [cell for cell in cells if isinstance(cell, str)]
    return sum(bool(_FORMULA.match(unicodedata.normalize("NFKC", text))) for text in texts)
