"""What attacks take from the original model, before an adapter is put in: its images, as tokens."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from ear.attacks.relearning import Lesson
from ear.batching import BatchSize, drawn_at_once
from ear.erasure.streams import read_pairs
from ear.janus import Backbone
from ear.render import image_seed
from ear.sampling import Guidance, sample_prompts


def images_of_targets(
    backbone: Backbone,
    prompts: pd.DataFrame,
    guidance: Guidance,
    temperature: float,
    experiment_seed: int,
    batch_size: BatchSize,
) -> Tensor:
    """The original model's images of prompts, with their usual uniforms: (N, T) int64."""
    return _sampled(
        backbone,
        list(prompts["prompt"]),
        [image_seed(experiment_seed, prompt_id) for prompt_id in prompts["prompt_id"]],
        guidance,
        temperature,
        batch_size,
    )


def lesson_of(
    backbone: Backbone,
    pairs: str | Path,
    guidance: Guidance,
    temperature: float,
    experiment_seed: int,
    batch_size: BatchSize,
) -> Lesson:
    """The safe prompts of the training pairs, and the original model's images of them."""
    safe = {pair_id: prompt for pair_id, _, prompt in read_pairs(pairs)}
    seeds = [image_seed(experiment_seed, f"relearning/{pair_id}") for pair_id in safe]
    prompts = list(safe.values())
    return Lesson(prompts, _sampled(backbone, prompts, seeds, guidance, temperature, batch_size))


def _sampled(
    backbone: Backbone,
    prompts: Sequence[str],
    seeds: Sequence[int],
    guidance: Guidance,
    temperature: float,
    batch_size: BatchSize,
) -> Tensor:
    def drawn(part: Sequence[tuple[str, int]]) -> Tensor:
        texts, of_images = zip(*part, strict=True)
        return sample_prompts(backbone, texts, of_images, "chat", guidance, temperature)

    length = backbone.encode(prompts, "chat").length
    fits = drawn_at_once(backbone, batch_size.wanted, guidance.rows, length)
    return torch.cat(list(batch_size.each(list(zip(prompts, seeds, strict=True)), drawn, fits)))
