"""The config of assets: where models and published data come from, and which of them an experiment uses."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, model_validator

from ear.config.section import Positive, Section

World = Literal["drawn"]
"""Where an experiment's pictures are from, if not from the photographs that all else is made for."""


@dataclass(frozen=True)
class Roles:
    """Which asset does what for experiments on one kind of pictures.

    Attributes:
        judges: kind of judge → its model; "zero-shot" is the CLIP of the CLIP score too.
        features: network of FID and KID → its model.
        data: published prompts and pictures.
    """

    judges: Mapping[str, str]
    features: Mapping[str, str]
    data: tuple[str, ...] = ()


ROLES: Mapping[World | None, Roles] = {
    "drawn": Roles(
        judges={"classifier": "mini-classifier", "zero-shot": "mini-clip"},
        features={"classifier": "mini-classifier"},
    ),
    None: Roles(
        judges={
            "classifier": "resnet50",
            "artist": "artist-classifier",
            "nudenet": "nudenet",
            "zero-shot": "clip",
        },
        features={"classifier": "resnet50", "inception": "inception"},
        data=("prompts", "coco-images", "coco-captions"),
    ),
}


class StandIns(Section):
    """Tiny random checkpoints and tiny files in the formats of the real ones, for a rehearsal."""

    pairs: Positive = Field(description="prompt pairs a concept")
    targets: Positive = Field(description="test prompts a concept")
    general: Positive = Field(description="captions and pictures of COCO")


class Assets(Section):
    """Where models and published data are, which assets.yaml lists."""

    root: str | None = Field(
        None, description="folder that holds them, in place of the network: <root>/<asset>/<file>"
    )
    store: str = Field("resources", description="folder of downloads, shared by experiments")
    lock: str = Field(
        "assets.lock.json", description="hashes and revisions, recorded at the first fetch and checked later"
    )
    stand_ins: StandIns | None = Field(
        None, description="fill root with tiny random stand-ins before anything is fetched from it"
    )

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if self.stand_ins and self.root is None:
            raise ValueError("wanted root, the folder that the stand-ins fill")
        return self

    @property
    def lock_file(self) -> str:
        """The lock that holds: stand-ins have one of their own, in their folder."""
        return f"{self.root}/assets.lock.json" if self.stand_ins else self.lock
