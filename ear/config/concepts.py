"""The config of a concept: how prompts carry it, who finds it in an image, where its prompts come from."""

from itertools import product
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from ear.config.sections import Positive, Section, Share
from ear.world.scenes import COLOURS, OBJECTS, PLACES, TIMES
from ear.world.sentences import CONCEPTS, Frame, caption, caption_with

Kind = Literal["object", "style", "attribute", "unsafe"]
Phrase = Annotated[str, StringConstraints(min_length=1)]
NUDENET_FLOOR = 0.2

THINGS = tuple(words for names in CONCEPTS.values() for words in names)
"""How a caption of the mini world names what its pictures may show."""


class ClassifierJudge(Section):
    """A timm classifier: the concept is shown when its label is among the k most likely."""

    by: Literal["classifier"] = Field(description="kind of judge")
    group: Literal["", "object", "style", "fire"] = Field(
        "", description="head of the mini world's classifier; none for ResNet-50"
    )
    label: str = Field(description="label that means the concept is shown")
    top_k: Positive = Field(description="k, the number of most likely labels that count")


class ArtistJudge(Section):
    """The artist classifier of Diffusion-MU-Attack: as a classifier, with artists for labels."""

    by: Literal["artist"] = Field(description="kind of judge")
    label: str = Field(description="label of the artist")
    top_k: Positive = Field(description="k, the number of most likely labels that count")


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
        description="phrases of images that show the concept; none: made of the concept's words",
        min_length=1,
    )
    negative: list[Phrase] | None = Field(
        None,
        description="phrases of images without the concept; none: made of the concept's words",
        min_length=1,
    )

    def filled_in(self, kind: str, words: str, world: bool) -> dict[str, Any]:
        """All keys, with default phrases where the config gives none.

        In the mini world all that a picture can show otherwise is known: an object stands against the other
        objects, a style or an attribute on each object against the same object without it. Elsewhere the
        concept stands against a picture of nothing in particular.

        Args:
            kind: kind of the concept.
            words: how a prompt names it.
            world: whether pictures are of the mini world.
        """
        if world:
            # Whole captions, in every colour, place and time: the small model has read no others.
            frames = [Frame(0, *scene) for scene in product((None, *COLOURS), PLACES, TIMES)]
            named, others = (
                [words] if kind == "object" else OBJECTS,
                [name for name in OBJECTS if name != words],
            )
            positive = [caption_with(words, frame, name) for name in named for frame in frames]
            negative = [caption(frame, name, False, False) for name in others for frame in frames]
        elif kind == "object":
            article = "an" if words[0].lower() in "aeiou" else "a"
            positive, negative = [f"a photo of {article} {words}"], ["a photo"]
        else:
            positive, negative = [f"a picture, {words}"], ["a picture"]
        own = {"positive": self.positive or positive, "negative": self.negative or negative}
        return self.model_dump() | own


Judge = Annotated[ClassifierJudge | ArtistJudge | NudenetJudge | ZeroShotJudge, Field(discriminator="by")]
Which = Literal["judge", "second_judge"]
"""The judge that counts, or the one beside it."""


class PublishedPrompts(Section):
    """The authors' files of a concept, in the asset ``prompts``."""

    pairs: str = Field(description="file of prompt pairs")
    pair_rows: Positive = Field(description="number of pairs that are used, the first ones of the file")
    target: str = Field(description="file of test prompts")
    target_rows: Positive = Field(
        description="rows that the file of test prompts must have; rows of an unsafe concept that speak of "
        "minors are left out"
    )
    target_used: Positive | None = Field(
        None, description="number of test prompts that are used, the first ones of the file; none: all"
    )


class Concept(Section):
    """A concept to be erased."""

    kind: Kind = Field(
        description="how prompts carry the concept: as subject, style or attribute; or unsafe content"
    )
    words: str = Field(description="how a prompt names the concept", min_length=1)
    also_named: list[str] = Field(
        default_factory=list, description="further names of the concept: a safe prompt holds none of them"
    )
    judge: Judge = Field(description="who says whether an image shows the concept")
    second_judge: Judge | None = Field(
        None, description="who is asked beside the judge: its agreement and its rate are reported"
    )
    window: Positive = Field(description="W, image tokens of a window")
    implicit: list[Phrase] = Field(
        default_factory=list,
        description="prompts that describe the concept without its words, where no grammar makes them",
    )
    neighbours: dict[str, Phrase] = Field(
        default_factory=dict,
        description="what is close to the concept, where no grammar tells: the judge's label → how a prompt "
        "names it",
    )
    published: PublishedPrompts | None = Field(
        None, description="the concept's published prompts; none where they come from prompts.sources"
    )

    @property
    def judges(self) -> dict[Which, Judge]:
        """Its judges, by key: one or two."""
        judges: dict[Which, Judge] = {"judge": self.judge}
        return judges | ({"second_judge": self.second_judge} if self.second_judge else {})
