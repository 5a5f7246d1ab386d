"""Where a judge is to be doubted: images unlike those that it was trained on, or two judges that part."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ear.evaluation.columns import SCORES_CSV
from ear.evaluation.metrics_table import lookup
from ear.evaluation.protocols import GENERAL, SECOND, SHOWN, TARGET
from ear.workflow.files import read_csv
from ear.workflow.seeding import ALL_SEEDS, ORIGINAL

FAR = 3
"""Times the original's FID: images of such a model are unlike all that the judges were trained on."""
APART = 0.2
"""Difference between two judges' concept rates at which neither is to be taken alone."""


@dataclass(frozen=True)
class Measures:
    """What the caution rests on; not a number where it was not measured.

    Attributes:
        fid: of the model's general images.
        rate: share of target images in which the judge finds the concept.
        second_rate: the same of a second judge.
    """

    fid: float
    rate: float
    second_rate: float


def cautions(models: Mapping[str, Measures]) -> dict[str, str]:
    """Method → what to tell beside its concept rate, of those whose judge cannot be taken at its word.

    Args:
        models: method → its measures, the original among them.
    """
    return {
        method: text
        for method, own in models.items()
        if method != ORIGINAL and (text := _caution(own, models[ORIGINAL]))
    }


def _caution(own: Measures, original: Measures) -> str:
    far, apart = own.fid >= FAR * original.fid, abs(own.rate - own.second_rate) >= APART
    told = []
    if far:
        told.append(f"the judge has not seen such images (FID {own.fid:.1f}, original {original.fid:.1f})")
    if apart or (far and not math.isnan(own.second_rate)):
        rates = f"{100 * own.rate:.0f} % by the first judge and {100 * own.second_rate:.0f} % by the second"
        told.append(f"the concept is found in {rates}")
    return f"caution: {'; '.join(told)}" if told else ""


def measures_of_table(metrics: pd.DataFrame, concept: str) -> dict[str, Measures]:
    """Method → its measures on a concept, seeds together.

    Args:
        metrics: the metrics table.
        concept: its name.
    """

    def value(method: str, prompt_set: str, metric: str) -> float:
        place = {"concept": concept, "method": method, "seed": ALL_SEEDS}
        return lookup(metrics, prompt_set=prompt_set, metric=metric, **place).value

    return {
        method: Measures(
            value(method, GENERAL, "fid"),
            value(method, TARGET, SHOWN),
            value(method, TARGET, SECOND),
        )
        for method in metrics.loc[metrics["concept"] == concept, "method"].unique()
    }


def measures_of_run(scores: str | Path, verdicts: str | Path, window: int | None) -> Measures:
    """The measures of one run, from the tables of its evaluation.

    Args:
        scores: scores.csv.
        verdicts: verdicts.csv.
        window: the method's own window length; None where it has none.

    Raises:
        InputError: a table is missing or not one.
    """
    table = SCORES_CSV.read(scores)
    fid = table.loc[(table["metric"] == "fid") & (table["prompt_set"] == GENERAL), "value"]
    images = read_csv(verdicts, ["prompt_set", "window", "shown"])
    images = images[images["prompt_set"] == TARGET]
    if window is not None:
        images = images[images["window"] == window]
    second = images["second_shown"] if "second_shown" in images else pd.Series(dtype=float)
    return Measures(float(fid.mean()), float(images["shown"].mean()), float(second.mean()))
