"""Semantic coverage of prompt pairs: distinct values of each aspect against the number of pairs."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ear.errors import InputError
from ear.figures import style

COVERAGE_COLUMNS = ("concept", "source", "aspect", "pairs", "distinct")
# A panel each, from left to right; mention has two values and is in the table only.
PANELS = {
    "scene": "scenes",
    "time": "times",
    "viewpoint": "viewpoints",
    "attribute": "attributes",
    "word": "content words",
}
EVERY_SOURCE = "all"
LOOKS: tuple[tuple[str, style.LineStyle], ...] = (
    ("#0072B2", "-"),
    ("#D55E00", "--"),
    ("#009E73", "-."),
    ("#AA3377", "-"),
    ("#8B6D00", "--"),
    ("#555555", "-."),
)
LABEL_SIZE = 6.8  # points
LABEL_GAP = 8.5  # points from one label to the next


@style.styled
def draw(coverage: pd.DataFrame) -> Figure:
    """Distinct values against pairs: a row of panels a concept, a column an aspect, a line a source.

    Args:
        coverage: tables/coverage.csv, plotted as it is.

    Returns:
        The figure. In each panel a source is a Line2D labelled by its name; the last panel of a row, which
        all sources have, writes the names beside the lines' ends, with the number of values reached.

    Raises:
        InputError: the table has no rows.
    """
    if coverage.empty:
        raise InputError("coverage.csv: found no rows, wanted one an aspect and number of pairs")
    concepts = style.order_concepts(coverage["concept"])
    aspects = [aspect for aspect in PANELS if aspect in set(coverage["aspect"])]
    sources = [name for name in dict.fromkeys(coverage["source"]) if name != EVERY_SOURCE]
    looks = {name: LOOKS[number % len(LOOKS)] for number, name in enumerate(sources)}
    looks[EVERY_SOURCE] = (style.INK, ":")
    width = min(style.TEXT_WIDTH, 1.5 + 1.35 * len(aspects))
    figure, axes = style.panels(
        len(concepts), len(aspects), width, 0.45 + 1.35 * len(concepts), sharex=True, sharey="col"
    )
    for row, concept in enumerate(concepts):
        for ax, aspect in zip(axes[row], aspects, strict=True):
            rows = coverage[(coverage["concept"] == concept) & (coverage["aspect"] == aspect)]
            _draw_panel(ax, rows, looks)
            if row == 0:
                ax.set_title(style.capital(PANELS[aspect]))
        label = style.capital(style.concept_style(concept, concepts).label)
        axes[row, 0].set_ylabel(label, fontweight="bold")
    for column, aspect in enumerate(aspects):
        highest = coverage.loc[coverage["aspect"] == aspect, "distinct"].max()
        for ax in axes[:, column]:
            ax.set_ylim(0, 1.12 * highest)
            ax.yaxis.set_major_locator(MaxNLocator(4, integer=True, steps=[1, 2, 5, 10]))
            ax.set_xlim(0, 1.03 * coverage["pairs"].max())
            ax.xaxis.set_major_locator(MaxNLocator(3, integer=True, steps=[1, 2, 5, 10]))
            ax.grid(axis="y")
    figure.draw_without_rendering()  # settles the panels' heights, which labels are kept apart by
    for row, concept in enumerate(concepts):
        rows = coverage[(coverage["concept"] == concept) & (coverage["aspect"] == aspects[-1])]
        _label_ends(axes[row, -1], rows, looks, LABEL_GAP * figure.dpi / 72)
    figure.supxlabel("pairs", fontsize=8)
    figure.supylabel("distinct values", fontsize=8)
    return figure


def _draw_panel(ax: Axes, rows: pd.DataFrame, looks: dict[str, tuple[str, style.LineStyle]]) -> None:
    for source, line in rows.groupby("source", sort=False):
        colour, dashes = looks[str(source)]
        ax.plot(
            line["pairs"],
            line["distinct"],
            color=colour,
            linestyle=dashes,
            linewidth=1.2,
            drawstyle="steps-post",
            label=str(source),
            clip_on=False,
            zorder=2.5 if source == EVERY_SOURCE else 3,
        )
        end = line.iloc[-1]
        ax.plot(
            end["pairs"], end["distinct"], color=colour, marker="o", markersize=2.6, clip_on=False, zorder=4
        )


def _label_ends(
    ax: Axes, rows: pd.DataFrame, looks: dict[str, tuple[str, style.LineStyle]], gap: float
) -> None:
    """Names of the sources to the right of the panel, each at its line's end or as near as others let it."""
    ends = rows.groupby("source", sort=False).tail(1).sort_values("distinct")
    heights = [ax.transData.transform((0, value))[1] for value in ends["distinct"]]
    for (_, end), height in zip(ends.iterrows(), _apart(heights, gap), strict=True):
        ax.annotate(
            f"{end['source'].replace('-', ' ')}  {end['distinct']}",
            (1.0, ax.transAxes.inverted().transform((0, height))[1]),
            xycoords="axes fraction",
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=LABEL_SIZE,
            color=looks[str(end["source"])][0],
            annotation_clip=False,
        )


def _apart(heights: Sequence[float], gap: float) -> list[float]:
    """Ascending heights moved to be ``gap`` apart: each crowd spreads around its middle."""
    crowds: list[list[float]] = []
    for height in heights:
        crowds.append([height])
        while len(crowds) > 1 and _spread(crowds[-1], gap)[0] - _spread(crowds[-2], gap)[-1] < gap:
            crowds[-2:] = [crowds[-2] + crowds[-1]]
    return [place for crowd in crowds for place in _spread(crowd, gap)]


def _spread(crowd: Sequence[float], gap: float) -> list[float]:
    middle = sum(crowd) / len(crowd)
    return [middle + (number - (len(crowd) - 1) / 2) * gap for number in range(len(crowd))]
