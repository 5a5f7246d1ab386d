"""The config of assets: where pretrained models and published data come from."""

from typing import Self

from pydantic import Field, model_validator

from ear.config.section import Positive, Section


class StandIns(Section):
    """Tiny random checkpoints and tiny files in the formats of the real ones, for a rehearsal."""

    pairs: Positive = Field(description="prompt pairs a concept")
    targets: Positive = Field(description="test prompts a concept")
    general: Positive = Field(description="captions and pictures of COCO")


class Assets(Section):
    """Pretrained models and published data, as assets.yaml lists them."""

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
