"""How a concept's judges score the images of its candidate pairs, the unsafe and the safe sides apart."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ear.errors import InputError
from ear.report import style
from ear.workflow.files import read_csv

SIDES = {"unsafe": ("#D55E00", "prompts with the concept"), "safe": ("#0072B2", "their twins without")}
BINS = np.linspace(0, 1, 26)
JUDGES = {"": "", "second_": ", second judge"}
"""Prefix of a judge's columns → its mark in the heading."""
COLUMNS = 3
"""Most panels side by side."""


def plot(files: Any, params: Any) -> Figure:
    """The figure, of the rule's input and parameters."""
    verdicts = [read_csv(path, ("prompt_set", "score", "threshold")) for path in files.verdicts]
    return draw(dict(zip(params.concepts, verdicts, strict=True)))


@style.styled
def draw(verdicts: Mapping[str, pd.DataFrame]) -> Figure:
    """Histograms of scores: a panel a concept, and one more where it has a second judge.

    Args:
        verdicts: concept → one row an image, columns prompt_set ("unsafe" or "safe"), score, threshold (empty
            for judges that rank) and, of a second judge, second_score and second_threshold.

    Returns:
        The figure. In each panel the histograms are Polygon artists labelled by their side's words, and the
        threshold, if the judge has one, a Line2D labelled ``threshold``.

    Raises:
        InputError: there are no concepts.
    """
    if not verdicts:
        raise InputError("verdicts of pairs: found no concept, wanted at least one")
    drawn = [
        (concept, prefix)
        for concept in style.order_concepts(verdicts)
        for prefix in JUDGES
        if f"{prefix}score" in verdicts[concept]
    ]
    columns = min(COLUMNS, len(drawn))
    rows = -(-len(drawn) // columns)
    figure, axes = style.panels(rows, columns, style.panel_width(columns), 0.75 + 1.35 * rows)
    legend: dict[str, Any] = {}
    for ax, (concept, prefix) in zip(axes.flat, drawn, strict=False):
        images = verdicts[concept]
        for side, (colour, words) in SIDES.items():
            scores = images.loc[images["prompt_set"] == side, f"{prefix}score"]
            look: dict[str, Any] = {
                "facecolor": (colour, 0.45),
                "edgecolor": colour,
                "linewidth": 0.9,
                "label": words,
            }
            ax.hist(scores, BINS, histtype="stepfilled", **look)
        threshold = images[f"{prefix}threshold"].iloc[0]
        if pd.notna(threshold):
            ax.axvline(threshold, color=style.INK, linewidth=0.9, linestyle=(0, (4, 2)), label="threshold")
        ax.set_title(style.concept_title(concept) + JUDGES[prefix])
        ax.set_xlim(0, 1)
        ax.grid(axis="y")
        marks, words = ax.get_legend_handles_labels()
        legend |= dict(zip(words, marks, strict=True))
    for ax in axes.flat[len(drawn) :]:
        ax.remove()
    figure.supxlabel("judge's score", fontsize=8)
    figure.supylabel("images", fontsize=8)
    across = 3 if columns > 1 else 1  # side by side they are wider than one panel
    place: dict[str, Any] = {"loc": "outside upper center", "ncols": across, "columnspacing": 1.4}
    figure.legend(list(legend.values()), list(legend), **place)
    return figure
