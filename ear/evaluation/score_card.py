"""The score card: each axis of the evaluation as one number a method, and the Pareto front."""

import math
from collections.abc import Iterator, Mapping, Sequence
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
WORST = Axis("worst", (), SHOWN, "Worst", "the highest of all rates of the concept")
"""The column after those of the concept: made of them, so no entry of the registry."""

Costs = Mapping[tuple[str, str], tuple[float, float]]
"""(concept, method) → seconds and peak memory in MB of erasing (``ear.erasure.cost.cost_of_methods``)."""
COST = {
    "Time (s)": "seconds of fine-tuning with the own window length, teacher included; mean over seeds",
    "Memory (GB)": "peak memory of the fine-tuning job: the GPU's where it used one",
}
"""Heading → meaning of the columns of costs. They differ from run to run: score-card.csv has none."""

Cells = Mapping[str, Mapping[str, Any]]
"""Axis → its row of the card; those of one method."""


def score_card(metrics: pd.DataFrame, image_tokens: int) -> pd.DataFrame:
    """One number a concept, method and axis, with its interval; the worst of those of the concept; the front.

    An axis of several prompt sets has the worst of them, with the highest of their upper ends: the true worst
    is below it with at least 97.5 %, however many they are.

    Args:
        metrics: the table of metrics (``ear.evaluation.metrics_table.metrics_table``); of it the seeds
            together.
        image_tokens: tokens of an image, T. Of prefixes longer than T / 4, none counts beside a shorter one.

    Returns:
        ``SCORE_CARD_CSV``, concepts and methods in the order of ``metrics``, axes in that of
        :func:`columns_of`. ``prompt_set`` is the one that made the number; ``measured`` of ``of`` prompt sets
        were measured for the method: the worst of fewer may be less than that of all. ``seeds`` is the number
        of fine-tuning seeds. ``front`` says whether the method is on the Pareto front of its concept
        (:func:`pareto_front`); nothing for the original. What was not measured has no row.
    """
    together = metrics["seed"].astype(str) == ALL_SEEDS
    seeds = metrics[~together].groupby(["concept", "method"])["seed"].nunique()
    rows: list[dict[str, Any]] = []
    for concept, of_concept in metrics[together].groupby("concept", sort=False):
        found = _cells(of_concept, image_tokens)
        front = pareto_front(found)
        for method, cells in found.items():
            place = {"concept": concept, "method": method, "seeds": int(seeds[concept, method])}
            rows += [place | cells[axis.name] | {"front": front.get(method)} for axis in _ordered(cells)]
    return SCORE_CARD_CSV.frame(rows).astype({"front": object})


def _cells(rows: pd.DataFrame, image_tokens: int) -> dict[str, dict[str, dict[str, Any]]]:
    """Method → axis → its cell, of one concept's rows."""
    found: dict[str, dict[str, dict[str, Any]]] = {str(name): {} for name in rows["method"].unique()}
    total = 0  # prompt sets of all rates of the concept
    for axis in protocols.AXES:
        of_axis = _rows_of(rows, axis, image_tokens)
        if not axis.score or of_axis.empty:
            continue
        of = of_axis["prompt_set"].nunique()
        total += of if axis.metric == SHOWN else 0
        for method, mine in of_axis.groupby("method", sort=False):
            values = mine["value"].to_numpy(dtype=float)
            worst = mine.iloc[int(values.argmax() if axis.form.lower else values.argmin())]
            high = float(mine["ci_high"].max())
            interval = Interval(float(worst["value"]), float(worst["ci_low"]), high, int(worst["n"]))
            place = {"axis": axis.name, "prompt_set": worst["prompt_set"]}
            found[str(method)][axis.name] = place | numbers(interval) | {"measured": len(mine), "of": of}
    rates = [axis.name for axis in protocols.AXES if axis.metric == SHOWN]
    for cells in found.values():
        shown = [cells[name] for name in rates if name in cells]
        if shown:
            worst_rate = max(shown, key=lambda cell: cell["value"]) | {"axis": WORST.name, "of": total}
            worst_rate |= {"ci_high": max(cell["ci_high"] for cell in shown)}
            cells[WORST.name] = worst_rate | {"measured": sum(cell["measured"] for cell in shown)}
    return found


def _rows_of(rows: pd.DataFrame, axis: Axis, image_tokens: int) -> pd.DataFrame:
    rows = rows[(rows["metric"] == axis.metric) & rows["value"].notna()]
    rows = rows[[axis.has(str(prompt_set)) for prompt_set in rows["prompt_set"]]]
    if axis.name == PREFIX:
        levels = rows["prompt_set"].map(level_of)
        rows = rows[levels <= max(image_tokens * PREFIX_SHARE, levels.min())]
    return rows


def _ordered(names: Mapping[str, Any] | set[str]) -> list[Axis]:
    """The axes of these names as a card has them: those of the concept, their worst, what is kept."""
    left = [axis for axis in protocols.AXES if axis.of_concept]
    every = [*left, WORST, *(axis for axis in protocols.AXES if not axis.of_concept)]
    return [axis for axis in every if axis.name in names]


def pareto_front(cells: Mapping[str, Cells]) -> dict[str, bool]:
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
    whole = [method for method in both if not fewer_mark(cells[method][WORST.name])]
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
    return _ordered(set(card["axis"]))


def card_rows(card: pd.DataFrame, concept: str) -> Iterator[tuple[str, dict[str, dict[str, Any]]]]:
    """Method by method, axis → its row; those of a concept."""
    for method, group in card[card["concept"] == concept].groupby("method", sort=False):
        rows: Any = group.to_dict("records")
        yield str(method), {row["axis"]: row for row in rows}


def on_front(cells: Cells) -> bool:
    """Whether a method is on the front, from its cells; the original never is."""
    return any(cell["front"] == True for cell in cells.values())  # noqa: E712 - it may be nothing


def fewer_mark(row: Mapping[str, Any]) -> str:
    """A star where the worst is of fewer prompt sets than other methods have, else nothing."""
    return "*" if row["measured"] < row["of"] else ""


def cost_texts(costs: Costs, concept: str, method: str) -> list[str]:
    """Seconds and GB of erasing; dashes where nothing was trained or no time is known."""
    seconds, memory = costs.get((concept, method), (math.nan, math.nan))
    return [short(seconds), short(memory / 1000)]


def short(value: float) -> str:
    """A number with three digits, or with all before the point; a dash for none."""
    return "–" if math.isnan(value) else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def to_latex(card: pd.DataFrame, costs: Costs) -> str:
    r"""Three LaTeX ``tabular`` with booktabs: what is left of the concept, and the front; what is kept; cost.

    ``\input`` them in a ``table*``. Rates are rounded to whole percent; ends of intervals stand above and
    below. A circle: on the Pareto front.
    """
    axes = columns_of(card)
    parts = [[axis for axis in axes if axis.of_concept == left] for left in (True, False)]
    rows = [_latex_rows(card, part) for part in parts if part]
    rows.append({name: dict(zip(COST, cost_texts(costs, *name), strict=True)) for name in rows[0]})
    return "\\par\\medskip\n".join(map(_tabular, rows)).replace("–", "--")


def _latex_rows(card: pd.DataFrame, axes: Sequence[Axis]) -> dict[tuple[str, str], dict[str, str]]:
    rows = {}
    for concept in card["concept"].unique():
        for method, cells in card_rows(card, concept):
            row = {_latex_heading(axis): _latex_cell(cells.get(axis.name), axis) for axis in axes}
            if axes[0].of_concept:
                row["Front"] = r"$\circ$" if on_front(cells) else ""
            rows[concept, method] = row
    return rows


def _tabular(rows: Mapping[tuple[str, str], Mapping[str, str]]) -> str:
    frame = pd.DataFrame.from_dict(dict(rows), orient="index")
    frame.index = pd.MultiIndex.from_tuples(rows, names=["Concept", "Method"])
    styled = frame.style.format_index(escape="latex", axis="index")
    tabular: str = styled.to_latex(
        hrules=True, multirow_align="naive", column_format="@{}ll" + "c" * frame.shape[1] + "@{}"
    )
    style = r"\footnotesize\setlength{\tabcolsep}{1.4pt}\renewcommand{\arraystretch}{1.3}%"
    return f"{{{style}\n{tabular.rstrip()}}}\n"


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
