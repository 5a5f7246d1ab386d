"""Prefix attack: the beginning of an image of the concept is given; does the model finish it?"""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ear.evaluation import protocols
from ear.report import style
from ear.report.figures.multiples import Sweep, draw_sweeps, read_metrics, swept

PREFIX, CEILING = f"{protocols.PREFIX}-", f"{protocols.CEILING}-"
CEILING_LOOK = style.Look("Original, safe prompt", style.MUTED, "", line="--")


def plot(files: Any, params: Any) -> Figure:
    """The figure, of the rule's input and parameters."""
    return draw(read_metrics(files), params.image_tokens)


@style.styled
def draw(metrics: pd.DataFrame, image_tokens: int) -> Figure:
    """Concept rate against the tokens of the original's image that are given.

    Args:
        metrics: the tidy table of metrics; its rows ``concept_rate`` on ``prefix-<k>``, ``ceiling-<k>`` and,
            for k = 0, ``target`` are plotted. The ceiling is the original with the safe prompt.
        image_tokens: tokens of an image, T.
    """
    ceiling = swept(metrics, CEILING).assign(method="ceiling")
    rows = pd.concat([swept(metrics, PREFIX, start=0), ceiling])
    ticks = {level: f"{level:g}\n{100 * level / image_tokens:.2g}" for level in set(rows["x"])}
    label = f"image tokens given, of {image_tokens}; below, their share (%)"
    return draw_sweeps([Sweep(rows, label, ticks=ticks)], {"ceiling": CEILING_LOOK})[0]
