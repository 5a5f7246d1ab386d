"""Images of one prompt side by side, before and after erasure, as the page shows them."""

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
from PIL import Image

from ear.evaluation.protocols import TARGET
from ear.images.reading import open_image
from ear.report.figures.images import ImageSource, blur, choose_prompts, image_table, kept_set, wrong_object
from ear.report.gallery import SMALL, image_uri
from ear.report.style import concept_label, looks_of
from ear.workflow.seeding import ORIGINAL

PIXELS = 256  # longest side of larger images; twice what the page shows, for fine screens
PAIRS = 2, 1
"""Target prompts and others of which the page shows the original and one method at its top."""
KEPT_PROMPTS = 3
"""Prompts without the concept of which all methods are shown."""


def before_after(
    concept: str, sources: Sequence[ImageSource], method: str, target_prompts: int
) -> dict[str, Any]:
    """Images of a concept, of the first fine-tuning seed, as the template takes them.

    Args:
        concept: its name.
        sources: images of its runs.
        method: the one that stands beside the original at the top.
        target_prompts: target prompts for which all methods are shown.

    Returns:
        The concept's label; ``pairs`` and ``all``, each with the labels of its columns and its rows: prompt,
        whether it asks for the concept, and a cell a column, None where there is no image.

    Raises:
        InputError: a set is empty or an image cannot be read.
    """
    first = {source.method: source for source in reversed(sources)}
    images = image_table(list(first.values()))
    images = images.assign(wrong=wrong_object(images))
    names = [name for name in (ORIGINAL, method) if name in first]
    every = list(looks_of(first))
    pairs = _rows(images, names, *PAIRS)
    return {
        "label": concept_label(concept),
        "pairs": pairs,
        "all": _rows(images, every, target_prompts, KEPT_PROMPTS) if len(every) > len(names) else None,
    }


def _rows(images: pd.DataFrame, methods: Sequence[str], target: int, kept: int) -> dict[str, Any]:
    looks = looks_of(methods)
    chosen = [(TARGET, target), (kept_set(images), kept)]
    return {
        "methods": [look.label for look in looks.values()],
        "rows": [
            _row(images[images["prompt_id"] == prompt_id], looks, prompt_set == TARGET)
            for prompt_set, count in chosen
            for prompt_id in choose_prompts(images, prompt_set, count)
        ],
    }


def _row(images: pd.DataFrame, methods: Iterable[str], asks: bool) -> dict[str, Any]:
    by_method = images.drop_duplicates("method").set_index("method")
    cells = [_cell(by_method.loc[name]) if name in by_method.index else None for name in methods]
    return {"prompt": str(images["prompt"].iloc[0]), "asks": asks, "cells": cells}


def _cell(image: Any) -> dict[str, Any]:
    picture = open_image(image["path"])
    picture.thumbnail((PIXELS, PIXELS), Image.Resampling.LANCZOS)
    small = max(picture.size) <= SMALL
    picture = blur(picture) if image["blurred"] else picture
    verdict = "shown" if image["shown"] else "wrong" if image["wrong"] else ""
    return {"uri": image_uri(picture, lossless=small), "small": small, "verdict": verdict}
