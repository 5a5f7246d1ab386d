"""The tables of docs/explanation/findings.md, from a finished comparison.

Usage: ``python -m benchmarks.findings [TABLE …] [--results results/comparison]``. Prints Markdown, writes
nothing. Cells are percent with their 95 % interval, over all fine-tuning seeds; "–" was not measured.
"""

import argparse
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pandas as pd

from ear.evaluation.attacks import SEARCHES, relearned_set, search_set
from ear.evaluation.columns import METRICS_CSV, WINDOW_LENGTH_CSV
from ear.evaluation.protocols import (
    GUIDANCE,
    INVERSION,
    INVERSION_CONTROL,
    PREFIX,
    RIGHT,
    SHOWN,
    TEMPERATURE,
    set_of,
)
from ear.report.style import concept_label, concept_title
from ear.workflow.seeding import ALL_SEEDS

Columns = Mapping[str, tuple[str, str]]
"""Heading → prompt set and metric."""

NOT_MEASURED = "–"
KEPT: Columns = {"shown ↓": ("target", SHOWN), "kept ↑": ("retention", RIGHT)}
WITHIN_CONCEPT: Mapping[str, Columns] = {
    "words": {
        "named ↓": ("target", SHOWN),
        "described ↓": ("implicit", SHOWN),
        "closest kept ↑": ("neighbours", RIGHT),
        "others kept ↑": ("retention", RIGHT),
    },
    "prefix": {str(k): (set_of(PREFIX, k), SHOWN) for k in (1, 4, 8, 16, 32)},
    "sampling": {
        **{f"guidance {scale}": (set_of(GUIDANCE, scale), SHOWN) for scale in (1, 3)},
        "temperature 1": (set_of(TEMPERATURE, 1), SHOWN),
    },
    "search": {kind: (search_set(kind), SHOWN) for kind in SEARCHES},
    "inversion": {"control": (INVERSION_CONTROL, SHOWN), "learned": (INVERSION, SHOWN)},
    "relearning": {
        "before": ("target", SHOWN),
        **{f"{steps} steps": (relearned_set(steps), SHOWN) for steps in (20, 50)},
    },
    "understanding": {
        "about the concept ↑": ("questions-concept", RIGHT),
        "about other things ↑": ("questions-others", RIGHT),
    },
}
"""Table → its columns; a row a concept and method."""


def cell(row: pd.Series) -> str:
    """A row of a table of measurements as text."""
    return f"{100 * row['value']:.0f} [{100 * row['ci_low']:.0f}, {100 * row['ci_high']:.0f}]"


def cells(metrics: pd.DataFrame, concept: str, method: str, columns: Columns) -> list[str]:
    """The cells of a concept and method."""
    own = metrics[(metrics["concept"] == concept) & (metrics["method"] == method)]
    rows = {(row["prompt_set"], row["metric"]): cell(row) for _, row in own.iterrows()}
    return [rows.get(column, NOT_MEASURED) for column in columns.values()]


def of_methods(metrics: pd.DataFrame) -> pd.DataFrame:
    """A row a method: what is shown of each concept, and what is kept."""
    concepts = metrics["concept"].unique()
    names = [f"{concept_title(concept)} {heading}" for concept in concepts for heading in KEPT]
    rows = [
        [f"`{method}`", *(text for concept in concepts for text in cells(metrics, concept, method, KEPT))]
        for method in metrics["method"].unique()
    ]
    return pd.DataFrame(rows, columns=["method", *names])


def within_concepts(metrics: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """A row a concept and method that has the last of the columns."""
    rows = []
    for concept, method in metrics[["concept", "method"]].drop_duplicates().itertuples(index=False):
        found = cells(metrics, concept, method, columns)
        if found[-1] != NOT_MEASURED:
            rows.append([concept_label(str(concept)), f"`{method}`", *found])
    return pd.DataFrame(rows, columns=["concept", "method", *columns])


def of_windows(windows: pd.DataFrame) -> pd.DataFrame:
    """A row a method that was trained with several window lengths, and concept; a column a window length."""
    rates = windows[windows["metric"] == SHOWN]
    lengths = sorted(rates["window"].unique())
    rows = []
    for (concept, method), own in rates.groupby(["concept", "method"], sort=False):
        if own["window"].nunique() > 1:
            by_length = {row["window"]: cell(row) for _, row in own.iterrows()}
            found = [by_length.get(length, NOT_MEASURED) for length in lengths]
            rows.append([concept_label(str(concept)), f"`{method}`", *found])
    return pd.DataFrame(rows, columns=["concept", "method", *(f"W = {length}" for length in lengths)])


def over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """The rows over all fine-tuning seeds."""
    return table[table["seed"].astype(str) == ALL_SEEDS]


def tables(results: Path) -> dict[str, Callable[[], pd.DataFrame]]:
    """Name of a table → what makes it."""
    metrics = over_seeds(METRICS_CSV.read(results / "tables/metrics.csv"))
    windows = over_seeds(WINDOW_LENGTH_CSV.read(results / "tables/window-length.csv"))
    found: dict[str, Callable[[], pd.DataFrame]] = {"methods": lambda: of_methods(metrics)}
    for name, columns in WITHIN_CONCEPT.items():
        found[name] = lambda columns=columns: within_concepts(metrics, columns)  # type: ignore[misc]
    return found | {"windows": lambda: of_windows(windows)}


def main(names: Iterable[str], results: Path) -> None:
    """Print tables, all of them where none is named."""
    made = tables(results)
    for name in names or made:
        print(f"{name}:\n\n{made[name]().to_markdown(index=False, disable_numparse=True)}\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    names = ["methods", *WITHIN_CONCEPT, "windows"]
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"all, or of {', '.join(names)}")
    parser.add_argument("--results", type=Path, default=Path("results/comparison"))
    chosen = parser.parse_args()
    if unknown := set(chosen.tables) - set(names):
        parser.error(f"found {unknown.pop()!r}, wanted one of {', '.join(names)}")
    main(chosen.tables, chosen.results)
