"""Grids of images placed in inches: cells of one size with verdicts as frames, and text beside them."""

import textwrap
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from PIL import Image

from ear.figures import style
from ear.figures.images import blur, wrong_object
from ear.images import open_image

PIXELS = 256  # small images are enlarged and large ones reduced to this, with a Lanczos filter
SHOWN = "#D55E00"
PROMPT_SIZE = 7.0  # points
PROMPT_WIDTH_PER_INCH = 19.0  # letters of DejaVu Sans at PROMPT_SIZE in an inch

LEGEND = (("shown", "concept found by the judge"), ("wrong", "another object than asked"))
LEGEND_STEP, LEGEND_LINE, LEGEND_WIDTH = 1.75, 0.19, 3.5  # inches


class Grid:
    """An empty figure in inches, measured from its upper left corner."""

    def __init__(self, width: float, height: float) -> None:
        self.figure = Figure(figsize=(width, height))
        self.width, self.height = width, height

    def text(self, x: float, y: float, text: str, **options: Any) -> None:
        """Write at (x, y); options as for Figure.text."""
        self.figure.text(x / self.width, 1 - y / self.height, text, **options)

    def rule(self, x0: float, x1: float, y: float) -> None:
        """Draw a thin horizontal line."""
        position = [1 - y / self.height] * 2
        line = Line2D(
            [x0 / self.width, x1 / self.width],
            position,
            color=style.RULE,
            linewidth=0.8,
            transform=self.figure.transFigure,
        )
        self.figure.add_artist(line)

    def image(
        self, x: float, y: float, side: float, images: pd.DataFrame, method: str, prompt_id: str
    ) -> None:
        """Put an image, framed by its verdict, with its upper left corner at (x, y).

        Its axes are labelled ``method|prompt id`` and its frame by the verdict: shown, wrong or none.
        """
        found = images[(images["method"] == method) & (images["prompt_id"] == prompt_id)].head(1)
        box = (x / self.width, 1 - (y + side) / self.height, side / self.width, side / self.height)
        ax = self.figure.add_axes(box, label=f"{method}|{prompt_id}")
        ax.set(xticks=[], yticks=[])
        if found.empty:
            _frame(ax, "none")
            ax.text(
                0.5,
                0.5,
                "no image",
                color=style.MUTED,
                fontsize=6.5,
                style="italic",
                ha="center",
                va="center",
            )
            return
        picture = cell_of(found["path"].iloc[0], found["blurred"].iloc[0])
        ax.imshow(picture, interpolation="antialiased", aspect="auto")
        _frame(ax, "shown" if found["shown"].iloc[0] else "wrong" if wrong_object(found).iloc[0] else "none")

    def legend(self, x: float, y: float) -> None:
        """Explain the frames from (x, y) to the right, or downwards where the figure is narrow."""
        across = self.width >= LEGEND_WIDTH
        for place, (kind, text) in enumerate(LEGEND):
            left, top = (x + place * LEGEND_STEP, y) if across else (x, y + place * LEGEND_LINE)
            box = (left / self.width, 1 - (top + 0.06) / self.height, 0.13 / self.width, 0.12 / self.height)
            ax = self.figure.add_axes(box)
            ax.set(xticks=[], yticks=[])
            _frame(ax, kind)
            self.text(left + 0.2, top, text, fontsize=7, va="center")


def legend_height(width: float) -> float:
    """Inches that the explanation of the frames takes at the foot of a figure of this width."""
    return 0.28 if width >= LEGEND_WIDTH else 0.28 + LEGEND_LINE


def cell_of(path: str | Path, blurred: bool = False) -> Image.Image:
    """An image as RGB at the size of a cell, perhaps blurred until no shape can be made out.

    Raises:
        InputError: the file is missing or no image.
    """
    cell = open_image(path).resize((PIXELS, PIXELS), Image.Resampling.LANCZOS)
    return blur(cell) if blurred else cell


def wrap(prompt: str, inches: float, lines: int) -> str:
    """The prompt broken into few lines of like length; what does not fit ``lines`` of them ends in …."""
    width = int(inches * PROMPT_WIDTH_PER_INCH)
    broken = textwrap.wrap(prompt, width, max_lines=lines, placeholder=" …")
    while len(narrower := textwrap.wrap(prompt, width, break_long_words=False)) <= len(broken) and width > 1:
        broken, width = narrower, width - 1
    return "\n".join(broken)


def _frame(ax: Axes, kind: str) -> None:
    """Frame of a verdict: told apart by width and dashes as well as by colour."""
    line = {
        "shown": (SHOWN, 2.4, "-"),
        "wrong": (style.INK, 1.3, (0, (2, 1.4))),
        "none": (style.RULE, 0.6, "-"),
    }[kind]
    ax.spines[:].set_visible(False)
    frame = Rectangle((0, 0), 1, 1, transform=ax.transAxes, fill=False, clip_on=False, zorder=5, label=kind)
    frame.set(edgecolor=line[0], linewidth=line[1], linestyle=line[2])
    ax.add_patch(frame)
