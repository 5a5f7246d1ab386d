"""Sentences that say what rows of the tables show, each with its interval, and nothing more."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ear.metrics.comparison import COMPARISON_KEYS, NOT_SHOWN
from ear.names import ALL_SEEDS, ORIGINAL

Label = Callable[[str], str]

# Metric → factor, decimals, unit of a value, unit of a difference.
_UNITS: Mapping[str, tuple[float, int, str, str]] = {
    "concept_rate": (100, 1, " %", " points"),
    "second_concept_rate": (100, 1, " %", " points"),
    "accuracy": (100, 1, " %", " points"),
    "clip_score": (1, 2, "", ""),
}
_SHOWN = {
    "concept_rate": "The judge finds {concept} in {value} of {images} of {method}",
    "second_concept_rate": "The second judge finds {concept} in {value} of {images} of {method}",
    "accuracy": "The accuracy of {method} on {images} is {value}",
    "clip_score": "The CLIP score of {images} of {method} is {value}",
}
_OF = {
    "concept_rate": "the rate of {concept}",
    "second_concept_rate": "the rate of {concept} by the second judge",
    "accuracy": "accuracy",
    "clip_score": "the CLIP score",
}


@dataclass(frozen=True)
class Claim:
    """A sentence, and what it rests on.

    Attributes:
        text: the sentence.
        rows: (table, name of the row): the values of the columns that name it.
    """

    text: str
    rows: tuple[tuple[str, tuple[str, ...]], ...]


def claims(
    metrics: pd.DataFrame,
    compared: pd.DataFrame,
    concept_label: Label,
    method_label: Label,
    prompt_sets: Mapping[str, str] | None = None,
) -> list[Claim]:
    """What the tables say of every concept: measured values first, then the comparisons.

    A measured value has its interval and the original's value beside it. A comparison says "lower" or
    "higher" only where its verdict is not "no difference shown"; else the sentence gives the interval and the
    smallest difference that as many prompts and seeds could have shown. Rows without an interval give none.

    Args:
        metrics: the metrics table; of it the seeds together.
        compared: the table of comparisons.
        concept_label: concept → its name in a sentence, "church".
        method_label: method → its name in a sentence, "EAR".
        prompt_sets: prompt set → what is measured, "target images"; others are left out. Without it each set
            is named by itself.

    Returns:
        The claims, in the order of the tables.
    """

    def name_of(prompt_set: str) -> str | None:
        return f"{prompt_set} images" if prompt_sets is None else prompt_sets.get(prompt_set)

    found = []
    of_all = metrics[(metrics["seed"].astype(str) == ALL_SEEDS) & metrics["metric"].isin(_UNITS)]
    wanted = set(compared[["concept", "prompt_set", "metric"]].itertuples(index=False, name=None))
    rows = {
        tuple(str(row[column]) for column in ("concept", "method", "prompt_set", "metric")): row
        for _, row in of_all.iterrows()
        if _has_interval(row, "value")
    }
    for (concept, method, prompt_set, metric), row in rows.items():
        images = name_of(prompt_set)
        if images is None or method == ORIGINAL or (concept, prompt_set, metric) not in wanted:
            continue
        text = _value(metric, concept_label(concept), method_label(method), images, row)
        rests_on: list[tuple[str, tuple[str, ...]]] = [
            ("metrics.csv", (concept, method, ALL_SEEDS, prompt_set, metric))
        ]
        if (before := rows.get((concept, ORIGINAL, prompt_set, metric))) is not None:
            text += f"; before erasure: {_number(metric, before, 'value')}"
            rests_on.append(("metrics.csv", (concept, ORIGINAL, ALL_SEEDS, prompt_set, metric)))
        found.append(Claim(text + ".", tuple(rests_on)))
    for _, row in compared.iterrows():
        images = name_of(row["prompt_set"])
        if images is not None and _has_interval(row, "difference"):
            text = _comparison(row, concept_label(row["concept"]), method_label, images)
            name = tuple(str(row[column]) for column in COMPARISON_KEYS)
            found.append(Claim(text, (("comparisons.csv", name),)))
    return found


def _has_interval(row: pd.Series, value: str) -> bool:
    return bool(np.isfinite(row[[value, "ci_low", "ci_high"]].to_numpy(dtype=float)).all())


def _value(metric: str, concept: str, method: str, images: str, row: pd.Series) -> str:
    value = _number(metric, row, "value")
    return _SHOWN[metric].format(concept=concept, method=method, images=images, value=value)


def _comparison(row: pd.Series, concept: str, method_label: Label, images: str) -> str:
    metric = row["metric"]
    methods = method_label(row["method"]), method_label(row["reference"])
    what = f"{_OF[metric].format(concept=concept)} on {images}"
    size = f"{_number(metric, row, 'difference', signed=True)}; {_sizes(row)}"
    if row["verdict"] == NOT_SHOWN:
        least = _shown_at_least(metric, row["smallest_shown"])
        return (
            f"No difference between {methods[0]} and {methods[1]} was shown in {what} "
            f"(difference {size}, could have shown {least} four times in five)."
        )
    way = "lower" if row["difference"] < 0 else "higher"
    return (
        f"With {methods[0]}, {what} is {way} than with {methods[1]} "
        f"(difference {size}; {row['verdict']}, p = {row['p_holm']:.2g} corrected)."
    )


def _sizes(row: pd.Series) -> str:
    prompts, seeds = int(row["n_prompts"]), int(row["seeds"])
    return f"{prompts} prompt{'s' * (prompts != 1)}, {seeds} seed{'s' * (seeds != 1)}"


def _number(metric: str, row: pd.Series, column: str, signed: bool = False) -> str:
    factor, decimals, of_value, of_difference = _UNITS[metric]
    value, low, high = (_rounded(row[name] * factor, decimals) for name in (column, "ci_low", "ci_high"))
    return f"{value}{of_difference if signed else of_value} [{low}, {high}]"


def _rounded(value: float, decimals: int) -> str:
    """A number without the sign of a rounded 0."""
    text = f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0 else text


def _shown_at_least(metric: str, size: float) -> str:
    """Rounded up: a smaller difference would not be shown so often."""
    factor, decimals, _, unit = _UNITS[metric]
    return f"{np.ceil(size * factor * 10**decimals - 1e-9) / 10**decimals:.{decimals}f}{unit}"
