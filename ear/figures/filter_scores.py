"""How a concept's judges score the images of its candidate pairs, the unsafe and the safe sides apart."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ear.errors import InputError
from ear.figures import style
from ear.files import read_csv

SIDES: Mapping[str, tuple[str, str]] = {
    "unsafe": ("#D55E00", "prompts with the concept"),
    "safe": ("#0072B2", "their twins without"),
}
BINS = np.linspace(0, 1, 26)
JUDGES = {"judge": "", "second judge": "second_"}
"""Judge → prefix of its columns."""
COLUMNS = 4
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
        The figure. In each panel the histograms are StepPatch artists labelled by their side, and the
        threshold, if the judge has one, a Line2D labelled ``threshold``.

    Raises:
        InputError: there are no concepts.
    """
    if not verdicts:
        raise InputError("verdicts of pairs: found no concept, wanted at least one")
    concepts = style.order_concepts(verdicts)
    drawn = [
        (concept, name)
        for concept in concepts
        for name, prefix in JUDGES.items()
        if f"{prefix}score" in verdicts[concept]
    ]
    rows = -(-len(drawn) // COLUMNS)
    columns = -(-len(drawn) // rows)
    width = max(style.COLUMN_WIDTH, min(style.TEXT_WIDTH, 0.6 + 1.75 * columns))
    figure, axes = style.panels(rows, columns, width, 0.75 + 1.35 * rows, sharex=True)
    for ax, (concept, name) in zip(axes.flat, drawn, strict=False):
        _panel(ax, verdicts[concept], JUDGES[name])
        second = ", second judge" if JUDGES[name] else ""
        ax.set_title(style.capital(style.concept_style(concept, concepts).label) + second)
        ax.tick_params(labelbottom=True)
    for ax in axes.flat[len(drawn) :]:
        ax.remove()
    axes[0, 0].set_xlim(0, 1)
    axes[0, 0].set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    figure.supxlabel("judge's score", fontsize=8)
    figure.supylabel("images", fontsize=8)
    marks = _legend(figure.axes)
    across = 3 if columns > 1 else 1  # side by side they are wider than one panel
    figure.legend(
        list(marks.values()), list(marks), loc="outside upper center", ncols=across, columnspacing=1.4
    )
    return figure


def _panel(ax: Axes, images: pd.DataFrame, prefix: str) -> None:
    for side, (colour, _) in SIDES.items():
        scores = images.loc[images["prompt_set"] == side, f"{prefix}score"]
        counts, _ = np.histogram(scores, BINS)
        ax.stairs(counts, BINS, fill=True, color=colour, alpha=0.45, label=side)
        ax.stairs(counts, BINS, color=colour, linewidth=0.9)
    threshold = images[f"{prefix}threshold"].iloc[0]
    if pd.notna(threshold):
        ax.axvline(threshold, color=style.INK, linewidth=0.9, linestyle=(0, (4, 2)), label="threshold")
    ax.grid(axis="y")


def _legend(axes: Iterable[Axes]) -> dict[str, Artist]:
    """Words for readers → a mark of any panel, for all that is drawn."""
    found: dict[str, Artist] = {}
    for ax in axes:
        found |= {label: mark for mark, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    words = {side: text for side, (_, text) in SIDES.items()} | {"threshold": "threshold"}
    return {text: found[label] for label, text in words.items() if label in found}
