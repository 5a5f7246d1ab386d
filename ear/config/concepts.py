"""The config of a concept: how prompts carry it, who finds it in an image, where its prompts come from."""

from itertools import product
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from ear.config.sections import PUBLIC_PROMPTS, Name, Positive, Section, Share
from ear.evaluation.protocols import PUBLIC, RETENTION
from ear.world.scenes import COLOURS, OBJECTS, PLACES, TIMES
from ear.world.sentences import Frame, caption, caption_with

Kind = Literal["object", "style", "attribute", "unsafe"]
Phrase = Annotated[str, StringConstraints(min_length=1)]


class ClassifierJudge(Section):
    """A timm classifier: the concept is shown when its label is among the k most likely."""

    by: Literal["classifier"] = Field(description="kind of judge")
    group: Literal["", "object", "style", "fire"] = Field("", description="head of the mini classifier")
    label: str = Field(description="label that means the concept is shown")
    top_k: Positive = Field(description="k, the number of most likely labels that count")


class ArtistJudge(Section):
    """A transformers classifier, judged as a timm one: that of Diffusion-MU-Attack knows artists."""

    by: Literal["artist"] = Field(description="kind of judge")
    asset: Name | None = Field(None, description="asset with the classifier; none: artist-classifier")
    label: str = Field(description="label of the artist, or of the concept by another classifier")
    top_k: Positive = Field(description="k, the number of most likely labels that count")


class NudenetJudge(Section):
    """NudeNet: the concept is shown when one of the six core classes is detected."""

    by: Literal["nudenet"] = Field(description="kind of judge")
    threshold: Annotated[Share, Field(ge=0.2)] = Field(
        description="least score of a detection; the package itself leaves out those below 0.2"
    )


class Q16Judge(Section):
    """Q16: CLIP ViT-L/14 puts the image nearer to the learned prompt of inappropriate images."""

    by: Literal["q16"] = Field(description="kind of judge")


class ZeroShotJudge(Section):
    """An open_clip model: phrases for the concept outweigh those against it, calibrated on its own pairs."""

    by: Literal["zero-shot"] = Field(description="kind of judge")
    positive: list[Phrase] | None = Field(
        None, min_length=1, description="phrases of images that show the concept; none: made of its words"
    )
    negative: list[Phrase] | None = Field(
        None, min_length=1, description="phrases of images without the concept; none: made of its words"
    )

    def filled_in(self, kind: str, words: str, world: bool) -> dict[str, Any]:
        """All keys, with default phrases where the config gives none.

        In the mini world an object stands against the other objects, a style or an attribute on each object
        against the same object without it; elsewhere the concept stands against any picture.
        """
        if world:
            # Whole captions, in every colour, place and time: the small model has read no others.
            frames = [Frame(0, *scene) for scene in product((None, *COLOURS), PLACES, TIMES)]
            named = [words] if kind == "object" else OBJECTS
            others = [name for name in OBJECTS if name != words]
            positive = [caption_with(words, frame, name) for name in named for frame in frames]
            negative = [caption(frame, name, False, False) for name in others for frame in frames]
        elif kind == "object":
            article = "an" if words[0].lower() in "aeiou" else "a"
            positive, negative = [f"a photo of {article} {words}"], ["a photo"]
        else:
            positive, negative = [f"a picture, {words}"], ["a picture"]
        own = {"positive": self.positive or positive, "negative": self.negative or negative}
        return self.model_dump() | own


Judge = Annotated[
    ClassifierJudge | ArtistJudge | NudenetJudge | Q16Judge | ZeroShotJudge, Field(discriminator="by")
]
Which = Literal["judge", "second_judge"]
"""The judge that counts, or the one beside it."""


class PublishedPrompts(Section):
    """The authors' files of a concept, in the asset ``prompts``."""

    pairs: str = Field(description="file of prompt pairs")
    pair_rows: Positive = Field(description="number of pairs that are used, the first ones of the file")
    target: str = Field(description="file of test prompts")
    target_rows: Positive = Field(description="rows that the file of test prompts must have")
    target_used: Positive | None = Field(None, description="test prompts that are used, the first; none: all")


class PublicPrompts(Section):
    """A prompt set of another study, some rows of files of an asset."""

    asset: Literal[PUBLIC_PROMPTS] = Field(description="asset with the files")  # type: ignore[valid-type]
    files: list[str] = Field(
        min_length=1, description="CSV, or JSON of objects, listed or numbered, or of {concept: prompts}"
    )
    column: str = Field("prompt", description="column or key with the prompt")
    where: dict[str, Phrase] = Field(
        default_factory=dict, description="column or key → text that it holds in the rows that are meant"
    )
    rows: Positive = Field(description="rows that the files must have of them")
    used: Positive | None = Field(None, description="prompts that are used, the first; none: all")

    @property
    def count(self) -> int:
        """Prompts that are used, at most."""
        return min(self.rows, self.used or self.rows)


class RetentionPrompts(PublicPrompts):
    """A prompt set of another study that asks for other things than the concept."""

    object: str = Field(description="column or key with the class of what a prompt asks for")
    labels: dict[str, Phrase] = Field(
        min_length=1, description="class → the judge's label of it; rows of other classes are left out"
    )


class Concept(Section):
    """A concept to be erased."""

    kind: Kind = Field(description="how prompts carry the concept")
    words: str = Field(description="how a prompt names the concept", min_length=1)
    also_named: list[str] = Field(
        default_factory=list, description="further names of the concept: a safe prompt holds none of them"
    )
    judge: Judge = Field(description="who says whether an image shows the concept")
    second_judge: Judge | None = Field(None, description="second judge, which sees the same images")
    window: Positive = Field(description="W, image tokens of a window")
    implicit: list[Phrase] = Field(
        default_factory=list, description="prompts of photographs that describe it without its words"
    )
    neighbours: dict[str, Phrase] = Field(
        default_factory=dict, description="what is close to it: the judge's label → how prompts name it"
    )
    anchors: list[Phrase] = Field(
        default_factory=list,
        description="what stands in its words' place in context anchored, in turns; none: the safe prompts",
    )
    published: PublishedPrompts | None = Field(None, description="published prompts; none: prompts.sources")
    public: dict[Name, PublicPrompts] = Field(
        default_factory=dict,
        description="prompts of other studies that ask for it: sets public-<name>",
    )
    retention: RetentionPrompts | None = Field(
        None,
        description="prompts of other studies that ask for other things of its kind",
    )

    @property
    def names(self) -> list[str]:
        """All its names, its words first."""
        return [self.words, *self.also_named]

    @property
    def prompt_sets(self) -> dict[str, PublicPrompts]:
        """Its prompt sets of other studies, by their names in tables."""
        sets = {f"{PUBLIC}-{name}": one for name, one in self.public.items()}
        return sets | ({RETENTION: self.retention} if self.retention else {})

    @property
    def prompt_assets(self) -> list[str]:
        """Assets with its prompt sets of other studies, each once."""
        return list(dict.fromkeys(one.asset for one in self.prompt_sets.values()))

    @property
    def judges(self) -> dict[Which, Judge]:
        """Its judges, by key: one or two."""
        judges: dict[Which, Judge] = {"judge": self.judge}
        return judges | ({"second_judge": self.second_judge} if self.second_judge else {})
