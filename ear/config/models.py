"""The typed config of an experiment: every key, its unit and its range. Unknown keys are errors."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ear.config.erasure import NONE, ORIGINAL, Erasure, Method
from ear.config.section import Name, NotNegative, Positive, Rate, Section, Share
from ear.erasure.presets import VARIANTS, Settings


class Training(Section):
    """Fixed step counts of one training, so that the result does not depend on the machine's load."""

    steps: Positive = Field(description="optimiser steps")
    batch_size: Positive = Field(description="examples a step")
    learning_rate: Rate = Field(description="peak learning rate")


class VqTraining(Training):
    """Shape and training of the VQ tokenizer (JanusVQVAE)."""

    threads: Positive = Field(description="torch threads of this training")
    base_channels: Positive = Field(description="width of the convolutions, a multiple of 32", multiple_of=32)
    latent_channels: Positive = Field(
        description="width between convolutions and code, a multiple of 32", multiple_of=32
    )
    embed_dim: Positive = Field(description="width of a code")
    codes: Positive = Field(description="entries of the codebook")
    grid: Literal[4, 8, 16] = Field(description="image tokens along a side")
    free_steps: Positive = Field(description="first steps without quantisation, which k-means ends")
    warmup_steps: Positive = Field(description="steps of linear rise of the learning rate")
    commitment: Rate = Field(description="weight of the commitment term")
    held_out: Positive = Field(description="training pictures kept out and measured")


class Architecture(Section):
    """Shape of the mini backbone."""

    hidden: Positive = Field(description="width of the language model")
    layers: Positive = Field(description="decoder layers")
    intermediate: Positive = Field(description="width of their MLPs")
    heads: Positive = Field(description="attention heads")
    vision_hidden: Positive = Field(description="width of the vision tower")
    vision_layers: Positive = Field(description="layers of the vision tower")
    vision_heads: Positive = Field(description="attention heads of the vision tower")


class LanguageModelTraining(Training):
    """Training of the language model on text → image and image → caption."""

    threads: Positive = Field(description="torch threads of this training")
    matrix_learning_rate: Rate = Field(description="peak learning rate of Muon, for the layers' matrices")
    caption_batch_size: Positive = Field(description="image → caption examples a step")
    caption_weight: Rate = Field(description="weight of the image → caption loss")
    warmup_steps: Positive = Field(description="steps of linear rise of the learning rate")
    weight_decay: NotNegative = Field(description="of AdamW")
    prompt_dropout: Share = Field(description="share of prompts replaced by the unconditional row")
    held_out: Positive = Field(description="training pictures kept out and measured")


class World(Section):
    """The mini world and the training of the models that stand for the pretrained ones."""

    images: Positive = Field(description="drawn training pictures")
    vq: VqTraining = Field(description="the VQ tokenizer")
    architecture: Architecture = Field(description="the backbone's shape")
    language_model: LanguageModelTraining = Field(description="the language model")
    classifier: Training = Field(description="the judge of object, style and fire (timm)")
    clip: Training = Field(description="the judge of image-text agreement (open_clip)")


class Backbone(Section):
    """How the backbone computes."""

    device: Literal["cpu", "cuda"] = Field(description="where it runs; byte identity is promised on the CPU")
    dtype: Literal["float32", "bfloat16"] = Field(description="of weights and activations")
    threads: Positive = Field(
        description="torch threads of every job; byte identity holds for one value of it"
    )


class Sampling(Section):
    """How images are drawn."""

    guidance: Annotated[float, Field(ge=1, allow_inf_nan=False)] = Field(
        description="scale of classifier-free guidance"
    )
    temperature: Rate = Field(description="softmax temperature")


class Prompts(Section):
    """Number of prompts of each kind."""

    pairs: Positive = Field(description="candidate pairs a concept, before the visual filter")
    target: Positive = Field(description="held-out prompts that name the concept, a concept")
    retention: Positive = Field(description="held-out prompts that do not, a concept")
    general: Positive = Field(description="prompts without any concept, the same for all")
    captions: Positive = Field(description="held-out drawn pictures to be captioned")


class Filter(Section):
    """The visual filter of prompt pairs."""

    drop: bool = Field(description="drop the pairs that fail; false reports on them and keeps all")


class ConceptJudge(Section):
    """Which question the classifier answers."""

    group: Literal["object", "style", "fire"] = Field(description="head of the classifier")
    label: str = Field(description="label of that head that means the concept is shown")
    top_k: Positive = Field(description="the concept is shown when its label is among the k most likely")


class Concept(Section):
    """A concept to be erased."""

    kind: Literal["object", "style", "attribute"] = Field(
        description="how prompts carry it: as subject, style or attribute"
    )
    words: str = Field(description="how a prompt names it", min_length=1)
    judge: ConceptJudge = Field(description="who says whether an image shows it")
    window: Positive = Field(description="W, image tokens a window")


class Rendering(Section):
    """How drawing is cut into jobs and batches."""

    shards: Positive = Field(description="render jobs a (concept, method, seed)")
    batch_size: Positive = Field(description="images sampled at once")


class Evaluation(Section):
    """How results are measured and shown."""

    window_prompts: Positive = Field(
        description="target prompts drawn for each window length of the ablation"
    )
    sample_rows: Positive = Field(description="target prompts in a before/after grid")
    shown_method: Name = Field(description="method beside the original in the overview figure")


class Config(Section):
    """An experiment: all that decides its results."""

    experiment: Name = Field(description="name of its folder under results/")
    seed: Annotated[int, Field(ge=0)] = Field(
        description="of drawing, training the backbone, and of each image's uniforms"
    )
    seeds: list[Annotated[int, Field(ge=0)]] = Field(
        description="fine-tuning seeds; each erases once", min_length=1
    )
    world: World
    backbone: Backbone
    sampling: Sampling
    prompts: Prompts
    filter: Filter
    concepts: dict[Name, Concept] = Field(description="by name", min_length=1)
    erasure: Erasure
    methods: dict[Name, Method] = Field(description="by name", min_length=1)
    rendering: Rendering
    evaluation: Evaluation

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds: found {self.seeds}, wanted each seed once")
        if self.methods.get(ORIGINAL) is None or self.methods[ORIGINAL].variant != "none":
            raise ValueError(
                f"methods: found no {ORIGINAL} with variant none, wanted it: all others are compared with it"
            )
        for name, method in self.methods.items():
            if name != ORIGINAL and method.variant == NONE:
                raise ValueError(f"methods.{name}.variant: found none, wanted one of {', '.join(VARIANTS)}")
            method.check(name)
        if self.evaluation.shown_method not in self.erasing_methods:
            raise ValueError(
                f"evaluation.shown_method: found {self.evaluation.shown_method}, "
                f"wanted one of {', '.join(self.erasing_methods)}"
            )
        if self.evaluation.window_prompts > self.prompts.target:
            raise ValueError(
                f"evaluation.window_prompts: found {self.evaluation.window_prompts}, "
                f"wanted at most prompts.target = {self.prompts.target}"
            )
        windows = {f"concepts.{name}.window": concept.window for name, concept in self.concepts.items()}
        windows |= {f"erasure.windows[{place}]": window for place, window in enumerate(self.erasure.windows)}
        layers = {"erasure.layers": self.erasure.layers}
        for name, method in self.methods.items():
            if isinstance(window := method.choices.get("window"), int):
                windows[f"methods.{name}.choices.window"] = window
            if isinstance(chosen := method.choices.get("layers"), int):
                layers[f"methods.{name}.choices.layers"] = chosen
        for key, window in windows.items():
            if window > self.image_tokens:
                raise ValueError(
                    f"{key}: found {window}, wanted at most {self.image_tokens}, the tokens of an image"
                )
        for key, count in layers.items():
            if count > self.world.architecture.layers:
                raise ValueError(
                    f"{key}: found {count}, "
                    f"wanted at most world.architecture.layers = {self.world.architecture.layers}"
                )
        return self

    @property
    def image_tokens(self) -> int:
        """T, image tokens of an image."""
        return self.world.vq.grid**2

    @property
    def erasing_methods(self) -> list[str]:
        """All methods but the original."""
        return [name for name in self.methods if name != ORIGINAL]

    @property
    def trained_methods(self) -> list[str]:
        """Methods that train adapters."""
        return [name for name, method in self.methods.items() if method.trains]

    def settings(self, concept: str, method: str) -> Settings:
        """All choices of a method's fine-tuning for a concept."""
        return self.methods[method].settings(self.erasure, self.concepts[concept].window, self.image_tokens)

    def method_window(self, concept: str, method: str) -> int | None:
        """The method's own window length for a concept; None for methods that train nothing."""
        if not self.methods[method].trains:
            return None
        window = self.settings(concept, method).variant.window
        assert isinstance(window, int), "settings resolve the window"
        return window

    def trained_windows(self, concept: str, method: str) -> list[int]:
        """Window lengths that a job of this concept and method trains, ascending."""
        swept = self.erasure.windows if self.methods[method].sweep else []
        own = self.method_window(concept, method)
        return sorted({*swept} | ({own} if own else set()))
