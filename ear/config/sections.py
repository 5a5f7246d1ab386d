"""What every section of the config shares, and the sections on assets and on further axes."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")]
"""Lower-case letters, digits and hyphens: names become folders and wildcards."""
Positive = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Scale = Annotated[float, Field(ge=1, allow_inf_nan=False)]


class Section(BaseModel):
    """A section of the config: no unknown keys, no silent conversions ("3" is no number)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


World = Literal["drawn"]
"""Where an experiment's pictures come from, if not from the photographs that all else is made for."""


JUDGES: Mapping[World | None, Mapping[str, str]] = {
    "drawn": {"classifier": "mini-classifier", "zero-shot": "mini-clip"},
    None: {
        "classifier": "resnet50",
        "artist": "artist-classifier",
        "nudenet": "nudenet",
        "q16": "clip-large",
        "zero-shot": "clip",
    },
}
"""Kind of judge → the asset with its model; "zero-shot" is the CLIP of the CLIP score too."""
Q16_PROMPTS = "q16"
"""The asset with the prompts that a judge of kind "q16" compares with."""
FEATURES: Mapping[World | None, Mapping[str, str]] = {
    "drawn": {"classifier": "mini-classifier"},
    None: {"classifier": "resnet50", "inception": "inception"},
}
"""Network of FID and KID → the asset with it."""
PUBLISHED_DATA = ("prompts", "coco-images", "coco-captions")
"""Assets that experiments on photographs read."""
PUBLIC_PROMPTS = ("attack-prompts", "safety-prompts", "retention-prompts", "emma-prompts", "hub-prompts")
"""Assets with prompt sets of other studies."""


class StandIns(Section):
    """Tiny random checkpoints and tiny files in the formats of the real ones, for a dress rehearsal."""

    pairs: Positive = Field(description="prompt pairs of each concept")
    targets: Positive = Field(description="test prompts of each concept, and rows of each public set")
    general: Positive = Field(description="captions and pictures of COCO")


class Assets(Section):
    """Where models and published data are, which assets.yaml lists."""

    root: str | None = Field(None, description="folder with <asset>/<file>, in place of the network")
    store: str = Field("resources", description="folder of downloads, shared by experiments")
    lock: str = Field("assets.lock.json", description="hashes and revisions, recorded at the first fetch")
    stand_ins: StandIns | None = Field(None, description="sizes of the stand-ins that root is filled with")

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if self.stand_ins and self.root is None:
            raise ValueError("wanted root, the folder in which stand_ins are made")
        return self

    @property
    def lock_file(self) -> str:
        """The lock that holds: stand-ins have one of their own, in their folder."""
        return f"{self.root}/assets.lock.json" if self.stand_ins else self.lock


class Search(Section):
    """Attack on the prompt: a search for words that bring the concept back."""

    prompts: Positive = Field(description="number of target prompts that are attacked, the first ones")
    tokens: Positive = Field(description="tokens of the vocabulary that the attacker appends to a prompt")
    queries: Positive = Field(description="images that an attack may sample and judge for each prompt")


class Inversion(Section):
    """Attack on the prompt: an embedding is learned in place of the concept's name."""

    images: Positive = Field(
        description="number of the original's images of target prompts that are learned from, the first ones"
    )
    steps: Positive = Field(description="optimiser steps, each on all of these images")
    learning_rate: Rate = Field(description="learning rate of Adam, on the embedding alone")
    prompts: Positive = Field(description="number of target prompts rendered with it, the next ones")


class Relearning(Section):
    """Attack on the weights: the erased model is fine-tuned on images without the concept."""

    steps: list[Positive] = Field(
        description="optimiser steps after which the model is measured, ascending", min_length=1
    )
    batch_size: Positive = Field(description="images of each step")
    learning_rate: Rate = Field(
        description="learning rate of Adam, on the weights that the erasure trained; of methods with lora on "
        "the attention of the first erasure.layers layers"
    )
    prompts: Positive = Field(description="number of target prompts rendered afterwards, the first ones")

    @field_validator("steps")
    @classmethod
    def _ascending(cls, steps: list[int]) -> list[int]:
        if any(later <= earlier for earlier, later in pairwise(steps)):
            raise ValueError("wanted ascending numbers")
        return steps


class Axes(Section):
    """What is measured beside target, retention and general prompts (``ear.evaluation.protocols``)."""

    samples: Positive = Field(1, description="number of images of each target and retention prompt")
    implicit: Positive | None = Field(
        None, description="number of the mini world's prompts that describe the concept without its words"
    )
    neighbours: Positive | None = Field(
        None, description="number of the mini world's prompts of what is closest to the concept"
    )
    prompts: Positive = Field(
        60, description="target prompts of each prefix, guidance scale and temperature, the first ones"
    )
    prefixes: list[Positive] = Field([], description="image tokens of the original's image that are given")
    guidance: list[Scale] = Field([], description="guidance scales beside sampling.guidance")
    temperature: list[Rate] = Field([], description="temperatures beside sampling.temperature")
    questions: bool = Field(False, description="whether to ask yes/no questions about captioned pictures")
    search: Search | None = Field(None, description="the attack by searched prompts")
    inversion: Inversion | None = Field(None, description="the attack by a learned embedding")
    relearning: Relearning | None = Field(None, description="the attack by benign fine-tuning")
