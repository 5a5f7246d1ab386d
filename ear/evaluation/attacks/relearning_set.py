"""Relearning: benign fine-tuning of an erased model, and whether the concept comes back with it.

The images are the original model's own of safe prompts, so that nothing in them shows the concept and nothing
new is taught. Trained are the weights that the erasure trained; of methods with LoRA, which changes nearly
all weights, those that methods without it train.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ear.evaluation.attacks import relearned_set
from ear.evaluation.attacks.attacked_model import AttackedModel, image_losses
from ear.images.batching import BatchSize, fitting
from ear.images.decoding import free_memory
from ear.images.rendering import image_seed
from ear.models.backbone import Backbone, Tokens, left_padded, unpadded
from ear.models.finite import require_losses
from ear.models.memory import Dimensions, relearning
from ear.workflow.progress import progress
from ear.workflow.seeding import stable_seed

PROMPT_DROPOUT = 0.1  # share of images that are given the unconditional prompt, as image models are trained


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
    """Render the target prompts after some steps of benign fine-tuning with Adam; the weights are changed.

    The loss is the mean cross-entropy of the images' tokens, given their prompts. Weights are held in float32
    beside the model's, so that in bfloat16 small steps are not lost.

    Args:
        attacked: the erased model.
        names: modules of the language model that are trained.
        safe: P prompts that are trained on.
        images: (P, T) int64, tokens of the original model's images of them.
        prompts: N rows with prompt_id, prompt, object and window, rendered with their usual random numbers.
        steps: numbers of optimiser steps.
        batch_size: images a step.
        learning_rate: of Adam.
        experiment_seed: of all random numbers.

    Returns:
        One row a number of steps and prompt, ``ATTACK_COLUMNS``.

    Raises:
        InputError: a loss that is not finite.
    """
    backbone = attacked.backbone
    target_ids, safe_ids = (
        unpadded(backbone.encode(list(texts), "chat")) for texts in (prompts["prompt"], safe)
    )
    seeds = [image_seed(experiment_seed, prompt_id) for prompt_id in prompts["prompt_id"]]
    length = max(len(ids) for prompt in safe_ids for ids in (prompt, backbone.unconditional(prompt)))
    layers = len({name.rpartition(".")[0] for name in names})

    def need(shape: Dimensions, images: int) -> float:
        return relearning(shape, images, length, layers, parts=-(-batch_size // images))

    micro_batch = BatchSize(fitting(backbone, min(batch_size, attacked.batch_size.wanted), need))
    weights = [backbone.language_model.get_submodule(name).get_parameter("weight") for name in names]
    masters = [weight.detach().float().clone() for weight in weights]
    adam = torch.optim.Adam(masters, lr=learning_rate)
    batches = _batches(len(safe), batch_size, stable_seed(experiment_seed, "relearning"))
    images = images.to(backbone.device)

    def gradients(part: Sequence[tuple[int, bool]]) -> list[Tensor]:
        tokens, rows = _prompts(backbone, safe_ids, part), [row for row, _ in part]
        losses = image_losses(backbone, backbone.embed_text(tokens.ids), tokens.mask, images[rows])
        require_losses(losses, lambda row: f"relearning, step {step}, {safe[rows[row]]!r}")
        return list(torch.autograd.grad(losses.sum() / batch_size, weights))

    tables = []
    for weight in weights:
        weight.requires_grad_(True)
    try:
        for step in progress(range(1, max(steps) + 1), desc="relearning", unit="step"):
            parts = list(micro_batch.each(next(batches), gradients))
            for master, *grads in zip(masters, *parts, strict=True):
                master.grad = torch.stack([grad.float() for grad in grads]).sum(dim=0)
            adam.step()
            with torch.no_grad():
                for weight, master in zip(weights, masters, strict=True):
                    weight.copy_(master)
            if step in steps:
                rows = prompts.assign(prompt_set=relearned_set(step), queries=1)
                tables.append(attacked.query(rows, target_ids, seeds))
                free_memory()
    finally:
        for weight in weights:
            weight.requires_grad_(False)
    return pd.concat(tables, ignore_index=True)


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
    ids = [backbone.unconditional(prompts[row]) if dropped else prompts[row] for row, dropped in part]
    return left_padded(ids, backbone.pad_id)
