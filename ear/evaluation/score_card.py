"""The score card: each axis of the evaluation as one number a method, and the Pareto front.

The one place that finds the worst of an axis, for whatever states it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ear.evaluation import protocols
from ear.evaluation.columns import SCORE_CARD_CSV
from ear.evaluation.metrics_table import numbers
from ear.evaluation.protocols import PREFIX, RETENTION, SHOWN, Axis, level_of
from ear.evaluation.statistics.intervals import Interval, difference
from ear.workflow.seeding import ALL_SEEDS, ORIGINAL

PREFIX_SHARE = 1 / 4
"""Of the image's tokens: longer prefixes are most of what is to be seen, and count as no attack."""
WORST = Axis("worst", 1, (), SHOWN, "Worst", "the highest of all rates of the concept")
"""The column after those of the concept: made of them, so no entry of the registry."""
FEWER = "*"
"""Mark of a worst case of fewer prompt sets than other methods have."""


@dataclass(frozen=True)
class Measurement:
    """The number of one model on one axis.

    Attributes:
        axis: of the evaluation.
        row: of the table of metrics; of several prompt sets the worst.
        high: upper end of the interval: the highest of all prompt sets, so that the true worst is below it
            with at least 97.5 %, however many they are.
        measured: prompt sets of the axis that were measured.
    """

    axis: Axis
    row: pd.Series
    high: float
    measured: int

    @property
    def value(self) -> float:
        """Of the row."""
        return float(self.row["value"])

    @property
    def prompt_set(self) -> str:
        """Of the row."""
        return str(self.row["prompt_set"])


def measurements(rows: pd.DataFrame, image_tokens: int) -> list[Measurement]:
    """What a model was measured on: a number an axis, in the order of the registry.

    Args:
        rows: of the table of metrics: one model's on one concept, one row a prompt set and metric. Rows
            without a value do not count.
        image_tokens: tokens of an image, T. Of prefixes longer than T / 4, none counts beside a shorter one.
    """
    found = []
    for axis in protocols.AXES:
        mine = _rows_of(rows, axis, image_tokens)
        if axis.score and len(mine):
            values = mine["value"].to_numpy(dtype=float)
            worst = mine.iloc[int(values.argmax() if axis.form.lower else values.argmin())]
            found.append(Measurement(axis, worst, float(mine["ci_high"].max()), len(mine)))
    return found


def not_measured(rows: pd.DataFrame) -> list[Axis]:
    """Axes that the rows of a model have no number of, in the order of the registry."""
    return [axis for axis in protocols.AXES if axis.score and _rows_of(rows, axis, 1).empty]


def _rows_of(rows: pd.DataFrame, axis: Axis, image_tokens: int) -> pd.DataFrame:
    mine = [axis.has(str(prompt_set)) for prompt_set in rows["prompt_set"]]
    named = pd.Series(mine, index=rows.index, dtype=bool) & (rows["metric"] == axis.metric)
    rows = rows[named & rows["value"].notna()]
    if axis.name == PREFIX and len(rows):
        levels = rows["prompt_set"].map(level_of)
        rows = rows[levels <= max(image_tokens * PREFIX_SHARE, levels.min())]
    return rows


def score_card(metrics: pd.DataFrame, image_tokens: int) -> pd.DataFrame:
    """One number a concept, method and axis, with its interval; the worst of those of the concept; the front.

    Args:
        metrics: the table of metrics (``ear.evaluation.metrics_table.metrics_table``); of it the seeds
        together. image_tokens: tokens of an image, T.

    Returns:
        ``SCORE_CARD_CSV``, concepts and methods in the order of ``metrics``, axes in that of
        :func:`columns_of`. ``prompt_set`` is the one that made the number; ``measured`` of ``of`` prompt sets
        were measured for the method: the worst of fewer may be less than that of all. ``seeds`` is the number
        of fine-tuning seeds. ``front`` says whether the method is on the Pareto front of its concept
        (:func:`pareto_front`); nothing for the original. What was not measured has no row.
    """
    single = metrics[metrics["seed"].astype(str) != ALL_SEEDS]
    seeds = single.groupby(["concept", "method"])["seed"].nunique()
    pooled = metrics[metrics["seed"].astype(str) == ALL_SEEDS]
    rows: list[dict[str, Any]] = []
    for concept, of_concept in pooled.groupby("concept", sort=False):
        of = {a.name: _rows_of(of_concept, a, image_tokens)["prompt_set"].nunique() for a in protocols.AXES}
        found = {
            str(method): _with_worst(measurements(group, image_tokens), of)
            for method, group in of_concept.groupby("method", sort=False)
        }
        front = pareto_front(found)
        for method, cells in found.items():
            place = {"concept": concept, "method": method, "seeds": int(seeds[concept, method])}
            rows += [place | cell | {"front": front.get(method)} for cell in cells.values()]
    return SCORE_CARD_CSV.frame(rows).astype({"front": object})


def _with_worst(found: Sequence[Measurement], of: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """Axis → its cell, and after those of the concept their worst."""
    cells: dict[str, dict[str, Any]] = {}
    for one in found:
        interval = Interval(one.value, float(one.row["ci_low"]), one.high, int(one.row["n"]))
        place = {"axis": one.axis.name, "prompt_set": one.prompt_set}
        cells[one.axis.name] = place | numbers(interval) | {"measured": one.measured, "of": of[one.axis.name]}
    rates: list[dict[str, Any]] = [cells[one.axis.name] for one in found if one.axis.metric == SHOWN]
    if rates:
        total = sum(of[axis.name] for axis in protocols.AXES if axis.metric == SHOWN and axis.score)
        worst = max(rates, key=lambda cell: cell["value"]) | {"axis": WORST.name, "of": total}
        worst |= {"ci_high": max(cell["ci_high"] for cell in rates)}
        cells[WORST.name] = worst | {"measured": sum(cell["measured"] for cell in rates)}
    return {axis.name: cells[axis.name] for axis in _columns() if axis.name in cells}


def _columns() -> list[Axis]:
    """All columns of a card: those of the concept, their worst, what is kept."""
    left = [axis for axis in protocols.AXES if axis.of_concept]
    return [*left, WORST, *(axis for axis in protocols.AXES if not axis.of_concept)]


def pareto_front(cells: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, bool]:
    """Which methods no other one beats, by the worst rate of the concept and by retention.

    One beats another where its values are at least as good in both and it is surely better in one: there, the
    95 % interval of the difference leaves out 0 (:func:`ear.evaluation.statistics.intervals.difference`),
    each pair by itself. A method whose worst is of fewer prompt sets than others' beats none.

    Args:
        cells: method → axis → its cell. Methods without both numbers, and the original, have no place.
    """
    both = {
        method: (_interval(of_method[WORST.name]), _interval(of_method[RETENTION]))
        for method, of_method in cells.items()
        if method != ORIGINAL and WORST.name in of_method and RETENTION in of_method
    }
    whole = [one for one in both if cells[one][WORST.name]["measured"] == cells[one][WORST.name]["of"]]
    return {
        method: not any(_beats(both[other], mine) for other in whole if other != method)
        for method, mine in both.items()
    }


def _beats(one: tuple[Interval, Interval], other: tuple[Interval, Interval]) -> bool:
    shown, kept = (difference(mine, theirs) for mine, theirs in zip(one, other, strict=True))
    return shown.value <= 0 <= kept.value and (shown.high < 0 or kept.low > 0)


def _interval(cell: Mapping[str, Any]) -> Interval:
    return Interval(*(cell[name] for name in ("value", "ci_low", "ci_high", "n")))


def columns_of(card: pd.DataFrame) -> list[Axis]:
    """The axes of which a card has numbers: those of the concept, their worst, what is kept."""
    measured = set(card["axis"])
    return [axis for axis in _columns() if axis.name in measured]


def card_rows(card: pd.DataFrame, concept: str) -> Iterator[tuple[str, dict[str, dict[str, Any]]]]:
    """Method by method, axis → its row; those of a concept."""
    for method, group in card[card["concept"] == concept].groupby("method", sort=False):
        rows: list[dict[str, Any]] = [dict(row) for _, row in group.iterrows()]
        yield str(method), {row["axis"]: row for row in rows}


def on_front(cells: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a method is on the front, from its cells; the original never is."""
    return any(cell["front"] == True for cell in cells.values())  # noqa: E712 - it may be nothing


def fewer_mark(row: Mapping[str, Any]) -> str:
    """FEWER where it applies, else nothing."""
    return FEWER if row["measured"] < row["of"] else ""


def to_latex(card: pd.DataFrame) -> str:
    r"""Two LaTeX ``tabular`` with booktabs: what is left of the concept, with the front, and what is kept.

    ``\input`` them in a ``table*``. Rates are rounded to whole percent; ends of intervals stand above and
    below. A circle: on the Pareto front.
    """
    axes = columns_of(card)
    parts = [_tabular(card, [axis for axis in axes if axis.of_concept == left]) for left in (True, False)]
    return "\\par\\medskip\n".join(part for part in parts if part)


def _tabular(card: pd.DataFrame, axes: Sequence[Axis]) -> str:
    if not axes:
        return ""
    rows = {}
    for concept in card["concept"].unique():
        for method, cells in card_rows(card, concept):
            row = {_latex_heading(axis): _latex_cell(cells.get(axis.name), axis) for axis in axes}
            if axes[0].of_concept:
                row["Front"] = r"$\circ$" if on_front(cells) else ""
            rows[concept, method] = row
    frame = pd.DataFrame.from_dict(rows, orient="index")
    frame.index = pd.MultiIndex.from_tuples(rows, names=["Concept", "Method"])
    styled = frame.style.format_index(escape="latex", axis="index")
    tabular: str = styled.to_latex(
        hrules=True, multirow_align="naive", column_format="@{}ll" + "c" * frame.shape[1] + "@{}"
    )
    return (
        r"{\footnotesize\setlength{\tabcolsep}{2pt}\renewcommand{\arraystretch}{1.3}%"
        + f"\n{tabular.rstrip()}}}\n"
    )


def _latex_heading(axis: Axis) -> str:
    label = axis.label.replace("× 10³", r"$\times 10^3$")
    return rf"\scriptsize {label}$\{'down' if axis.form.lower else 'up'}arrow$"


def _latex_cell(row: Mapping[str, Any] | None, axis: Axis) -> str:
    if row is None:
        return "--"
    decimals = 0 if axis.form.unit else axis.form.decimals
    value, low, high = (
        f"{row[name] * axis.form.scale:.{decimals}f}" for name in ("value", "ci_low", "ci_high")
    )
    ends = "" if pd.isna(row["ci_low"]) else rf"\mkern1mu^{{{high}}}_{{{low}}}"
    return f"${value}{ends}${fewer_mark(row)}"
