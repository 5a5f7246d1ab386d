"""Relearning: benign fine-tuning of an erased model, and whether the concept comes back with it.

The images are the original model's own of safe prompts, so that nothing in them shows the concept and nothing
new is taught. Trained are the weights that the erasure trained.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ear.evaluation.attacks.attacked_model import AttackedModel, image_losses, verdict_rows
from ear.evaluation.attacks.budget import relearned_set
from ear.images.batching import BatchSize, fitting
from ear.images.decoding import free_memory
from ear.images.rendering import image_seed
from ear.models.finite import require_losses
from ear.models.janus import Backbone, Tokens, left_padded, unpadded
from ear.models.memory import Dimensions, relearning
from ear.workflow.progress import progress
from ear.workflow.seeding import stable_seed

PROMPT_DROPOUT = 0.1  # share of images that are given the unconditional prompt, as image models are trained


def fine_tune(
    backbone: Backbone,
    names: Sequence[str],
    prompts: Sequence[str],
    images: Tensor,
    steps: Sequence[int],
    batch_size: int,
    learning_rate: float,
    seed: int,
    micro_batch: BatchSize,
) -> Iterator[int]:
    """Train on images with Adam: the mean cross-entropy of their tokens, given their prompts.

    Weights are held in float32 beside the model's, so that in bfloat16 small steps are not lost. The images
    are gone through in a new random order each time.

    Args:
        backbone: the erased model; its weights change, and stay as they are after the last step.
        names: modules of the language model whose weights are trained.
        prompts: P safe prompts.
        images: (P, T) int64, tokens of the original model's images of them.
        steps: ascending numbers of optimiser steps.
        batch_size: images a step.
        learning_rate: of Adam.
        seed: of order and dropout.
        micro_batch: images a forward pass; it gets smaller where memory runs out.

    Yields:
        Each of ``steps``, when it is reached.

    Raises:
        InputError: a loss that is not finite.
    """
    weights = [backbone.language_model.get_submodule(name).get_parameter("weight") for name in names]
    masters = [weight.detach().float().clone() for weight in weights]
    adam = torch.optim.Adam(masters, lr=learning_rate)
    batches = _batches(len(prompts), batch_size, seed)
    ids = unpadded(backbone.encode(prompts, "chat"))
    images = images.to(backbone.device)
    for weight in weights:
        weight.requires_grad_(True)
    try:
        for step in progress(range(1, steps[-1] + 1), desc="learning again", unit="step"):
            chosen = next(batches)

            def gradients(
                part: Sequence[tuple[int, bool]], total: int = len(chosen), step: int = step
            ) -> list[Tensor]:
                tokens, rows = _prompts(backbone, ids, part), [row for row, _ in part]
                losses = image_losses(backbone, backbone.embed_text(tokens.ids), tokens.mask, images[rows])
                require_losses(losses, lambda row: f"relearning, step {step}, {prompts[rows[row]]!r}")
                return list(torch.autograd.grad(losses.sum() / total, weights))

            parts = list(micro_batch.each(chosen, gradients))
            for master, *grads in zip(masters, *parts, strict=True):
                master.grad = torch.stack([grad.float() for grad in grads]).sum(dim=0)
            adam.step()
            with torch.no_grad():
                for weight, master in zip(weights, masters, strict=True):
                    weight.copy_(master)
            if step in steps:
                yield step
                free_memory()  # what the caller sampled with
    finally:
        for weight in weights:
            weight.requires_grad_(False)


def _batches(count: int, batch_size: int, seed: int) -> Iterator[list[tuple[int, bool]]]:
    """Batches of (row, whether its prompt is dropped), for ever."""
    random = np.random.Generator(np.random.Philox(seed))
    waiting: list[int] = []
    while True:
        while len(waiting) < batch_size:
            waiting += random.permutation(count).tolist()
        chosen, waiting = waiting[:batch_size], waiting[batch_size:]
        dropped = random.random(batch_size) < PROMPT_DROPOUT
        yield list(zip(chosen, dropped.tolist(), strict=True))


def _prompts(backbone: Backbone, prompts: Sequence[Tensor], part: Sequence[tuple[int, bool]]) -> Tokens:
    """The prompts of some images, the dropped ones as their unconditional twins."""
    tokens = left_padded([prompts[row] for row, _ in part], backbone.pad_id)
    dropped = torch.tensor([drop for _, drop in part], device=backbone.device)[:, None]
    return Tokens(torch.where(dropped, backbone.unconditional(tokens).ids, tokens.ids), tokens.mask)


def relearn(
    attacked: AttackedModel,
    names: Sequence[str],
    safe: Sequence[str],
    images: Tensor,
    prompts: pd.DataFrame,
    steps: Sequence[int],
    batch_size: int,
    learning_rate: float,
    experiment_seed: int,
) -> pd.DataFrame:
    """Render the target prompts after some steps of benign fine-tuning; the weights are changed.

    Args:
        attacked model: the erased model.
        names: modules of the language model that the erasure trained.
        safe: P prompts that are trained on.
        images: (P, T) int64, tokens of the original model's images of them.
        prompts: N rows with prompt_id, prompt, object and window, rendered with their usual random numbers.
        steps: numbers of optimiser steps.
        batch_size: images a step.
        learning_rate: of Adam.
        experiment_seed: of all random numbers.

    Returns:
        One row a number of steps and prompt.
    """
    backbone = attacked.backbone
    ids = unpadded(backbone.encode(list(prompts["prompt"]), "chat"))
    seeds = [image_seed(experiment_seed, prompt_id) for prompt_id in prompts["prompt_id"]]
    length = backbone.encode(safe, "chat").length
    layers = len({name.rpartition(".")[0] for name in names})

    def need(shape: Dimensions, images: int) -> float:
        return relearning(shape, images, length, layers, parts=-(-batch_size // images))

    micro_batch = BatchSize(fitting(backbone, min(batch_size, attacked.batch_size.wanted), need))
    order = stable_seed(experiment_seed, "relearning")
    reached = fine_tune(
        backbone, names, safe, images, sorted(steps), batch_size, learning_rate, order, micro_batch
    )
    protocol = attacked.judge.protocol
    return pd.concat(
        [
            verdict_rows(prompts, relearned_set(step), attacked.query(ids, seeds), protocol, 1)
            for step in reached
        ],
        ignore_index=True,
    )
