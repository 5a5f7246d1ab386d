"""Loss over the training of the mini world's models: a panel a model."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ear.errors import InputError
from ear.report import style

COLUMNS = ("step", "stage", "loss")
LOOKS: Mapping[str, tuple[str, str, str]] = {
    "tokenizer": ("pictures", "#0072B2", "-"),
    "decoder": ("pictures, decoder alone", "#56B4E9", "--"),
    "image": ("image tokens", "#0072B2", "-"),
    "caption": ("captions", "#E69F00", "--"),
    "question": ("questions", "#009E73", "-."),
    "classifier": ("labels", "#0072B2", "-"),
    "clip": ("pairs", "#0072B2", "-"),
}
"""Stage of a curve → what its loss is of, colour and line."""


@style.styled
def draw(curves: Mapping[str, pd.DataFrame]) -> Figure:
    """Mean loss of each stage against the step, on a logarithmic scale.

    Args:
        curves: title of a panel → loss curve of a training, columns ``COLUMNS``.

    Returns:
        The figure. In each panel, a stage's line is a Line2D labelled by what its loss is of.

    Raises:
        InputError: a loss is no number above zero.
    """
    figure, axes = style.panels(1, len(curves), style.TEXT_WIDTH, 1.9)
    for ax, (title, curve) in zip(axes[0], curves.items(), strict=True):
        for row in curve[~(np.isfinite(curve["loss"]) & (curve["loss"] > 0))].itertuples():
            raise InputError(f"{title}: found loss {row.loss} at step {row.step}, wanted losses above zero")
        for stage, rows in curve.groupby("stage", sort=False):
            label, colour, line = LOOKS[str(stage)]
            ax.plot(rows["step"], rows["loss"], color=colour, linestyle=line, linewidth=1.2, label=label)
        ax.set_title(title)
        ax.set_yscale("log")
        low, high = ax.get_ylim()
        style.plain_log(ax.yaxis, (1, 2, 5) if high < 100 * low else (1,))
        ax.set_xlim(0)
        ax.grid(axis="y")
        if curve["stage"].nunique() > 1:
            ax.legend(fontsize=6.5, handlelength=1.6)
    figure.supxlabel("optimiser steps", fontsize=8)
    axes[0, 0].set_ylabel("loss (log scale)")
    return figure
