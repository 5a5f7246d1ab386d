"""All concepts at a glance, for the README: the original beside the erased model on the same prompts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ear.errors import InputError
from ear.figures import style
from ear.figures.grid import PROMPT_SIZE, Grid, legend_height, wrap
from ear.figures.images import choose_prompts, image_table, kept_set
from ear.figures.sources import sources_by_concept
from ear.names import ORIGINAL

SIDE, GAP, CONCEPT_GAP, MARGIN = 1.0, 0.07, 0.3, 0.08  # inches
BLOCK = 2 * SIDE + GAP
HEADER, KEPT_HEADER = 0.5, 0.27
LINE, CAPTION_PADDING, CAPTION_LINES = 0.125, 0.17, 3


@dataclass(frozen=True)
class _Row:
    prompt_set: str
    prompt_ids: dict[str, str]  # concept -> prompt
    captions: dict[str, str]

    @property
    def height(self) -> float:
        return SIDE + CAPTION_PADDING + LINE * max(text.count("\n") + 1 for text in self.captions.values())


def plot(files: Any, params: Any) -> Figure:
    """The figure, of the rule's input and parameters."""
    sources = sources_by_concept(params.windows, files.manifests, files.verdicts, params.blurred)
    images = {concept: image_table(of_concept) for concept, of_concept in sources.items()}
    return draw(images, params.method)


@style.styled
def draw(
    images: Mapping[str, pd.DataFrame],
    method: str = "ear",
    target_prompts: int = 3,
    kept_prompts: int = 1,
) -> Figure:
    """Concepts side by side, each with two columns: the original and the erased model.

    The prompts are the first of each set whose original image is as asked
    (see :func:`ear.figures.images.choose_prompts`).

    Args:
        images: concept → table of :func:`ear.figures.images.image_table`, with ``original`` and ``method``.
        method: the method shown beside the original.
        target_prompts: rows of prompts that ask for the concept.
        kept_prompts: rows of prompts that do not.

    Raises:
        InputError: a concept has no images of ``method``, too few prompts qualify or an image cannot be read.
    """
    concepts = style.order_concepts(images)
    for concept in concepts:
        if method not in set(images[concept]["method"]):
            raise InputError(f"overview: {concept}: found no images of method {method!r}, wanted some")
    kept = kept_set(images[concepts[0]])
    rows = [*_rows(images, "target", target_prompts), *_rows(images, kept, kept_prompts)]
    width = len(concepts) * (BLOCK + CONCEPT_GAP) - CONCEPT_GAP + 2 * MARGIN
    pictures = HEADER + sum(row.height for row in rows) + KEPT_HEADER
    grid = Grid(width, pictures + legend_height(width))
    columns = {concept: MARGIN + index * (BLOCK + CONCEPT_GAP) for index, concept in enumerate(concepts)}
    pair = {ORIGINAL: 0.0, method: SIDE + GAP}
    for concept, x in columns.items():
        title = f"Erase “{style.concept_style(concept).label}”"
        grid.text(x + BLOCK / 2, 0.14, title, ha="center", va="center", fontsize=10, fontweight="bold")
        for name, offset in pair.items():
            text = "original" if name == ORIGINAL else f"after {style.method_style(name).label}"
            grid.text(x + offset + SIDE / 2, HEADER - 0.1, text, ha="center", va="center", color=style.MUTED)
    y = HEADER
    previous = "target"
    for row in rows:
        if row.prompt_set != previous:
            for x in columns.values():
                grid.rule(x, x + BLOCK, y)
                grid.text(
                    x + BLOCK / 2,
                    y + 0.13,
                    "prompt without the concept",
                    ha="center",
                    va="center",
                    color=style.MUTED,
                )
            y += KEPT_HEADER
        for concept, x in columns.items():
            for name, offset in pair.items():
                grid.image(x + offset, y, SIDE, images[concept], name, row.prompt_ids[concept])
            options = {"ha": "center", "va": "top", "fontsize": PROMPT_SIZE, "linespacing": 1.15}
            grid.text(x + BLOCK / 2, y + SIDE + 0.06, row.captions[concept], **options)
        y += row.height
        previous = row.prompt_set
    grid.legend(MARGIN + 0.02, pictures + 0.13)
    return grid.figure


def _rows(images: Mapping[str, pd.DataFrame], prompt_set: str, count: int) -> list[_Row]:
    chosen = {concept: choose_prompts(table, prompt_set, count) for concept, table in images.items()}
    for concept, ids in chosen.items():
        if len(ids) < count:
            where = f"overview: {concept}: {prompt_set}"
            raise InputError(f"{where}: found {len(ids)} prompts, wanted {count}")
    rows = []
    for index in range(count):
        prompt_ids = {concept: chosen[concept][index] for concept in images}
        captions = {}
        for concept, prompt_id in prompt_ids.items():
            table = images[concept]
            captions[concept] = wrap(
                table.loc[table["prompt_id"] == prompt_id, "prompt"].iloc[0], BLOCK, CAPTION_LINES
            )
        rows.append(_Row(prompt_set, prompt_ids, captions))
    return rows
