"""The window length W of windowed gradient accumulation against the concept rate."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ear.evaluation.columns import WINDOW_LENGTH_CSV
from ear.evaluation.deviations import WINDOW_LENGTH, Published
from ear.report import style
from ear.report.figures.multiples import Sweep, draw_sweeps
from ear.report.rows import pooled

PUBLISHED = "published rate"  # beside the methods
PUBLISHED_LOOK = style.Look("Published", style.INK, "D", 4.5, ":")


def plot(files: Any, params: Any) -> Figure:
    """The figure, of the rule's input and parameters: of methods that train all lengths."""
    table = WINDOW_LENGTH_CSV.read(files.table)
    swept = table[table["method"].isin(params.methods)]
    return draw(swept, params.own_windows, WINDOW_LENGTH if params.published else ())


@style.styled
def draw(
    window_length: pd.DataFrame, own_window: Mapping[str, int], published: Sequence[Published] = ()
) -> Figure:
    """Concept rate by W.

    Args:
        window_length: the tidy table by window; its rows ``concept_rate`` are plotted.
        own_window: concept → the W that the experiment uses in all other results.
        published: published rates of single window lengths; those of measured concepts are plotted.
    """
    key = ("concept", "method", "window")
    rows = pooled(window_length, key, "window-length.csv", metric="concept_rate")
    concepts = style.order_concepts(rows["concept"])
    theirs = [value for value in published if value.concept in concepts]
    if theirs:
        rows = pd.concat([rows, pd.DataFrame([_row(value) for value in theirs])])
    rows = rows.rename(columns={"window": "x"})
    sweep = Sweep(rows, "window length W (image tokens)", own_window)
    figure, axes = draw_sweeps([sweep], {PUBLISHED: PUBLISHED_LOOK})
    for ax, concept in zip(axes[0], concepts, strict=True):
        for obstacle in {one.obstacle for one in theirs if one.concept == concept and one.obstacle}:
            place = {"ha": "center", "transform": ax.transAxes, "backgroundcolor": "white"}
            style.note_missing(ax, 0.5, 0.87, fill(obstacle, 24), **place)
    return figure


def _row(value: Published) -> dict[str, object]:
    """A published rate as a row of the table; its interval is what reading it off a plot leaves open."""
    error = value.tolerance or 0.0
    ends = {"value": value.value, "ci_low": value.value - error, "ci_high": value.value + error}
    return {"concept": value.concept, "method": PUBLISHED, "window": value.window, **ends}
