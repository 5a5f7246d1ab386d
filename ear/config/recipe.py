"""The config of a recipe: pictures of the mini world, and the models that are trained on them."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from ear.config.parsing import checked
from ear.config.sections import Name, NotNegative, Positive, Rate, Scale, Section, Seed, Share


class Training(Section):
    """Fixed step counts of one training, so that the result does not depend on the machine's load."""

    threads: Positive = Field(description="torch threads; one number of threads gives the same bytes")
    steps: Positive = Field(description="optimiser steps of the training")
    batch_size: Positive = Field(description="examples of each optimiser step")
    learning_rate: Rate = Field(description="peak learning rate")


class MeasuredTraining(Training):
    """A training whose learning rate rises at first, and which is measured on pictures of its own."""

    warmup_steps: Positive = Field(description="first steps, in which the learning rate rises linearly")
    held_out: Positive = Field(description="number of training pictures that are kept out and measured")


class VqTraining(MeasuredTraining):
    """Shape and training of the VQ tokenizer (JanusVQVAE)."""

    base_channels: Positive = Field(description="width of the convolutions", multiple_of=32)
    latent_channels: Positive = Field(description="width between convolutions and code", multiple_of=32)
    embed_dim: Positive = Field(description="width of a code of the codebook")
    codes: Positive = Field(description="number of codes in the codebook")
    grid: Literal[4, 8, 16] = Field(description="image tokens along a side of the image")
    free_steps: Positive = Field(description="first steps, before k-means sets the codebook")
    decoder_steps: Positive = Field(description="further steps that train the decoder alone")
    decoder_learning_rate: Rate = Field(description="peak learning rate of the decoder's further steps")
    commitment: Rate = Field(description="weight of the commitment term in the loss")


class Architecture(Section):
    """Shape of the mini backbone."""

    hidden: Positive = Field(description="width of the language model")
    layers: Positive = Field(description="number of decoder layers")
    intermediate: Positive = Field(description="width of the decoder layers' MLPs")
    heads: Positive = Field(description="attention heads of a decoder layer")
    vision_hidden: Positive = Field(description="width of the vision tower")
    vision_layers: Positive = Field(description="number of layers of the vision tower")
    vision_heads: Positive = Field(description="attention heads of a layer of the vision tower")
    guidance: Scale = Field(description="guidance scale of the backbone's generation config")

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        if self.hidden % (2 * self.heads):
            raise ValueError("wanted hidden to be a multiple of 2 × heads")
        if self.vision_hidden % self.vision_heads:
            raise ValueError("wanted vision_hidden to be a multiple of vision_heads")
        return self


class LanguageModelTraining(MeasuredTraining):
    """Training of the language model on text → image and image → caption."""

    matrix_learning_rate: Rate = Field(description="peak learning rate of Muon, for the layers' matrices")
    caption_batch_size: Positive = Field(description="image → caption examples of each step")
    question_batch_size: Positive = Field(description="images of each step with questions")
    caption_weight: Rate = Field(description="weight in the loss of captions and of answers to questions")
    weight_decay: NotNegative = Field(description="weight decay of both optimisers, for matrices")
    prompt_dropout: Share = Field(description="share of prompts that the unconditional row replaces")


class Trainings(Section):
    """All trainings, and the pictures that they share."""

    images: Positive = Field(description="number of training pictures that are drawn")
    vq: VqTraining = Field(description="training of the VQ tokenizer")
    architecture: Architecture = Field(description="shape of the backbone")
    language_model: LanguageModelTraining = Field(description="training of the language model")
    liquid_steps: Positive = Field(
        description="optimiser steps of the mini Liquid, whose other settings are those of language_model"
    )
    classifier: Training = Field(description="training of the judge of object, style and fire (timm)")
    clip: Training = Field(description="training of the judge of image-text agreement (open_clip)")


class Recipe(Section):
    """How the mini world's models are trained."""

    experiment: Name = Field(description="name of the recipe's folder under results/")
    seed: Seed = Field(description="seed of the pictures and of every training")
    training: Trainings = Field(description="what is trained, and on how many pictures")


def parse_recipe(raw: Mapping[str, Any], source: str) -> Recipe:
    """Check a recipe, with arguments and errors as of ``parse_config``."""
    return checked(Recipe, raw, source)
