"""The config of erasure: settings that methods share, and the methods."""

from dataclasses import fields, replace
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from typing_extensions import TypedDict

from ear.config.sections import Name, NotNegative, Positive, Rate, Scale, Section, Share
from ear.erasure import variants as presets
from ear.erasure.variants import VARIANTS, Settings, Variant

NONE, NEGATIVE_PROMPT = "none", "negative-prompt"
PUBLISHED, STABLE_DIFFUSION, IMAGES = "published", "stable-diffusion", "images"
BOUND = {field.name for field in fields(Variant)}


class Threshold(Section):
    """μ of thresholded loss masking: a value, or a quantile of the losses before training."""

    value: NotNegative | None = Field(None, description="the value of μ")
    quantile: Share | None = Field(None, description="quantile, before training, of what μ is compared with")
    factor: Rate = Field(1.0, description="μ is the quantile times this factor")

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.value is None) == (self.quantile is None):
            raise ValueError("wanted value or quantile, and not both")
        return self


class Lora(Section):
    """Low-rank adaptation (LoRA): α/r · B A is added to frozen weights W, and the factors are trained."""

    rank: Positive = Field(description="r, rank of the factors")
    alpha: Rate = Field(description="α, by which the factors' product is scaled")


class Erasure(Section):
    """Settings of fine-tuning that all methods share."""

    layers: Positive = Field(
        description="K, decoder layers that are trained, from the first: their attention or, with lora, all "
        "of their linear layers"
    )
    eta: NotNegative = Field(description="η, how far states are pushed away from the unsafe prompt's")
    learning_rate: Rate = Field(description="learning rate of the fine-tuning")
    optimiser: presets.Optimiser = Field(
        description="adam (β 0.9, 0.999), adamw (the same, weight decay 0.01) or sgd (no momentum)"
    )
    lora: Lora | None = Field(None, description="train low-rank factors; none: whole weights")
    passes: Positive = Field(description="passes over the prompt pairs")
    threshold: Threshold = Field(description="μ, for the methods that have a threshold")
    windows: list[Positive] = Field(description="window lengths of the ablation, in image tokens")
    micro_batch: Positive = Field(description="image tokens whose activations are in memory at once")


class Overrides(TypedDict, total=False):
    """What a method does otherwise than its variant and the section erasure say."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # type: ignore[misc]

    objective: Annotated[presets.Objective, Field(description="L_t of an image token")]
    context: Annotated[presets.Context, Field(description="what a training step sees")]
    encoding: Annotated[presets.Encoding, Field(description="the prompt alone, or in the chat template")]
    rows: Annotated[presets.Rows, Field(description="rows of classifier-free guidance in the loss")]
    threshold: Annotated[presets.ThresholdOn, Field(description="what has to exceed μ")]
    tail: Annotated[presets.Tail, Field(description="steps left over when W does not divide the image")]
    order: Annotated[presets.Order, Field(description="pairs as in the file, or shuffled by the seed")]
    window: Annotated[Positive | Literal["image"], Field(description="W in image tokens, or all of an image")]
    max_grad_norm: Annotated[Rate | None, Field(description="norm that gradients are scaled down to")]
    cuts: Annotated[
        Positive, Field(description="contexts mixed and anchored: mixed sequences that a step reads")
    ]
    retain: Annotated[NotNegative, Field(description="λ of these contexts: weight of what is kept")]
    layers: Annotated[Positive, Field(description="K, as in the section erasure")]
    eta: Annotated[NotNegative, Field(description="η, as in the section erasure")]
    learning_rate: Annotated[Rate, Field(description="learning rate, as in the section erasure")]
    optimiser: Annotated[presets.Optimiser, Field(description="optimiser, as in the section erasure")]
    lora: Annotated[Lora | None, Field(description="low-rank factors, as in the section erasure")]
    passes: Annotated[Positive, Field(description="passes over the prompt pairs")]


class Diffusion(Section):
    """How Stable Diffusion draws."""

    guidance: Scale = Field(description="scale of classifier-free guidance")
    steps: Positive = Field(description="denoising steps of an image")
    size: Annotated[int, Field(ge=8, multiple_of=8)] = Field(description="side of an image in pixels")


class Method(Section):
    """A method: a variant of ear.erasure.variants, a baseline that trains nothing, or nothing."""

    variant: Literal[(NONE, NEGATIVE_PROMPT, PUBLISHED, STABLE_DIFFUSION, IMAGES, *VARIANTS)] = Field(  # type: ignore[valid-type]
        description="what is trained here; negative-prompt; published, the authors' fine-tuned weights; "
        "stable-diffusion, another model; images, a folder of them; or none for the original"
    )
    concepts: list[Name] | None = Field(None, description="concepts it is measured on; none: all of them")
    erase: list[Name] | None = Field(
        None, min_length=2, description="concepts erased together; none: each has weights of its own"
    )
    sequential: bool = Field(
        False, description="with erase: train one concept after the other; else their pairs alternate"
    )
    sweep: bool = Field(False, description="train every window length of erasure.windows too")
    overrides: Overrides = Field(default_factory=Overrides, description="what differs from its variant")
    strength: Rate | None = Field(None, description="how far negative-prompt pushes logits away")
    weights: dict[Name, str] | None = Field(
        None, description="concept → shell pattern of its file in the asset ear-weights, for published"
    )
    diffusion: Diffusion | None = Field(None, description="how stable-diffusion draws")
    images: str | None = Field(
        None, min_length=1, description="folder with a folder of images for each concept, for images"
    )

    @property
    def trains(self) -> bool:
        """Whether edited weights are trained for it here."""
        return self.variant in VARIANTS

    @property
    def adapts(self) -> bool:
        """Whether it has edited weights, trained here or published."""
        return self.trains or self.variant == PUBLISHED

    @property
    def draws(self) -> bool:
        """Whether the backbone draws its images."""
        return self.variant not in (STABLE_DIFFUSION, IMAGES)

    @property
    def needs_assets(self) -> bool:
        """Whether it is made of published weights, which the mini world has none of."""
        return self.variant in (PUBLISHED, STABLE_DIFFUSION)

    def concerns(self, concept: str) -> bool:
        """Whether it is measured on a concept."""
        among = self.erase or self.concepts
        return among is None or concept in among

    @property
    def own_variant(self) -> Variant:
        """The variant of a method that trains, with its overrides; W is None where it is the concept's."""
        bound = {key: value for key, value in self.overrides.items() if key in BOUND}
        return replace(VARIANTS[self.variant], **bound)  # type: ignore[arg-type]

    def settings(self, erasure: Erasure, own_window: int, tokens: int) -> Settings:
        """All settings of its fine-tuning, given the concept's W and the image tokens of an image."""
        variant = self.own_variant.with_window(own_window, tokens)
        masked = variant.threshold != "off"
        free = {key: value for key, value in self.overrides.items() if key not in BOUND}
        shared = {name: getattr(erasure, name) for name in Erasure.model_fields if name != "windows"}
        found = shared | free
        lora = presets.Lora(**found["lora"].model_dump()) if found["lora"] else None
        threshold = presets.Threshold(**erasure.threshold.model_dump()) if masked else None
        found |= {"lora": lora, "threshold": threshold}
        return Settings(**found, variant=variant, sequential=self.sequential)
