"""Relearning: the erased model is fine-tuned on images without the concept; does it come back?"""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ear.evaluation import protocols
from ear.report import style
from ear.report.figures.multiples import Sweep, draw_sweeps, read_metrics, swept

RELEARNED = f"{protocols.RELEARNED}-"


def plot(files: Any, params: Any) -> Figure:
    """The figure, of the rule's input and parameters."""
    return draw(read_metrics(files))


@style.styled
def draw(metrics: pd.DataFrame) -> Figure:
    """Concept rate against the steps of benign fine-tuning.

    Args:
        metrics: the tidy table of metrics; its rows ``concept_rate`` on ``relearned-<n>`` and, for 0 steps,
            ``target`` are plotted. Methods without weights have none.
    """
    sweep = Sweep(swept(metrics, RELEARNED, start=0), "steps of fine-tuning on images without the concept")
    return draw_sweeps([sweep])[0]
