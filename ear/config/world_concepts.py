"""Concepts of the mini world: what can be erased there, and a line that lists it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ear.world.captions import CONCEPTS

if TYPE_CHECKING:
    from ear.config.models import Config

POSSIBLE = "; ".join(f"{kind} {', '.join(names)}" for kind, names in CONCEPTS.items())


def check_world_concepts(config: Config) -> None:
    """The mini world can draw every concept of an experiment on it.

    Raises:
        ValueError: it cannot, or the concept's kind is not that of its words.
    """
    for name, concept in config.concepts.items() if config.world else ():
        kinds = [kind for kind, names in CONCEPTS.items() if concept.words in names]
        if not kinds:
            raise ValueError(
                f"concepts.{name}.words: found {concept.words!r}, "
                f"wanted what the mini world can draw and erase: {POSSIBLE}"
            )
        if concept.kind not in kinds:
            raise ValueError(
                f"concepts.{name}.kind: found {concept.kind}, wanted {kinds[0]} for {concept.words!r}"
            )
