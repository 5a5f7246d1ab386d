"""The config of erasure: settings that methods share, and the methods."""

from dataclasses import fields, replace
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from typing_extensions import TypedDict

from ear.config.section import Name, NotNegative, Positive, Rate, Section, Share
from ear.erasure import presets
from ear.erasure.presets import VARIANTS, Settings, Variant

NONE, NEGATIVE_PROMPT = "none", "negative-prompt"
PUBLISHED, STABLE_DIFFUSION = "published", "stable-diffusion"
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

    objective: Annotated[
        presets.Objective, Field(description="L_t: mse (EAR), kl (Obliviate), ascent, redirect")
    ]
    context: Annotated[presets.Context, Field(description="what a training step sees")]
    encoding: Annotated[presets.Encoding, Field(description="prompt alone, or in the chat template")]
    rows: Annotated[presets.Rows, Field(description="guidance rows in the loss")]
    threshold: Annotated[presets.ThresholdOn, Field(description="what has to exceed μ")]
    tail: Annotated[presets.Tail, Field(description="steps left over when W does not divide the image")]
    order: Annotated[presets.Order, Field(description="pairs as in the file, or shuffled by the seed")]
    window: Annotated[Positive | Literal["image"], Field(description="W, image tokens, or all of them")]
    max_grad_norm: Annotated[Rate | None, Field(description="gradients are scaled down to this norm")]
    cuts: Annotated[Positive, Field(description="context mixed: mixed streams that a step reads")]
    retain: Annotated[NotNegative, Field(description="λ of context mixed: keep what the safe prompt gives")]
    layers: Annotated[Positive, Field(description="K")]
    eta: Annotated[NotNegative, Field(description="η")]
    learning_rate: Annotated[Rate, Field(description="of the optimiser")]
    optimiser: Annotated[presets.Optimiser, Field(description="adam or sgd")]
    passes: Annotated[Positive, Field(description="passes over the pairs")]


class Diffusion(Section):
    """How Stable Diffusion draws."""

    guidance: Annotated[float, Field(ge=1, allow_inf_nan=False)] = Field(description="guidance scale")
    steps: Positive = Field(description="denoising steps")
    size: Annotated[int, Field(ge=8, multiple_of=8)] = Field(description="side of an image, pixels")


class Method(Section):
    """A method: a variant of ear.erasure.presets, a baseline that trains nothing, or nothing."""

    variant: Literal[(NONE, NEGATIVE_PROMPT, PUBLISHED, STABLE_DIFFUSION, *VARIANTS)] = Field(  # type: ignore[valid-type]
        description="a variant of ear.erasure.presets, trained here; negative-prompt; published, the "
        "authors' fine-tuned weights; stable-diffusion, another model; or none for the original"
    )
    concepts: list[Name] | None = Field(None, description="concepts that it is measured on, where not on all")
    erase: list[Name] | None = Field(
        None,
        description="concepts that one adapter erases together, each measured; none: each has its own",
        min_length=2,
    )
    in_turn: bool = Field(
        False, description="with erase: one concept after the other; else their pairs alternate"
    )
    sweep: bool = Field(False, description="train every window length of erasure.windows too")
    choices: Choices = Field(
        default_factory=Choices, description="what it does otherwise than its variant and the section erasure"
    )
    strength: Rate | None = Field(
        None, description="of a negative prompt: how far logits are pushed away from the concept's words"
    )
    weights: dict[Name, str] | None = Field(
        None, description="of published: concept → shell pattern of its file in the asset ear-weights"
    )
    diffusion: Diffusion | None = Field(None, description="of stable-diffusion: how it draws")

    @property
    def trains(self) -> bool:
        """Whether adapters are trained for it here."""
        return self.variant in VARIANTS

    @property
    def adapts(self) -> bool:
        """Whether it has adapters, trained here or published."""
        return self.trains or self.variant == PUBLISHED

    @property
    def needs_assets(self) -> bool:
        """Whether it is made of published weights, which the mini world has none of."""
        return self.variant in (PUBLISHED, STABLE_DIFFUSION)

    def concerns(self, concept: str) -> bool:
        """Whether it is measured on a concept."""
        among = self.erase or self.concepts
        return among is None or concept in among

    def check(self, name: str) -> None:
        """Check a method against its name and its variant.

        Raises:
            ValueError: names the key, what was found and what is wanted.
        """
        if name in (NEGATIVE_PROMPT, PUBLISHED, STABLE_DIFFUSION, *VARIANTS):
            if self.variant != name:
                raise ValueError(
                    f"methods.{name}.variant: found {self.variant}, wanted {name}, or another name"
                )
            if changed := sorted(BOUND & set(self.choices)):
                raise ValueError(
                    f"methods.{name}.choices.{changed[0]}: found a change of what makes a method {name}, "
                    "wanted another name for it"
                )
        for key, owner, what in (
            ("strength", NEGATIVE_PROMPT, "a number"),
            ("weights", PUBLISHED, "a pattern for each concept"),
            ("diffusion", STABLE_DIFFUSION, "guidance, steps and size"),
        ):
            value = getattr(self, key)
            if (self.variant == owner) != (value is not None):
                found, wanted = ("none", what) if value is None else (value, "none")
                raise ValueError(
                    f"methods.{name}.{key}: found {found}, wanted {wanted} with variant {self.variant}"
                )
        if not self.trains and (self.erase or self.sweep or self.choices):
            key = "erase" if self.erase else "sweep" if self.sweep else "choices"
            raise ValueError(f"methods.{name}.{key}: wanted none, variant {self.variant} trains nothing")
        if self.in_turn and not self.erase:
            raise ValueError(f"methods.{name}.in_turn: found true, wanted it beside erase only")
        if self.trains:
            self._check_variant(name, self._variant)

    def _check_variant(self, name: str, variant: Variant) -> None:
        """Objectives other than the paper's have one context and read the conditional row alone."""
        context = {"mse": None, "redirect": "mixed"}.get(variant.objective, "aligned")
        if context and (variant.context, variant.rows) != (context, "conditional"):
            raise ValueError(
                f"methods.{name}.choices: found context {variant.context} and rows {variant.rows}, "
                f"wanted {context} and conditional with objective {variant.objective}"
            )
        mixed = variant.context == "mixed"
        if mixed and variant.objective != "redirect":
            raise ValueError(
                f"methods.{name}.choices.context: found mixed, wanted none, independent or aligned with "
                f"objective {variant.objective}"
            )
        for key in ("cuts", "retain"):
            value = getattr(variant, key)
            if value and not mixed:
                raise ValueError(
                    f"methods.{name}.choices.{key}: found {value}, wanted none in context {variant.context}"
                )
        if mixed and not variant.cuts:
            raise ValueError(f"methods.{name}.choices.cuts: found none, wanted some in context mixed")

    @property
    def own_window(self) -> int | Literal["image"] | None:
        """W where the variant or the choices give one; None where it is the concept's."""
        return self._variant.window

    @property
    def _variant(self) -> Variant:
        return replace(VARIANTS[self.variant], **self._bound)

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
        variant = self._variant
        window = tokens if variant.window == "image" else variant.window or own_window
        shared = {
            field.name: getattr(erasure, field.name)
            for field in fields(Settings)
            if field.name not in ("variant", "threshold", "in_turn")
        }
        free = {key: value for key, value in self.choices.items() if key not in BOUND}
        return Settings(
            variant=replace(variant, window=window),
            threshold=(
                None if variant.threshold == "off" else presets.Threshold(**erasure.threshold.model_dump())
            ),
            in_turn=self.in_turn,
            **shared | free,
        )
