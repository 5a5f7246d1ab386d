"""The main table of the results: a row a concept and method, as numbers, Markdown and LaTeX."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ear.metrics import latex
from ear.metrics.table import lookup
from ear.names import ALL_SEEDS


@dataclass(frozen=True)
class _Column:
    name: str
    heading: str
    prompt_set: str
    metric: str
    decimals: int


_COLUMNS = (
    _Column("concept_rate", "Concept rate", "target", "concept_rate", 3),
    _Column("second_concept_rate", "Concept rate, second judge", "target", "second_concept_rate", 3),
    _Column("retention_accuracy", "Retention accuracy", "retention", "accuracy", 3),
    _Column("clip_score", "CLIP score", "general", "clip_score", 2),
    _Column("fid", "FID", "general", "fid", 2),
    _Column("bleu", "BLEU", "captions", "bleu", 2),
)


def main_table(metrics: pd.DataFrame) -> pd.DataFrame:
    """The main results, seeds together.

    Concept rate, by one judge or two, on the target prompts, object accuracy on the retention prompts, CLIP
    score and FID on the general prompts, BLEU of captions.

    Args:
        metrics: the metrics table (``ear.metrics.table.metrics_table``).

    Returns:
        Columns concept, method, seeds (their number) and for each metric its value, ``<metric>_low`` and
        ``<metric>_high``; rows in the order of ``metrics``. What was not measured is NaN.
    """
    rows = []
    single = metrics[metrics["seed"].astype(str) != ALL_SEEDS]
    for concept, method in metrics[["concept", "method"]].drop_duplicates().itertuples(index=False):
        seeds = single.loc[(single["concept"] == concept) & (single["method"] == method), "seed"].nunique()
        row: dict[str, str | float] = {"concept": concept, "method": method, "seeds": seeds}
        for column in _COLUMNS:
            interval = lookup(
                metrics,
                concept=concept,
                method=method,
                seed=ALL_SEEDS,
                prompt_set=column.prompt_set,
                metric=column.metric,
            )
            row |= {
                column.name: interval.value,
                f"{column.name}_low": interval.low,
                f"{column.name}_high": interval.high,
            }
        rows.append(row)
    return pd.DataFrame(rows)


def to_markdown(main: pd.DataFrame) -> str:
    """The main table as a Markdown pipe table of cells "value [low, high]", without columns of nothing."""
    columns = _measured(main)
    rows = [
        [row["concept"], row["method"], str(row["seeds"]), *(_cell(row, column) for column in columns)]
        for row in main.to_dict(orient="records")
    ]
    headings = ["Concept", "Method", "Seeds", *(column.heading for column in columns)]
    frame = pd.DataFrame(rows, columns=headings)
    return frame.to_markdown(index=False, tablefmt="pipe", disable_numparse=True) + "\n"


def to_latex(main: pd.DataFrame) -> str:
    """The main table as a LaTeX ``tabular`` with booktabs, special characters escaped, a block a concept."""
    columns = _measured(main)
    headings = [["Concept"], ["Method"], ["Seeds"]]
    headings += [[latex.escape(line) for line in column.heading.split(", ")] for column in columns]
    blocks = []
    for concept, group in main.groupby("concept", sort=False):
        block: list[list[str]] = []
        for row in group.to_dict(orient="records"):
            numbers = []
            for column in columns:
                value, low, high = (row[column.name + end] for end in ("", "_low", "_high"))
                numbers.append(latex.cell(value, low, high, column.decimals))
            named = latex.escape(str(concept)) if not block else ""
            block.append([named, latex.escape(row["method"]), str(row["seeds"]), *numbers])
        blocks.append(block)
    return latex.tabular(headings, blocks, names=2)


def _measured(main: pd.DataFrame) -> list[_Column]:
    return [column for column in _COLUMNS if main[column.name].notna().any()]


def _cell(row: dict, column: _Column) -> str:
    value, low, high = (row[column.name + end] for end in ("", "_low", "_high"))
    if np.isnan(value):
        return "-"
    text = f"{value:.{column.decimals}f}"
    return text if np.isnan(low) else f"{text} [{low:.{column.decimals}f}, {high:.{column.decimals}f}]"
