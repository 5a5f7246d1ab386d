"""Published values beside ours, as the page shows them."""

import math
from dataclasses import dataclass

import pandas as pd

from ear.figures.style import concept_title, method_style


@dataclass(frozen=True)
class PublishedLine:
    """A published value and ours: all texts but the verdict's name, which the page also colours by."""

    concept: str
    method: str
    quantity: str
    published: str
    reproduced: str
    interval: str
    verdict: str
    note: str


def published_lines(deviations: pd.DataFrame) -> list[PublishedLine]:
    """The rows of tables/deviations.csv, in their order."""
    return [
        PublishedLine(
            concept=concept_title(str(row["concept"])),
            method=method_style(str(row["method"])).label,
            quantity=str(row["quantity"]).replace("_", " "),
            published=("< " if math.isnan(row["tolerance"]) else "") + _number(row["published"]),
            reproduced=_number(row["reproduced"]),
            interval=""
            if math.isnan(row["ci_low"])
            else f"[{_number(row['ci_low'])}, {_number(row['ci_high'])}]",
            verdict=str(row["verdict"]),
            note="" if pd.isna(row["note"]) else str(row["note"]),
        )
        for row in deviations.to_dict(orient="records")
    ]


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
