"""The config of erasure: settings that methods share, and the methods."""

from dataclasses import fields, replace
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from typing_extensions import TypedDict

from ear.config.section import NotNegative, Positive, Rate, Section, Share
from ear.erasure import presets
from ear.erasure.presets import VARIANTS, Settings, Variant

ORIGINAL = "original"
NONE, NEGATIVE_PROMPT = "none", "negative-prompt"
BOUND = {field.name for field in fields(Variant)}


class Threshold(Section):
    """μ of thresholded loss masking: a value, or a quantile of the losses before training."""

    value: NotNegative | None = Field(None, description="μ itself")
    quantile: Share | None = Field(
        None, description="quantile, before training, of what the method's threshold looks at"
    )
    factor: Rate = Field(
        1.0, description="μ is the quantile times this: losses fall far below it in training"
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.value is None) == (self.quantile is None):
            raise ValueError("wanted either value or quantile")
        return self


class Erasure(Section):
    """Settings of fine-tuning that all methods share."""

    layers: Positive = Field(description="K, decoder layers whose attention is trained, from the first")
    eta: NotNegative = Field(description="η, push away from the unsafe states")
    learning_rate: Rate = Field(description="of the optimiser")
    optimiser: presets.Optimiser = Field(description="adam (β 0.9, 0.999) or sgd (no momentum)")
    passes: Positive = Field(description="passes over the pairs")
    threshold: Threshold = Field(description="μ, for the methods that have one")
    windows: list[Positive] = Field(description="window lengths of the ablation, image tokens")
    micro_batch: Positive = Field(
        description="image tokens of a window whose activations are in memory at once; bounds memory"
    )


class Choices(TypedDict, total=False):
    """What a method does otherwise than its variant and the section erasure say."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # type: ignore[misc]

    objective: Annotated[presets.Objective, Field(description="L_t: mse (EAR), kl (Obliviate), ascent")]
    context: Annotated[presets.Context, Field(description="what a training step sees")]
    encoding: Annotated[presets.Encoding, Field(description="prompt alone, or in the chat template")]
    rows: Annotated[presets.Rows, Field(description="guidance rows in the loss")]
    threshold: Annotated[presets.ThresholdOn, Field(description="what has to exceed μ")]
    tail: Annotated[presets.Tail, Field(description="steps left over when W does not divide the image")]
    order: Annotated[presets.Order, Field(description="pairs as in the file, or shuffled by the seed")]
    window: Annotated[Positive | Literal["image"], Field(description="W, image tokens, or all of them")]
    max_grad_norm: Annotated[Rate | None, Field(description="gradients are scaled down to this norm")]
    layers: Annotated[Positive, Field(description="K")]
    eta: Annotated[NotNegative, Field(description="η")]
    learning_rate: Annotated[Rate, Field(description="of the optimiser")]
    optimiser: Annotated[presets.Optimiser, Field(description="adam or sgd")]
    passes: Annotated[Positive, Field(description="passes over the pairs")]


class Method(Section):
    """A method: a variant of ear.erasure.presets, a negative prompt, or nothing."""

    variant: Literal[(NONE, NEGATIVE_PROMPT, *VARIANTS)] = Field(  # type: ignore[valid-type]
        description="a variant of ear.erasure.presets; negative-prompt, which trains nothing; "
        "or none for the original"
    )
    sweep: bool = Field(False, description="train every window length of erasure.windows too")
    choices: Choices = Field(
        default_factory=Choices, description="what it does otherwise than its variant and the section erasure"
    )
    strength: Rate | None = Field(
        None, description="of a negative prompt: how far logits are pushed away from the concept's words"
    )

    @property
    def trains(self) -> bool:
        """Whether it has adapters."""
        return self.variant in VARIANTS

    def check(self, name: str) -> None:
        """Check a method against its name and its variant.

        Raises:
            ValueError: names the key, what was found and what is wanted.
        """
        if name in (NEGATIVE_PROMPT, *VARIANTS):
            if self.variant != name:
                raise ValueError(
                    f"methods.{name}.variant: found {self.variant}, wanted {name}, or another name"
                )
            if changed := sorted(BOUND & set(self.choices)):
                raise ValueError(
                    f"methods.{name}.choices.{changed[0]}: found a change of what makes a method {name}, "
                    "wanted another name for it"
                )
        if (self.variant == NEGATIVE_PROMPT) != (self.strength is not None):
            found, wanted = ("none", "a number") if self.strength is None else (self.strength, "none")
            raise ValueError(
                f"methods.{name}.strength: found {found}, wanted {wanted} with variant {self.variant}"
            )
        if not self.trains and (self.sweep or self.choices):
            key = "sweep" if self.sweep else "choices"
            raise ValueError(f"methods.{name}.{key}: wanted none, variant {self.variant} trains nothing")
        if self.trains:
            variant = replace(VARIANTS[self.variant], **self._bound)
            peers = variant.objective != "mse"
            if peers and (variant.context, variant.rows) != ("aligned", "conditional"):
                raise ValueError(
                    f"methods.{name}.choices: found context {variant.context} and rows {variant.rows}, "
                    f"wanted aligned and conditional with objective {variant.objective}"
                )

    @property
    def _bound(self) -> dict[str, Any]:
        return {key: value for key, value in self.choices.items() if key in BOUND}

    def settings(self, erasure: Erasure, own_window: int, tokens: int) -> Settings:
        """All choices of the method's fine-tuning.

        Args:
            erasure: the section that methods share.
            own_window: the concept's W.
            tokens: image tokens of an image.
        """
        variant = replace(VARIANTS[self.variant], **self._bound)
        window = tokens if variant.window == "image" else variant.window or own_window
        shared = {
            field.name: getattr(erasure, field.name)
            for field in fields(Settings)
            if field.name not in ("variant", "threshold")
        }
        free = {key: value for key, value in self.choices.items() if key not in BOUND}
        return Settings(
            variant=replace(variant, window=window),
            threshold=(
                None if variant.threshold == "off" else presets.Threshold(**erasure.threshold.model_dump())
            ),
            **shared | free,
        )
