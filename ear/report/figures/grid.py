"""Grids of images with their verdicts as frames, and text beside them."""

import textwrap
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec, SubplotSpec
from matplotlib.patches import Patch
from PIL import Image

from ear.images.reading import open_image
from ear.report import style
from ear.report.figures.images import blur, wrong_object

PIXELS = 256  # small images are enlarged and large ones reduced to this, with a Lanczos filter
PROMPT_SIZE = 7.0  # points
LETTERS_PER_INCH = 19  # of DejaVu Sans at PROMPT_SIZE
GAP, LEGEND = 0.07, 0.5  # inches, between images and of the legend
FRAMES: dict[str, tuple[str, float, Any, str]] = {
    "shown": ("#D55E00", 2.4, "-", "concept found by the judge"),
    "wrong": (style.INK, 1.3, (0, (2, 1.4)), "another object than asked"),
    "none": (style.RULE, 0.6, "-", ""),
}
"""Verdict → its frame, told apart by width and dashes as well as by colour, and its words in the legend."""


def pair_columns(pairs: int, side: float) -> list[float]:
    """Widths of columns for pairs of images, from the left edge to the right: pair i begins in 1 + 4 i."""
    return [GAP, *[side, GAP, side, 4 * GAP] * (pairs - 1), side, GAP, side, GAP]


def image_grid(heights: Sequence[float], widths: Sequence[float]) -> tuple[Figure, GridSpec]:
    """An empty figure of rows and columns of these sizes in inches, for images, text and what is between."""
    figure = Figure(figsize=(sum(widths), sum(heights)))
    edges = {"left": 0, "right": 1, "bottom": 0, "top": 1, "wspace": 0, "hspace": 0}
    ratios = {"height_ratios": heights, "width_ratios": widths}
    return figure, figure.add_gridspec(len(heights), len(widths), **edges, **ratios)


def write(
    figure: Figure, cell: SubplotSpec, text: str, ha: str = "center", va: str = "center", **options: Any
) -> None:
    """Write into a cell, or into several that are next to each other."""
    box = cell.get_position(figure)
    x = {"left": box.x0, "center": (box.x0 + box.x1) / 2, "right": box.x1}[ha]
    y = {"bottom": box.y0, "center": (box.y0 + box.y1) / 2, "top": box.y1}[va]
    figure.text(x, y, text, ha=ha, va=va, **{"fontsize": PROMPT_SIZE, "linespacing": 1.15} | options)


def show_image(figure: Figure, cell: SubplotSpec, images: pd.DataFrame, method: str, prompt_id: str) -> None:
    """Put an image into a cell, framed by its verdict; its axes are labelled ``method|prompt id|verdict``.

    Raises:
        InputError: the file is missing or no image.
    """
    ax = figure.add_subplot(cell, xticks=[], yticks=[])
    found = images[(images["method"] == method) & (images["prompt_id"] == prompt_id)].head(1)
    verdict = "none"
    if found.empty:
        style.note_missing(ax, 0.5, 0.5, "no image", ha="center", transform=ax.transAxes)
    else:
        verdict = "shown" if found["shown"].iloc[0] else "wrong" if wrong_object(found).iloc[0] else "none"
        image = open_image(found["path"].iloc[0]).resize((PIXELS, PIXELS), Image.Resampling.LANCZOS)
        image = blur(image) if found["blurred"].iloc[0] else image
        ax.imshow(image, interpolation="antialiased", aspect="auto")
    colour, width, dashes, _ = FRAMES[verdict]
    ax.spines[:].set(visible=True, color=colour, linewidth=width, linestyle=dashes)
    ax.set_label(f"{method}|{prompt_id}|{verdict}")


def explain_frames(figure: Figure) -> None:
    """Explain the frames at the foot of the figure, in LEGEND inches."""
    handles = [
        Patch(facecolor="white", edgecolor=colour, linewidth=width, linestyle=dashes, label=words)
        for colour, width, dashes, words in FRAMES.values()
        if words
    ]
    across = 2 if figure.get_figwidth() > 3.5 else 1
    figure.legend(handles=handles, loc="lower left", ncols=across, handlelength=1.2, handleheight=1)


def wrap(text: str, inches: float, lines: int) -> str:
    """The text broken into lines; what does not fit so many of them ends in …."""
    return textwrap.fill(text, int(inches * LETTERS_PER_INCH), max_lines=lines, placeholder=" …")
