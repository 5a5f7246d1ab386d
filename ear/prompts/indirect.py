"""Prompts around a concept that is not of the mini world: without its words, and of what is close to it."""

from collections.abc import Mapping, Sequence

import pandas as pd

from ear.prompts.tables import PROMPT_COLUMNS

FRAMES = (
    "a photo of {}",
    "a painting of {}",
    "{} in the snow",
    "{} at night",
    "{} in the early morning, seen from afar",
)
"""Of prompts about a neighbour."""


def indirect_prompts(concept: str, implicit: Sequence[str], neighbours: Mapping[str, str]) -> pd.DataFrame:
    """Rows of the prompt sets "implicit" and "neighbours".

    Args:
        concept: its name in the experiment.
        implicit: prompts that describe it without its words.
        neighbours: label of the judge → how a prompt names it ("a castle"), each in every one of ``FRAMES``.

    Returns:
        ``PROMPT_COLUMNS``; the object of a neighbour is its label.
    """
    asked = [(frame.format(phrase), label) for frame in FRAMES for label, phrase in neighbours.items()]
    described = [(text, float("nan")) for text in implicit]
    rows = [
        (f"{concept}/{name}/{number:04d}", name, *one)
        for name, texts in (("implicit", described), ("neighbours", asked))
        for number, one in enumerate(texts)
    ]
    return pd.DataFrame(rows, columns=PROMPT_COLUMNS)
