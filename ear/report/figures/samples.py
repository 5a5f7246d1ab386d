"""Before and after: images of one concept by prompt and method."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ear.evaluation.cautions import cautions, measures_of_run
from ear.report import style
from ear.report.figures.grid import GAP, LEGEND, explain_frames, image_grid, show_image, wrap, write
from ear.report.figures.images import choose_prompts, image_sources, image_table, kept_set

# Inches. Many methods share the width of a page: their cells shrink, down to what still shows an image.
MAX_WIDTH, MAX_SIDE, MIN_SIDE, TEXT = 8.1, 0.82, 0.5, 1.4
HEAD, BLOCK, NOTE = 0.4, 0.32, 0.14


def plot(files: Any, params: Any) -> Figure:
    """The figure, of the rule's input and parameters."""
    sources = image_sources(params.runs, files)[params.concept]
    measured = {
        source.method: measures_of_run(scores, source.verdicts, source.window)
        for source, scores in zip(sources, files.scores, strict=True)
    }
    return draw(image_table(sources), params.concept, params.rows, cautions=cautions(measured))


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
    :func:`ear.report.figures.images.choose_prompts`). All images of a row share prompt and random numbers.

    Args:
        images: table of :func:`ear.report.figures.images.image_table`.
        concept: name of the concept.
        target_prompts: rows of the first block.
        kept_prompts: rows of the second block.
        cautions: method → what to tell of its images, at the foot.

    Raises:
        InputError: a set is empty or an image cannot be read.
    """
    looks, kept = style.looks_of(images["method"]), kept_set(images)
    blocks = {
        f"Target prompts: {style.concept_label(concept)}": choose_prompts(images, "target", target_prompts),
        f"{style.capital(kept)} prompts: without the concept": choose_prompts(images, kept, kept_prompts),
    }
    side = min(MAX_SIDE, max(MIN_SIDE, (MAX_WIDTH - TEXT - 2 * GAP) / len(looks) - GAP))
    widths = [GAP, TEXT, *[side, GAP] * len(looks)]
    told = [f"{looks[method].label}: {text}" for method, text in (cautions or {}).items()]
    notes = "\n".join(wrap(text, 0.87 * sum(widths), 9) for text in told)  # bold letters are wider
    heights = [HEAD, *(height for ids in blocks.values() for height in (BLOCK, *[side, GAP] * len(ids)))]
    heights += [NOTE * (notes.count("\n") + 1) if notes else GAP, LEGEND]
    figure, grid = image_grid(heights, widths)
    for column, look in enumerate(looks.values()):
        heading: dict[str, Any] = {"fontsize": 7.5, "fontweight": "bold"}
        name = wrap(look.label, 0.8 * side, 3)
        write(figure, grid[0, 2 * column + 2], name, va="bottom", **heading)
    row = 1
    for title, prompt_ids in blocks.items():
        heading = {"fontsize": 8, "fontweight": "bold", "color": style.MUTED}
        write(figure, grid[row, 1:], title, ha="left", **heading)
        for prompt_id in prompt_ids:
            row += 1
            prompt = images.loc[images["prompt_id"] == prompt_id, "prompt"].iloc[0]
            write(figure, grid[row, 1], wrap(prompt, TEXT, int(side / 0.13)), ha="left")
            for column, method in enumerate(looks):
                show_image(figure, grid[row, 2 * column + 2], images, method, prompt_id)
            row += 1
        row += 1
    write(figure, grid[row, 1:], notes, ha="left", fontweight="bold")
    explain_frames(figure)
    return figure
