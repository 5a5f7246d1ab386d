"""The config of a recipe: drawn pictures, and the mini world's models that are trained on them.

No experiment, but what makes the models that experiments on the mini world start from.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from ear.config.loading import checked
from ear.config.section import Name, NotNegative, Positive, Rate, Section, Seed, Share


class Training(Section):
    """Fixed step counts of one training, so that the result does not depend on the machine's load."""

    threads: Positive = Field(description="torch threads; the same bytes come of one value of it")
    steps: Positive = Field(description="optimiser steps")
    batch_size: Positive = Field(description="examples a step")
    learning_rate: Rate = Field(description="peak learning rate")


class VqTraining(Training):
    """Shape and training of the VQ tokenizer (JanusVQVAE)."""

    base_channels: Positive = Field(description="width of the convolutions, a multiple of 32", multiple_of=32)
    latent_channels: Positive = Field(
        description="width between convolutions and code, a multiple of 32", multiple_of=32
    )
    embed_dim: Positive = Field(description="width of a code")
    codes: Positive = Field(description="entries of the codebook")
    grid: Literal[4, 8, 16] = Field(description="image tokens along a side")
    free_steps: Positive = Field(description="first steps without quantisation, which k-means ends")
    decoder_steps: Positive = Field(description="further steps of the decoder alone")
    decoder_learning_rate: Rate = Field(description="peak learning rate of the decoder's further steps")
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
    guidance: Annotated[float, Field(ge=1, allow_inf_nan=False)] = Field(
        description="guidance scale of its generation config"
    )

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        if self.hidden % (2 * self.heads):
            raise ValueError("wanted hidden to be a multiple of twice its heads")
        if self.vision_hidden % self.vision_heads:
            raise ValueError("wanted vision_hidden to be a multiple of vision_heads")
        return self


class LanguageModelTraining(Training):
    """Training of the language model on text → image and image → caption."""

    matrix_learning_rate: Rate = Field(description="peak learning rate of Muon, for the layers' matrices")
    caption_batch_size: Positive = Field(description="image → caption examples a step")
    question_batch_size: Positive = Field(description="images a step that are asked every yes/no question")
    caption_weight: Rate = Field(description="weight of the image → caption loss and of the questions'")
    warmup_steps: Positive = Field(description="steps of linear rise of the learning rate")
    weight_decay: NotNegative = Field(description="of AdamW")
    prompt_dropout: Share = Field(description="share of prompts replaced by the unconditional row")
    held_out: Positive = Field(description="training pictures kept out and measured")


class Trainings(Section):
    """All trainings, and the pictures that they share."""

    images: Positive = Field(description="drawn training pictures")
    vq: VqTraining = Field(description="the VQ tokenizer")
    architecture: Architecture = Field(description="the backbone's shape")
    language_model: LanguageModelTraining = Field(description="the language model")
    classifier: Training = Field(description="the judge of object, style and fire (timm)")
    clip: Training = Field(description="the judge of image-text agreement (open_clip)")


class Recipe(Section):
    """How the mini world's models are trained."""

    experiment: Name = Field(description="name of its folder under results/")
    seed: Seed = Field(description="of the pictures and of every training")
    training: Trainings = Field(description="what is trained, and on what")


def parse_recipe(raw: Mapping[str, Any], source: str) -> Recipe:
    """Check a recipe.

    Args:
        raw: parsed YAML.
        source: its file, for the message.

    Raises:
        InputError: a line for each error, as of ``parse_config``.
    """
    return checked(Recipe, raw, source)
