"""The last lines of a run: concept rate and accuracy before and after, and where the report is."""

import csv
from collections.abc import Sequence
from pathlib import Path

from ear.evaluation.protocols import RETENTION, RIGHT, SHOWN, TARGET
from ear.workflow.seeding import ALL_SEEDS, ORIGINAL

_COLUMNS = (("concept rate", TARGET, SHOWN), ("retention accuracy", RETENTION, RIGHT))


def summary(metrics: str | Path, report: str | Path, concepts: Sequence[str], method: str) -> str:
    """A row a concept, then the report's path.

    Args:
        metrics: the table of metrics; without it there is nothing to say.
        report: the report page.
        concepts: in the order of the rows.
        method: the one that is shown beside the original, with its 95 % interval.
    """
    if not Path(metrics).exists():
        return ""
    with open(metrics, encoding="utf-8", newline="") as file:
        rows = {
            (row["concept"], row["method"], row["prompt_set"], row["metric"]): row
            for row in csv.DictReader(file)
            if row["seed"] == ALL_SEEDS
        }
    cells = [["", *(f"{heading}, {ORIGINAL} → {method}" for heading, *_ in _COLUMNS)]]
    for concept in concepts:
        pairs = [
            [rows.get((concept, name, prompts, metric)) for name in (ORIGINAL, method)]
            for _, prompts, metric in _COLUMNS
        ]
        cells.append([concept, *(f"{_value(before)} → {_interval(after)}" for before, after in pairs)])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["   ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) for row in cells]
    return "\n".join(["", *(line.rstrip() for line in lines), "", str(report)])


def _value(row: dict[str, str] | None) -> str:
    return f"{float(row['value']):.3f}" if row and row["value"] else "-"


def _interval(row: dict[str, str] | None) -> str:
    ends = f" [{float(row['ci_low']):.3f}, {float(row['ci_high']):.3f}]" if row and row["ci_low"] else ""
    return _value(row) + ends
