"""Before and after: images of one concept by prompt and method."""

import pandas as pd
from matplotlib.figure import Figure

from ear.figures import style
from ear.figures.grid import PROMPT_SIZE, Grid, legend_height, wrap
from ear.figures.images import choose_prompts

SIDE, GAP, BLOCK_GAP = 0.82, 0.06, 0.32  # inches
TEXT = 1.45
HEADER = 0.2


@style.styled
def draw(images: pd.DataFrame, concept: str, target_prompts: int = 4, retention_prompts: int = 3) -> Figure:
    """A row a prompt, a column a method (the original first); target prompts above, retention prompts below.

    The prompts are the first of each set whose original image is as asked (see
    :func:`ear.figures.images.choose_prompts`). All images of a row share prompt and random numbers.

    Args:
        images: table of :func:`ear.figures.images.image_table`.
        concept: name of the concept.
        target_prompts: rows of the first block.
        retention_prompts: rows of the second block.

    Raises:
        InputError: a set is empty or an image cannot be read.
    """
    methods = style.order_methods(images["method"])
    blocks = {
        f"Target prompts: {style.concept_style(concept).label}": choose_prompts(
            images, "target", target_prompts
        ),
        "Retention prompts: without the concept": choose_prompts(images, "retention", retention_prompts),
    }
    rows = sum(map(len, blocks.values()))
    width = max(style.COLUMN_WIDTH + 0.3, TEXT + GAP + len(methods) * (SIDE + GAP) + 0.04)
    height = HEADER + len(blocks) * BLOCK_GAP + rows * (SIDE + GAP) + legend_height(width)
    grid = Grid(width, height)
    left = [TEXT + GAP + column * (SIDE + GAP) for column in range(len(methods))]
    for x, method in zip(left, methods, strict=True):
        grid.text(
            x + SIDE / 2,
            0.16,
            style.method_style(method).label,
            ha="center",
            va="center",
            fontsize=8,
            fontweight="bold",
        )
    y = HEADER
    for title, prompt_ids in blocks.items():
        grid.text(
            0.05, y + BLOCK_GAP - 0.1, title, fontsize=8, va="baseline", fontweight="bold", color=style.MUTED
        )
        grid.rule(0.05, left[-1] + SIDE, y + BLOCK_GAP - 0.05)
        y += BLOCK_GAP
        for prompt_id in prompt_ids:
            prompt = images.loc[images["prompt_id"] == prompt_id, "prompt"].iloc[0]
            grid.text(
                0.05,
                y + SIDE / 2,
                wrap(prompt, TEXT - 0.05, 6),
                fontsize=PROMPT_SIZE,
                va="center",
                linespacing=1.25,
            )
            for x, method in zip(left, methods, strict=True):
                grid.image(x, y, SIDE, images, method, prompt_id)
            y += SIDE + GAP
    grid.legend(0.05, y + 0.13)
    return grid.figure
