"""Grids of images, framed by their verdicts, with text beside them: before and after erasure."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec, SubplotSpec
from matplotlib.patches import Patch
from PIL import Image

from ear.evaluation.cautions import cautions, measures_of_run
from ear.images.reading import open_image
from ear.report import style
from ear.report.figures.images import blur, choose_prompts, image_sources, image_table, kept_set, wrong_object
from ear.workflow.seeding import ORIGINAL

PIXELS = (
    256  # images are shown at this size: small ones pixel by pixel, where they fit a whole number of times
)
PROMPT_SIZE = 7.0  # points
LETTERS_PER_INCH = 19  # of DejaVu Sans at PROMPT_SIZE
GAP, LEGEND = 0.07, 0.35  # inches, between images and of the legend
FRAMES: dict[str, tuple[str, float, Any, str]] = {
    "shown": ("#D55E00", 2.4, "-", "concept found by the judge"),
    "wrong": (style.INK, 1.3, (0, (2, 1.4)), "another object than in the prompt"),
    "none": (style.RULE, 0.6, "-", ""),
}
"""Verdict → its frame, told apart by width and dashes as well as by colour, and its words in the legend."""
# Inches. Many methods share the width of a page: their cells shrink, down to what still shows an image.
MAX_WIDTH, MAX_SIDE, MIN_SIDE, TEXT = 8.1, 0.82, 0.5, 1.4
HEAD, BLOCK, NOTE = 0.4, 0.32, 0.14
KEPT_PROMPTS = 3
# The same of the overview.
SIDE, TITLE, COLUMN_HEAD, CAPTION = 1.0, 0.28, 0.25, 0.42


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
    x = {"left": box.x0, "center": (box.x0 + box.x1) / 2}[ha]
    middle, gap = (box.y0 + box.y1) / 2, 0.05 / figure.get_figheight()
    y = {"bottom": box.y0, "center": middle, "center_baseline": middle, "top": box.y1 - gap}[va]
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
        image = open_image(found["path"].iloc[0])
        enlarged = PIXELS % image.width == 0
        how = Image.Resampling.NEAREST if enlarged else Image.Resampling.LANCZOS
        image = image.resize((PIXELS, PIXELS), how)
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


def samples(files: Any, params: Any) -> Figure:
    """Images of one concept by prompt and method, of one fine-tuning seed."""
    sources = image_sources(params.runs, files)[params.concept]
    measured = {
        source.method: measures_of_run(scores, source.verdicts, source.window)
        for source, scores in zip(sources, files.scores, strict=True)
    }
    return draw_samples(image_table(sources), params.concept, params.rows, cautions(measured))


@style.styled
def draw_samples(
    images: pd.DataFrame, concept: str, target_prompts: int, cautions: Mapping[str, str]
) -> Figure:
    """A row a prompt, a column a method (the original first); prompts without the concept below the others.

    All images of a row share prompt and random numbers.

    Args:
        images: table of :func:`ear.report.figures.images.image_table`.
        concept: name of the concept.
        target_prompts: rows of the first block; the second has KEPT_PROMPTS.
        cautions: method → what to tell of its images, at the foot.

    Raises:
        InputError: a set is empty or an image cannot be read.
    """
    looks, kept = style.looks_of(images["method"]), kept_set(images)
    blocks = {
        f"Target prompts: {style.concept_label(concept)}": choose_prompts(images, "target", target_prompts),
        f"{style.capital(kept)} prompts: without the concept": choose_prompts(images, kept, KEPT_PROMPTS),
    }
    side = min(MAX_SIDE, max(MIN_SIDE, (MAX_WIDTH - TEXT - 2 * GAP) / len(looks) - GAP))
    widths = [GAP, TEXT, *[side, GAP] * len(looks)]
    told = [f"{looks[method].label}: {text}" for method, text in cautions.items()]
    notes = "\n".join(wrap(text, 0.87 * sum(widths), 9) for text in told)  # bold letters are wider
    heights = [HEAD, *(height for ids in blocks.values() for height in (BLOCK, *[side, GAP] * len(ids)))]
    heights += [NOTE * (notes.count("\n") + 1) if notes else GAP, LEGEND]
    figure, grid = image_grid(heights, widths)
    for column, look in enumerate(looks.values()):
        name = wrap(look.label, 0.8 * side, 3)
        write(figure, grid[0, 2 * column + 2], name, va="center_baseline", fontsize=7.5, fontweight="bold")
    row = 1
    for title, prompt_ids in blocks.items():
        heading: dict[str, Any] = {"fontsize": 8, "fontweight": "bold", "color": style.MUTED}
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


def overview(files: Any, params: Any) -> Figure:
    """All concepts at a glance, for the README: the original beside one method."""
    sources = image_sources(params.runs, files)
    return draw_overview(
        {name: image_table(of_concept) for name, of_concept in sources.items()}, params.method
    )


@style.styled
def draw_overview(
    images: Mapping[str, pd.DataFrame], method: str, target_prompts: int = 3, kept_prompts: int = 1
) -> Figure:
    """Concepts side by side, each with two columns: the original and the erased model.

    Args:
        images: concept → table of :func:`ear.report.figures.images.image_table`.
        method: the method shown beside the original.
        target_prompts: rows of prompts that ask for the concept.
        kept_prompts: rows of prompts that do not.

    Raises:
        InputError: a set is empty or an image cannot be read.
    """
    concepts = style.order_concepts(images)
    kept_row = 3 + 2 * target_prompts
    heights = [TITLE, COLUMN_HEAD, *[SIDE, CAPTION] * target_prompts]
    heights += [COLUMN_HEAD, *[SIDE, CAPTION] * kept_prompts, LEGEND]
    figure, grid = image_grid(heights, pair_columns(len(concepts), SIDE))
    quiet: dict[str, Any] = {"va": "center_baseline", "fontsize": 8, "color": style.MUTED}
    names = {ORIGINAL: "original", method: f"after {style.method_style(method).label}"}
    for number, concept in enumerate(concepts):
        left, table = 1 + 4 * number, images[concept]
        pair = slice(left, left + 3)
        title = f"Erase “{style.concept_label(concept)}”"
        write(figure, grid[0, pair], title, va="center_baseline", fontsize=10, fontweight="bold")
        write(figure, grid[kept_row - 1, pair], "prompt without the concept", **quiet)
        for place, words in enumerate(names.values()):
            write(figure, grid[1, left + 2 * place], words, **quiet)
        sets = ((2, "target", target_prompts), (kept_row, kept_set(table), kept_prompts))
        for first, prompt_set, count in sets:
            for row, prompt_id in enumerate(choose_prompts(table, prompt_set, count)):
                for place, name in enumerate(names):
                    cell = grid[first + 2 * row, left + 2 * place]
                    show_image(figure, cell, table, name, prompt_id)
                prompt = table.loc[table["prompt_id"] == prompt_id, "prompt"].iloc[0]
                write(figure, grid[first + 2 * row + 1, pair], wrap(prompt, 2 * SIDE, 3), va="top")
    explain_frames(figure)
    return figure
