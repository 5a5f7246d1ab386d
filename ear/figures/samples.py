"""Before and after: images of one concept by prompt and method."""

import textwrap
from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ear.figures import style
from ear.figures.grid import PROMPT_SIZE, PROMPT_WIDTH_PER_INCH, Grid, legend_height, wrap
from ear.figures.images import choose_prompts, image_table, kept_set
from ear.figures.sources import image_sources
from ear.metrics.cautions import cautions, measures_of_run

# Inches. Many methods share the width of a page: their cells shrink, down to what still shows an image.
MAX_WIDTH, MAX_SIDE, MIN_SIDE = 8.1, 0.82, 0.5
GAP, BLOCK_GAP = 0.06, 0.32
TEXT, MARGIN = 1.45, 0.04
PROMPT_LINE = NOTE_LINE = 0.13  # a line of a prompt, of a note
NOTE_GAP, BOLD = 0.06, 1.15  # over the notes; how much wider their letters are
HEADER_LINE, HEADER_LETTER = 0.14, 0.071  # a line of a column's name, a letter of it


def plot(files: Any, params: Any) -> Figure:
    """The figure, of the rule's input and parameters."""
    images = image_table(image_sources(params.windows, files.manifests, files.verdicts, params.blurred))
    runs = zip(files.scores, files.verdicts, params.windows.values(), strict=True)
    measured = {name: measures_of_run(*run) for name, run in zip(params.windows, runs, strict=True)}
    return draw(images, params.concept, params.rows, cautions=cautions(measured))


@style.styled
def draw(
    images: pd.DataFrame,
    concept: str,
    target_prompts: int = 4,
    kept_prompts: int = 3,
    cautions: Mapping[str, str] | None = None,
) -> Figure:
    """A row a prompt, a column a method (the original first); prompts without the concept below the others.

    The prompts are the first of each set whose original image is as asked (see
    :func:`ear.figures.images.choose_prompts`). All images of a row share prompt and random numbers.

    Args:
        images: table of :func:`ear.figures.images.image_table`.
        concept: name of the concept.
        target_prompts: rows of the first block.
        kept_prompts: rows of the second block.
        cautions: method → what to tell beside the frames of its images, at the foot.

    Raises:
        InputError: a set is empty or an image cannot be read.
    """
    methods, kept = style.order_methods(images["method"]), kept_set(images)
    blocks = {
        f"Target prompts: {style.concept_style(concept).label}": choose_prompts(
            images, "target", target_prompts
        ),
        f"{style.capital(kept)} prompts: without the concept": choose_prompts(images, kept, kept_prompts),
    }
    rows = sum(map(len, blocks.values()))
    side = min(MAX_SIDE, max(MIN_SIDE, (MAX_WIDTH - TEXT - GAP - MARGIN) / len(methods) - GAP))
    names = [_broken(style.method_style(method).label, side + GAP) for method in methods]
    header = 0.06 + HEADER_LINE * (1 + max(name.count("\n") for name in names))
    width = max(style.COLUMN_WIDTH + 0.3, TEXT + GAP + len(methods) * (side + GAP) + MARGIN)
    told = [f"{style.method_style(method).label}: {text}" for method, text in (cautions or {}).items()]
    notes = [line for text in told for line in textwrap.wrap(text, int(width * PROMPT_WIDTH_PER_INCH / BOLD))]
    pictures = header + len(blocks) * BLOCK_GAP + rows * (side + GAP)
    height = pictures + legend_height(width) + NOTE_LINE * len(notes) + (NOTE_GAP if notes else 0)
    grid = Grid(width, height)
    left = [TEXT + GAP + column * (side + GAP) for column in range(len(methods))]
    for x, name in zip(left, names, strict=True):
        options = {"ha": "center", "va": "baseline", "fontsize": 7.5, "linespacing": 1.15}
        grid.text(x + side / 2, header, name, fontweight="bold", **options)
    y = header
    for title, prompt_ids in blocks.items():
        grid.text(
            0.05, y + BLOCK_GAP - 0.1, title, fontsize=8, va="baseline", fontweight="bold", color=style.MUTED
        )
        grid.rule(0.05, left[-1] + side, y + BLOCK_GAP - 0.05)
        y += BLOCK_GAP
        for prompt_id in prompt_ids:
            prompt = images.loc[images["prompt_id"] == prompt_id, "prompt"].iloc[0]
            grid.text(
                0.05,
                y + side / 2,
                wrap(prompt, TEXT - 0.05, int(side / PROMPT_LINE)),
                fontsize=PROMPT_SIZE,
                va="center",
                linespacing=1.25,
            )
            for x, method in zip(left, methods, strict=True):
                grid.image(x, y, side, images, method, prompt_id)
            y += side + GAP
    grid.legend(0.05, y + 0.13)
    for number, note in enumerate(notes):
        below = y + legend_height(width) + NOTE_GAP + NOTE_LINE * number
        grid.text(0.05, below, note, fontsize=PROMPT_SIZE, va="center", fontweight="bold")
    return grid.figure


def _broken(name: str, inches: float) -> str:
    return "\n".join(textwrap.wrap(name, max(1, int(inches / HEADER_LETTER)), break_long_words=False))
