"""Other sampling settings than the experiment's: is the concept only hidden at the usual ones?"""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ear.evaluation.protocols import GUIDANCE, TEMPERATURE
from ear.report import style
from ear.report.figures.multiples import Sweep, draw_sweeps, read_metrics, swept

SWEEPS = {GUIDANCE: "guidance scale", TEMPERATURE: "temperature"}


def plot(files: Any, params: Any) -> Figure:
    """The figure, of the rule's input and parameters."""
    return draw(read_metrics(files), params.own)


@style.styled
def draw(metrics: pd.DataFrame, own: Mapping[str, float]) -> Figure:
    """Concept rate against guidance scale and temperature.

    Args:
        metrics: the tidy table of metrics; its rows ``concept_rate`` on ``guidance-<g>``, ``temperature-<t>``
            and, for the experiment's own setting, ``target`` are plotted.
        own: sweep → the experiment's own setting.
    """
    found = {name: swept(metrics, f"{name}-", own[name]) for name in SWEEPS}
    sweeps = [
        Sweep(rows, SWEEPS[name], dict.fromkeys(rows["concept"], own[name])) for name, rows in found.items()
    ]
    return draw_sweeps(sweeps)[0]
