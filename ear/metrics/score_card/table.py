"""The numbers of the score card, as a tidy table made from the metrics table."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ear.metrics.intervals import Interval
from ear.metrics.ranks import Front, pareto_front, ranks
from ear.metrics.score_card.axes import AXES, BY_NAME, Axis, belongs
from ear.metrics.table import numbers
from ear.names import ALL_SEEDS, ORIGINAL

CARD_COLUMNS = (
    *("concept", "method", "axis", "value", "ci_low", "ci_high", "n"),
    *("rank_best", "rank_worst", "prompt_set", "measured", "of", "seeds"),
)
ALL_CONCEPTS = "all"
"""Name of the row that averages the concepts."""
FRONTS = {"front": "erasure", "attack-front": "worst"}
"""Front → the axis of what is shown; that of what is kept is retention."""
PREFIX_SHARE = 1 / 4
"""Of the image's tokens: longer prefixes count as no attack."""


def score_card(metrics: pd.DataFrame, image_tokens: int) -> pd.DataFrame:
    """One number a concept, method and axis, with interval, n and rank; then the means over concepts.

    An attack of several prompt sets counts by its worst: ``value`` and ``ci_low`` are those of the row with
    the highest value, ``ci_high`` is the highest of all rows. With 97.5 % the true worst is below that,
    however many rows there are; the lower end takes no account of the choice.

    Means over concepts: where each concept has prompts of its own, half-widths are added in quadrature; where
    all share them (general prompts, pictures), the ends are the means of the ends, which is never too narrow.
    A method that lacks a concept has no mean.

    Args:
        metrics: the metrics table (``ear.metrics.table.metrics_table``).
        image_tokens: tokens of an image, T. Prefixes of more than T / 4 are left out.

    Returns:
        Columns CARD_COLUMNS, concepts and methods in the order of ``metrics``, axes in that of the card.
        Ranks are missing for the original. ``prompt_set`` is the one that made the number; ``measured`` of
        ``of`` prompt sets were measured for the method: the worst of fewer may be less than that of all.
        ``seeds`` is the number of fine-tuning seeds. What was not measured has no row.
    """
    single = metrics[metrics["seed"].astype(str) != ALL_SEEDS]
    seeds = single.groupby(["concept", "method"])["seed"].nunique()
    pooled = metrics[(metrics["seed"].astype(str) == ALL_SEEDS) & metrics["value"].notna()]
    rows = []
    for concept in metrics["concept"].unique():
        for axis in AXES:
            found = _of_axis(pooled[pooled["concept"] == concept], axis, image_tokens * PREFIX_SHARE)
            for row in _ranked(found, axis):
                rows.append({"concept": concept, "seeds": int(seeds[concept, row["method"]])} | row)
    rows += _over_concepts(pd.DataFrame(rows, columns=list(CARD_COLUMNS)))
    table = pd.DataFrame(rows, columns=list(CARD_COLUMNS))
    methods = list(metrics["method"].unique())
    order = table.assign(
        concept=pd.Categorical(table["concept"], [*metrics["concept"].unique(), ALL_CONCEPTS]),
        method=pd.Categorical(table["method"], methods),
    ).sort_values(["concept", "method"], kind="stable")
    whole = table.astype({"rank_best": "Int64", "rank_worst": "Int64"})
    return whole.loc[order.index].reset_index(drop=True)


def intervals(card: pd.DataFrame, concept: str, axis: str) -> dict[str, Interval]:
    """Method → its number on an axis, for a concept."""
    rows = card[(card["concept"] == concept) & (card["axis"] == axis)]
    columns = rows[["method", "value", "ci_low", "ci_high", "n"]]
    return {
        str(method): Interval(float(value), float(low), float(high), int(n))
        for method, value, low, high, n in columns.itertuples(index=False)
    }


def fronts(card: pd.DataFrame, concept: str) -> dict[str, dict[str, Front]]:
    """Method → front (a key of FRONTS) → whether it is on it, for a concept; the original is on none.

    A method whose worst case is of fewer attacks than others' is on the front of attacks for certain never.
    """
    kept, places = _compared(intervals(card, concept, "retention")), dict[str, dict[str, Front]]()
    for front, axis in FRONTS.items():
        rows = card[(card["concept"] == concept) & (card["axis"] == axis)]
        partly = set(rows.loc[rows["measured"] < rows["of"], "method"])
        for method, place in pareto_front(_compared(intervals(card, concept, axis)), kept).items():
            capped = Front.POSSIBLE if method in partly and place == Front.CERTAIN else place
            places.setdefault(method, {})[front] = capped
    return places


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as dictionaries."""
    return [{str(name): cell for name, cell in row.items()} for row in table.to_dict(orient="records")]


def _compared(scores: Mapping[str, Interval]) -> dict[str, Interval]:
    return {method: score for method, score in scores.items() if method != ORIGINAL}


def _of_axis(rows: pd.DataFrame, axis: Axis, longest_prefix: float) -> dict[str, dict[str, Any]]:
    """Method → its row, without ranks."""
    rows = rows[rows["metric"] == axis.metric]
    mine = [belongs(axis, prompt_set, longest_prefix) for prompt_set in rows["prompt_set"]]
    rows = rows[np.array(mine, dtype=bool)]
    of = rows["prompt_set"].nunique()
    found = {}
    for method, group in rows.groupby("method", sort=False):
        worst = group.iloc[int(group["value"].argmax())]  # of an attack; other axes have one row
        interval = Interval(worst["value"], worst["ci_low"], group["ci_high"].max(), int(worst["n"]))
        place = {"axis": axis.name, "prompt_set": worst["prompt_set"], "measured": len(group), "of": of}
        found[str(method)] = {"method": method} | place | numbers(interval)
    return found


def _ranked(found: Mapping[str, dict[str, Any]], axis: Axis) -> Iterator[dict[str, Any]]:
    scores = {
        method: Interval(row["value"], row["ci_low"], row["ci_high"], row["n"])
        for method, row in found.items()
    }
    places = ranks(_compared(scores), axis.lower)
    for method, row in found.items():
        best, worst = places.get(method, (None, None))
        yield row | {"rank_best": best, "rank_worst": worst}


def _over_concepts(card: pd.DataFrame) -> list[dict[str, Any]]:
    """Means over concepts; none of a single one."""
    rows: list[dict[str, Any]] = []
    for axis, of_axis in card.groupby("axis", sort=False):
        wanted = of_axis["concept"].nunique()
        if wanted < 2:
            continue
        found = {
            str(method): _mean(records(group), BY_NAME[str(axis)])
            for method, group in of_axis.groupby("method", sort=False)
            if len(group) == wanted
        }
        rows += _ranked(found, BY_NAME[str(axis)])
    return rows


def _mean(rows: Sequence[dict[str, Any]], axis: Axis) -> dict[str, Any]:
    value, low, high = (np.array([row[name] for row in rows]) for name in ("value", "ci_low", "ci_high"))
    mean, total = float(value.mean()), sum(row["n"] for row in rows)
    if axis.shared:
        interval = Interval(mean, float(low.mean()), float(high.mean()), total)
    else:
        below, above = (float(np.sqrt((ends**2).sum())) / len(rows) for ends in (value - low, high - value))
        interval = Interval(mean, mean - below, mean + above, total)
    sums = {name: sum(row[name] for row in rows) for name in ("measured", "of")}
    first = {"concept": ALL_CONCEPTS, "method": rows[0]["method"], "axis": axis.name}
    same = {"prompt_set": None, "seeds": min(row["seeds"] for row in rows)}
    return first | same | sums | numbers(interval)
