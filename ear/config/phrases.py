"""Phrases of a zero-shot judge where the config gives none, from how a prompt names the concept."""

from itertools import product
from typing import NamedTuple

from ear.world.captions import CONCEPTS, Frame, caption, shown_with
from ear.world.scenes import COLOURS, OBJECTS, PLACES, TIMES

THINGS = tuple(words for names in CONCEPTS.values() for words in names)
"""How a caption of the mini world names what its pictures may show."""


class Phrases(NamedTuple):
    """Phrases of images that show a concept, and of images that do not."""

    positive: list[str]
    negative: list[str]


def default_phrases(kind: str, words: str, world: bool) -> Phrases:
    """Phrases for and against a concept.

    In the mini world all that a picture can show otherwise is known: an object stands against the other
    objects, a style or an attribute on each object against the same object without it. Elsewhere the concept
    stands against a picture of nothing in particular.

    Args:
        kind: of concept: object, style, attribute or unsafe.
        words: how a prompt names it.
        world: whether pictures are of the mini world.
    """
    if world:
        return _of_the_world(kind, words)
    if kind == "object":
        return Phrases([f"a photo of {'an' if words[0].lower() in 'aeiou' else 'a'} {words}"], ["a photo"])
    return Phrases([f"a picture, {words}"], ["a picture"])


def _of_the_world(kind: str, words: str) -> Phrases:
    """Whole captions, in every colour, place and time: the mini world's small model has read no others."""
    frames = [Frame(0, *scene) for scene in product((None, *COLOURS), PLACES, TIMES)]
    named = [words] if kind == "object" else OBJECTS
    return Phrases(
        [caption(frame, name, **shown_with(words)) for name in named for frame in frames],
        [caption(frame, name, False, False) for name in OBJECTS if name != words for frame in frames],
    )
