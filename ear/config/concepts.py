"""The config of a concept: how prompts carry it, who finds it in an image, where its prompts come from."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from ear.config.section import Positive, Section, Share

Kind = Literal["object", "style", "attribute", "unsafe"]
Phrase = Annotated[str, StringConstraints(min_length=1)]
NUDENET_FLOOR = 0.2


class ClassifierJudge(Section):
    """A timm classifier: the concept is shown when its label is among the k most likely."""

    by: Literal["classifier"] = Field(description="kind of judge")
    group: Literal["", "object", "style", "fire"] = Field(
        "", description="head of the mini world's classifier; none for ResNet-50"
    )
    label: str = Field(description="label that means the concept is shown")
    top_k: Positive = Field(description="k")


class ArtistJudge(Section):
    """The artist classifier of Diffusion-MU-Attack: as a classifier, with artists for labels."""

    by: Literal["artist"] = Field(description="kind of judge")
    label: str = Field(description="the artist")
    top_k: Positive = Field(description="k")


class NudenetJudge(Section):
    """NudeNet: the concept is shown when one of the six core classes is detected."""

    by: Literal["nudenet"] = Field(description="kind of judge")
    threshold: Annotated[Share, Field(ge=NUDENET_FLOOR)] = Field(
        description="least score of a detection; the package itself leaves out those below 0.2"
    )


class ZeroShotJudge(Section):
    """An open_clip model: the concept is shown when the phrases for it outweigh those against it.

    By how much is calibrated on the images of the concept's own pairs.
    """

    by: Literal["zero-shot"] = Field(description="kind of judge")
    positive: list[Phrase] | None = Field(
        None,
        description="phrases of images that show the concept; none: from the concept's words",
        min_length=1,
    )
    negative: list[Phrase] | None = Field(
        None, description="phrases of images that do not; none: from the concept's words", min_length=1
    )


Judge = Annotated[ClassifierJudge | ArtistJudge | NudenetJudge | ZeroShotJudge, Field(discriminator="by")]
Which = Literal["judge", "second_judge"]
"""The judge that counts, or the one beside it."""


class PublishedPrompts(Section):
    """The authors' files of a concept, in the asset ``prompts``."""

    pairs: str = Field(description="file of prompt pairs")
    pair_rows: Positive = Field(description="its first rows that are used")
    target: str = Field(description="file of test prompts")
    target_rows: Positive = Field(
        description="rows that it must have; those of an unsafe concept that speak of minors are not drawn"
    )
    target_used: Positive | None = Field(None, description="its first rows that are used; none: all of them")


class Concept(Section):
    """A concept to be erased."""

    kind: Kind = Field(description="how prompts carry it: as subject, style or attribute; or unsafe content")
    words: str = Field(description="how a prompt names it", min_length=1)
    also_named: list[str] = Field(
        default_factory=list, description="further words that name it: a safe prompt holds none of them"
    )
    judge: Judge = Field(description="who says whether an image shows it")
    second_judge: Judge | None = Field(
        None, description="who is asked beside that judge: its agreement and its rate are reported"
    )
    window: Positive = Field(description="W, image tokens a window")
    implicit: list[Phrase] = Field(
        default_factory=list,
        description="prompts that describe it without its words, where no grammar makes them",
    )
    neighbours: dict[str, Phrase] = Field(
        default_factory=dict,
        description="what is close to it, where no grammar tells: the judge's label → how a prompt names it",
    )
    published: PublishedPrompts | None = Field(
        None, description="its published prompts; none where they come from prompts.sources"
    )

    @property
    def judges(self) -> dict[Which, Judge]:
        """Its judges, by key: one or two."""
        judges: dict[Which, Judge] = {"judge": self.judge}
        return judges | ({"second_judge": self.second_judge} if self.second_judge else {})
