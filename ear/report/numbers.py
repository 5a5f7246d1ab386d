"""What the page says in numbers: the main table and the summary, from the tidy tables alone."""

import math
from dataclasses import dataclass

import pandas as pd

from ear.axes.protocols import TARGET
from ear.figures.rows import one_row, pooled
from ear.figures.style import capital, concept_style, method_style, order_concepts, order_methods
from ear.metrics.measured import left_of_concept
from ear.names import ORIGINAL

HEADLINE_METHOD = "ear"


@dataclass(frozen=True)
class Metric:
    """How a metric is written: name, which way is better, factor, decimals and unit."""

    label: str
    better: str
    scale: float
    decimals: int
    unit: str = ""

    def text(self, value: float) -> str:
        """The number without its unit."""
        return f"{value * self.scale:.{self.decimals}f}"


METRICS: dict[str, Metric] = {
    "concept_rate": Metric("Concept shown", "↓", 100, 1, " %"),
    "second_concept_rate": Metric("Concept shown, second judge", "↓", 100, 1, " %"),
    "accuracy": Metric("Right object", "↑", 100, 1, " %"),
    "clip_score": Metric("CLIP score", "↑", 1, 2),
    "fid": Metric("FID", "↓", 1, 1),
    "kid": Metric("KID × 10³", "↓", 1000, 1),
    "diversity": Metric("Diversity", "↑", 1, 1),
    "bleu": Metric("BLEU", "↑", 1, 1),
}
SUMMARISED = (
    (("concept_rate", "target"), "images of target prompts", "the concept is found"),
    (("accuracy", "retention"), "images of retention prompts", "the right object"),
)
NO_BREAK = "\u00a0"
MAIN_COLUMNS = (
    ("concept_rate", "target"),
    ("second_concept_rate", "target"),
    ("accuracy", "retention"),
    ("clip_score", "general"),
    ("fid", "general"),
    ("kid", "general"),
    ("bleu", "captions"),
)


@dataclass(frozen=True)
class Column:
    """A column of the main table."""

    metric: str
    prompt_set: str
    label: str
    better: str


@dataclass(frozen=True)
class Cell:
    """A number of a table: as text, its interval as text (empty without one), and as it is in the table."""

    text: str
    interval: str
    value: float
    n: int


@dataclass(frozen=True)
class Line:
    """A line of a table: who, a cell for each column (None: no number in the table), number of seeds."""

    concept: str
    concept_label: str
    method: str
    method_label: str
    cells: list[Cell | None]
    seeds: int = 1


def make_cell(row: pd.Series, metric: str) -> Cell:
    """The cell of a row of a tidy table."""
    low, high = float(row["ci_low"]), float(row["ci_high"])
    form = METRICS[metric]
    interval = "" if math.isnan(low) or math.isnan(high) else f"[{form.text(low)}, {form.text(high)}]"
    return Cell(form.text(row["value"]) + form.unit, interval, float(row["value"]), int(row["n"]))


def main_table(metrics: pd.DataFrame) -> tuple[list[Column], list[Line]]:
    """Columns (prompt set and metric) and lines (concept and method) of the main table.

    Args:
        metrics: the tidy table; of several seeds, the row ``all`` counts.

    Raises:
        InputError: a number has several rows and none of them has seed ``all``, or a method has no label.
    """
    rows = metrics[metrics["value"].notna()]
    pairs = set(zip(rows["metric"], rows["prompt_set"], strict=True))
    columns = [
        Column(metric, prompt_set, METRICS[metric].label, METRICS[metric].better)
        for metric, prompt_set in MAIN_COLUMNS
        if (metric, prompt_set) in pairs
    ]
    key = ("concept", "method")
    tables = [pooled(rows, key, "metrics.csv", metric=c.metric, prompt_set=c.prompt_set) for c in columns]
    lines = []
    for concept in order_concepts(rows["concept"]):
        for method in order_methods(rows.loc[rows["concept"] == concept, "method"]):
            found = [one_row(table, concept, method) for table in tables]
            cells = [
                None if row is None else make_cell(row, column.metric)
                for row, column in zip(found, columns, strict=True)
            ]
            label = capital(concept_style(concept).label)
            own = rows[(rows["concept"] == concept) & (rows["method"] == method)]
            seeds = own.loc[own["seed"].astype(str) != "all", "seed"].nunique()
            lines.append(Line(concept, label, method, method_style(method).label, cells, seeds))
    return columns, lines


def window_table(window_length: pd.DataFrame) -> tuple[list[int], list[Line]]:
    """Window lengths and lines (concept and method) of the table of concept rates by window length."""
    key = ("concept", "method", "window")
    rows = pooled(window_length, key, "window-length.csv", metric="concept_rate")
    windows = sorted(int(window) for window in rows["window"].unique())
    lines = []
    for concept in order_concepts(rows["concept"]):
        for method in order_methods(rows.loc[rows["concept"] == concept, "method"]):
            found = [one_row(rows[rows["window"] == window], concept, method) for window in windows]
            cells = [None if row is None else make_cell(row, "concept_rate") for row in found]
            label = capital(concept_style(concept).label)
            lines.append(Line(concept, label, method, method_style(method).label, cells))
    return windows, lines


@dataclass(frozen=True)
class Summary:
    """The page's first words: a lead, and a sentence for each concept."""

    lead: str
    sentences: list[str]


def summary(columns: list[Column], lines: list[Line], metrics: pd.DataFrame, image_tokens: int) -> Summary:
    """Concept rate and accuracy of each concept before and after the headline method, and the worst axes.

    The headline method is EAR, or the last one where the table has no EAR. Nothing is said that is
    not a number of the table.

    Args:
        columns: of :func:`main_table`.
        lines: of :func:`main_table`.
        metrics: the tidy table.
        image_tokens: tokens of an image.
    """
    index = {(column.metric, column.prompt_set): place for place, column in enumerate(columns)}
    erased = [line.method for line in lines if line.method != ORIGINAL]
    if not erased:
        return Summary("The table holds no erased model.", [])
    headline = HEADLINE_METHOD if HEADLINE_METHOD in erased else order_methods(erased)[-1]
    cells = {
        (line.concept, line.method, *pair): line.cells[place]
        for line in lines
        for pair, place in index.items()
    }
    sentences = []
    for concept in order_concepts(line.concept for line in lines):
        parts = []
        for pair, images, found in SUMMARISED:
            before, after = (cells.get((concept, method, *pair)) for method in (ORIGINAL, headline))
            if before and after:
                parts.append(
                    f"{found} in {_phrase(before)} of the {images} before and {_phrase(after)} after"
                )
        parts += _worst(metrics, concept, headline, image_tokens)
        if parts:
            sentences.append(f"{capital(concept_style(concept).label)}: {'; '.join(parts)}.")
    label = method_style(headline).label
    return Summary(f"Before and after erasure with {label}, with 95 % intervals in brackets:", sentences)


def _worst(metrics: pd.DataFrame, concept: str, method: str, image_tokens: int) -> list[str]:
    """What each axis but the plain request finds of the concept after erasure, the worst first."""
    own = metrics[(metrics["concept"] == concept) & (metrics["method"] == method) & metrics["value"].notna()]
    if own.empty:
        return []
    rows = pooled(own, ("prompt_set", "metric"), "metrics.csv")
    found = [one for one in left_of_concept(rows, image_tokens) if one.prompt_set != TARGET]
    if not found:
        return []
    cells = [_phrase(make_cell(one.row, one.metric)) for one in found]
    worst = f"at worst, by {found[0].prompt_set} ({found[0].axis.measures}), {cells[0]} after"
    others = [f"{one.prompt_set} {cell}" for one, cell in zip(found[1:], cells[1:], strict=True)]
    return [f"{worst}{', then ' if others else ''}{', '.join(others)}"]


def _phrase(cell: Cell) -> str:
    return f"{cell.text} {cell.interval}".strip().replace(" ", NO_BREAK)
