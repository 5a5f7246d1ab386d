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
    original, found = models[ORIGINAL], {}
    for method, own in models.items():
        far, apart = own.fid >= FAR * original.fid, abs(own.rate - own.second_rate) >= APART
        told = []
        if far:
            fids = f"FID {own.fid:.1f}, original {original.fid:.1f}"
            told.append(f"the judge has not seen such images ({fids})")
        if apart or (far and not math.isnan(own.second_rate)):
            first, second = (f"{100 * rate:.0f} % by the" for rate in (own.rate, own.second_rate))
            told.append(f"the concept is found in {first} first judge and {second} second")
        if told and method != ORIGINAL:
            found[method] = f"caution: {'; '.join(told)}"
    return found


def measures_of_table(metrics: pd.DataFrame, concept: str) -> dict[str, Measures]:
    """Method → its measures on a concept, seeds together, from the table of metrics."""

    def value(method: str, prompt_set: str, metric: str) -> float:
        place = {"concept": concept, "method": method, "seed": ALL_SEEDS}
        return lookup(metrics, prompt_set=prompt_set, metric=metric, **place).value

    return {
        method: Measures(
            value(method, GENERAL, "fid"), value(method, TARGET, SHOWN), value(method, TARGET, SECOND)
        )
        for method in metrics.loc[metrics["concept"] == concept, "method"].unique()
    }


def measures_of_run(scores: str | Path, verdicts: str | Path, window: int | None) -> Measures:
    """The measures of one run, from the tables of its evaluation.

    Args:
        scores: scores.csv.
        verdicts: verdicts.csv.
        window: the method's own window length; None where it has none.
    """
    table = SCORES_CSV.read(scores)
    fid = table.loc[(table["metric"] == "fid") & (table["prompt_set"] == GENERAL), "value"]
    images = read_csv(verdicts, ["prompt_set", "window", "shown"])
    images = images[images["prompt_set"] == TARGET]
    if window is not None:
        images = images[images["window"] == window]
    second = images["second_shown"] if "second_shown" in images else pd.Series(dtype=float)
    return Measures(float(fid.mean()), float(images["shown"].mean()), float(second.mean()))
