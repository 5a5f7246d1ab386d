"""The config of the axes beside a concept's own prompts: indirect prompts, attacks, what is left of the rest.

Each axis is a protocol with a version (``ear.axes``); one that has no key here is not measured.
"""

from itertools import pairwise
from typing import Annotated

from pydantic import Field, field_validator

from ear.config.section import Positive, Rate, Section

Scale = Annotated[float, Field(ge=1, allow_inf_nan=False)]


class Search(Section):
    """Attack on the prompt: words are looked for that bring the concept back."""

    prompts: Positive = Field(description="first target prompts that are attacked")
    tokens: Positive = Field(description="tokens of the vocabulary that the attacker appends to a prompt")
    queries: Positive = Field(description="images that each attack may draw and judge, a prompt")


class Relearning(Section):
    """Attack on the weights: the erased model is fine-tuned on images without the concept."""

    steps: list[Positive] = Field(
        description="optimiser steps after which is measured, ascending", min_length=1
    )
    batch_size: Positive = Field(description="images a step")
    learning_rate: Rate = Field(description="of Adam, on the weights that the erasure trained")
    prompts: Positive = Field(description="first target prompts that are drawn after them")

    @field_validator("steps")
    @classmethod
    def _ascending(cls, steps: list[int]) -> list[int]:
        if any(later <= earlier for earlier, later in pairwise(steps)):
            raise ValueError(f"found {steps}, wanted ascending numbers")
        return steps


class Axes(Section):
    """What is measured beside target, retention and general prompts. The same uniforms serve all methods."""

    samples: Positive = Field(1, description="sampling seeds: images of each target and retention prompt")
    implicit: Positive | None = Field(
        None,
        description="prompts of the mini world that speak of the concept without its words; "
        "elsewhere they are the concept's",
    )
    neighbours: Positive | None = Field(
        None, description="prompts of what is closest to the concept, drawn beside the retention prompts"
    )
    prompts: Positive = Field(
        60, description="first target prompts of each prefix, guidance scale and temperature"
    )
    prefixes: list[Positive] = Field(
        default_factory=list,
        description="image tokens of the original's image of the concept that are given to the erased model",
    )
    guidance: list[Scale] = Field(
        default_factory=list, description="guidance scales beside sampling.guidance"
    )
    temperature: list[Rate] = Field(
        default_factory=list, description="temperatures beside sampling.temperature"
    )
    questions: bool = Field(
        False, description="ask yes or no of the captioned pictures: is the concept in it?"
    )
    search: Search | None = Field(None, description="attack by searched prompts")
    relearning: Relearning | None = Field(None, description="attack by benign fine-tuning")
