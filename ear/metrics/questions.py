"""Accuracy of yes/no answers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ear.files import read_csv
from ear.metrics.intervals import wilson
from ear.metrics.table import score_row

COLUMNS = ("image_id", "about", "words", "wanted", "answered")
PROTOCOL = "yes-no/1"


def question_rows(answers: Sequence[str | Path]) -> list[dict[str, Any]]:
    """Share of right answers, about the concept and about other things; no row of what was not asked.

    As many questions want a yes as a no, or nearly: a model that always answers alike is right in half of
    them.

    Args:
        answers: tables with columns ``COLUMNS``, the shards of one model.
    """
    if not answers:
        return []
    table = pd.concat([read_csv(path, COLUMNS) for path in answers], ignore_index=True)
    rows = []
    for about, found in table.groupby("about", sort=True):
        right = int((found["answered"] == found["wanted"]).sum())
        rows.append(score_row("accuracy", f"questions-{about}", wilson(right, len(found)), PROTOCOL))
    return rows
