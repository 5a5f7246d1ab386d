"""All concepts at a glance, for the README: the original beside the erased model on the same prompts."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ear.errors import InputError
from ear.report import style
from ear.report.figures.grid import LEGEND, explain_frames, image_grid, pair_columns, show_image, wrap, write
from ear.report.figures.images import choose_prompts, image_sources, image_table, kept_set
from ear.workflow.seeding import ORIGINAL

SIDE, TITLE, HEAD, CAPTION = 1.0, 0.28, 0.25, 0.42  # inches


def plot(files: Any, params: Any) -> Figure:
    """The figure, of the rule's input and parameters."""
    sources = image_sources(params.runs, files)
    return draw({concept: image_table(of_concept) for concept, of_concept in sources.items()}, params.method)


@style.styled
def draw(
    images: Mapping[str, pd.DataFrame], method: str, target_prompts: int = 3, kept_prompts: int = 1
) -> Figure:
    """Concepts side by side, each with two columns: the original and the erased model.

    The prompts are the first of each set whose original image is as asked
    (see :func:`ear.report.figures.images.choose_prompts`).

    Args:
        images: concept → table of :func:`ear.report.figures.images.image_table`, with ``original`` and
        ``method``. method: the method shown beside the original.
        target_prompts: rows of prompts that ask for the concept.
        kept_prompts: rows of prompts that do not.

    Raises:
        InputError: a concept has no images of ``method``, too few prompts qualify or an image cannot be read.
    """
    concepts = style.order_concepts(images)
    for concept in concepts:
        if method not in set(images[concept]["method"]):
            raise InputError(f"overview: {concept}: found no images of method {method!r}, wanted some")
    sets = {"target": target_prompts, kept_set(images[concepts[0]]): kept_prompts}
    chosen = {
        concept: [
            one for name, count in sets.items() for one in _chosen(concept, images[concept], name, count)
        ]
        for concept in concepts
    }
    heights = [TITLE, HEAD, *[SIDE, CAPTION] * target_prompts, HEAD, *[SIDE, CAPTION] * kept_prompts, LEGEND]
    figure, grid = image_grid(heights, pair_columns(len(concepts), SIDE))
    quiet: dict[str, Any] = {"fontsize": 8, "color": style.MUTED}
    names = {ORIGINAL: "original", method: f"after {style.method_style(method).label}"}
    for number, concept in enumerate(concepts):
        left = 1 + 4 * number
        pair, table = slice(left, left + 3), images[concept]
        title = f"Erase “{style.concept_label(concept)}”"
        write(figure, grid[0, pair], title, fontsize=10, fontweight="bold")
        write(figure, grid[2 + 2 * target_prompts, pair], "prompt without the concept", **quiet)
        for place, (name, words) in enumerate(names.items()):
            write(figure, grid[1, left + 2 * place], words, **quiet)
            for line, prompt_id in enumerate(chosen[concept]):
                row = 2 + 2 * line + (line >= target_prompts)
                show_image(figure, grid[row, left + 2 * place], table, name, prompt_id)
                prompt = table.loc[table["prompt_id"] == prompt_id, "prompt"].iloc[0]
                if place == 0:
                    write(figure, grid[row + 1, pair], wrap(prompt, 2 * SIDE, 3))
    explain_frames(figure)
    return figure


def _chosen(concept: str, images: pd.DataFrame, prompt_set: str, count: int) -> list[str]:
    found = choose_prompts(images, prompt_set, count)
    if len(found) < count:
        raise InputError(f"overview: {concept}: {prompt_set}: found {len(found)} prompts, wanted {count}")
    return found
