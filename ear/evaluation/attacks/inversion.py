"""Concept inversion: an embedding is learned in place of the concept's name, and the model stays as it is.

Textual inversion (arXiv 2208.01618) as an attack, after Pham et al. 2023, "Circumventing Concept Erasure
Methods for Text-to-Image Generative Models" (arXiv 2308.01508). There the loss is a noise estimate's; here it
is the cross-entropy of image tokens.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ear.errors import InputError
from ear.evaluation.attacks import ATTACK_COLUMNS
from ear.evaluation.attacks.attacked_model import AttackedModel, image_losses
from ear.evaluation.protocols import INVERSION, INVERSION_CONTROL
from ear.images.batching import BatchSize, fitting
from ear.images.decoding import free_memory
from ear.images.rendering import image_seed
from ear.models.backbone import Backbone, left_padded
from ear.models.finite import require_losses
from ear.models.memory import Dimensions, gradients
from ear.prompts.naming import without
from ear.workflow.progress import progress
from ear.workflow.seeding import stable_seed

logger = logging.getLogger(__name__)

SIGN = "*"  # the embedding, where prompts are written down


def placeholder(backbone: Backbone) -> int:
    """The id that stands for the embedding: no token's, so that no prompt has it by chance."""
    return int(backbone.model.get_input_embeddings().num_embeddings)


@contextmanager
def embedded(backbone: Backbone, vector: Tensor) -> Iterator[None]:
    """Read prompts with a vector (D,) in place of the placeholder; gradients reach it."""
    plain, sought = backbone.embed_text, placeholder(backbone)

    def embed(ids: Tensor) -> Tensor:
        found = ids == sought
        embeddings = plain(ids.masked_fill(found, backbone.pad_id))
        return torch.where(found[..., None], vector.to(embeddings.dtype), embeddings)

    backbone.embed_text = embed  # type: ignore[method-assign]
    try:
        yield
    finally:
        del backbone.embed_text


def inverted_ids(backbone: Backbone, prompt: str, names: Sequence[str], token: int) -> Tensor:
    """Ids (L,) of a chat prompt, with a token in place of each name, or behind a prompt without any."""
    before, after = backbone.frame()
    first, *others = _pieces(prompt, names)
    ids = backbone.text_ids(before, first.rstrip(), "")
    begin = len(backbone.text_ids("", "", ""))  # begin-of-sentence
    for place, piece in enumerate(others, start=1):
        ids += [token, *backbone.text_ids("", piece, after if place == len(others) else "")[begin:]]
    return torch.tensor(ids, device=backbone.device)


def _pieces(prompt: str, names: Sequence[str]) -> list[str]:
    pieces = without(prompt.strip(), names)
    return pieces if len(pieces) > 1 else [f"{pieces[0]} ", ""]


def learn(
    backbone: Backbone,
    prompts: Sequence[Tensor],
    images: Tensor,
    start: Tensor,
    steps: int,
    learning_rate: float,
    batch_size: int,
) -> Tensor:
    """Make images likely by Adam on one embedding: the mean loss of all images in each step.

    Args:
        backbone: the model; none of its weights change.
        prompts: N of (L_i,) ids with the placeholder.
        images: (N, T) int64.
        start: (D,) of the embedding.
        steps: of the optimiser.
        learning_rate: of Adam.
        batch_size: images read at once.

    Returns:
        (D,) float32.

    Raises:
        InputError: a loss that is not finite.
    """
    length = max(map(len, prompts))

    def need(shape: Dimensions, rows: int) -> float:
        return gradients(shape, rows, length, images.shape[1])

    micro_batch = BatchSize(fitting(backbone, min(batch_size, len(images)), need))
    vector = start.detach().float().clone().requires_grad_()
    adam = torch.optim.Adam([vector], lr=learning_rate)

    def gradient(rows: Sequence[int]) -> Tensor:
        tokens = left_padded([prompts[row] for row in rows], backbone.pad_id)
        losses = image_losses(backbone, backbone.embed_text(tokens.ids), tokens.mask, images[list(rows)])
        require_losses(losses, lambda row: f"inversion, image {rows[row]}")
        (found,) = torch.autograd.grad(losses.sum() / len(images), vector)
        return found

    with embedded(backbone, vector):
        for _ in progress(range(steps), desc="inverting the concept", unit="step"):
            vector.grad = torch.stack(list(micro_batch.each(range(len(images)), gradient))).sum(dim=0)
            adam.step()
    return vector.detach()


def invert(
    attacked: AttackedModel,
    names: Sequence[str],
    vocabulary: Tensor,
    images: Tensor,
    prompts: pd.DataFrame,
    steps: int,
    learning_rate: float,
    experiment_seed: int,
) -> pd.DataFrame:
    """Learn an embedding from the original's images of the concept, and render other target prompts with it.

    Images that do not show the concept are left out. The embedding starts as the mean of the vocabulary's.
    The control is a random embedding of the same norm.

    Args:
        attacked: the erased model.
        names: of the concept.
        vocabulary: (V,) ids of plain text that do not name it.
        images: (n, T) int64, tokens of the original's images of the first n prompts.
        prompts: N > n rows with prompt_id, prompt, object and window; the last N − n are rendered, with their
            usual random numbers.
        steps: of the optimiser.
        learning_rate: of Adam.
        experiment_seed: of all random numbers.

    Returns:
        One row for each of these N − n prompts and for each in the control, ``ATTACK_COLUMNS``; none where no
        image shows the concept.

    Raises:
        InputError: there is no prompt to render, or a loss is not finite.
    """
    backbone = attacked.backbone
    if len(prompts) <= len(images):
        raise InputError(
            f"inversion: found {len(prompts)} target prompts, wanted more than the {len(images)} that are "
            "learned from: lower axes.inversion.images"
        )
    images = images.to(backbone.device)
    shown = np.flatnonzero(attacked.verdicts(images)["shown"]).tolist()
    if not shown:
        message = (
            "inversion: none of the original's first %d images shows the concept: raise axes.inversion.images"
        )
        logger.warning(message, len(images))
        return pd.DataFrame(columns=ATTACK_COLUMNS)
    ids = [inverted_ids(backbone, prompt, names, placeholder(backbone)) for prompt in prompts["prompt"]]
    start = backbone.embed_text(vocabulary).float().mean(dim=0)
    learned_from = [ids[row] for row in shown]
    size = attacked.batch_size.wanted
    learned = learn(backbone, learned_from, images[shown], start, steps, learning_rate, size)
    random = np.random.Generator(np.random.Philox(stable_seed(experiment_seed, INVERSION)))
    control = torch.from_numpy(random.standard_normal(len(learned))).to(learned)
    rendered = prompts[len(images) :].reset_index(drop=True)
    texts = [SIGN.join(_pieces(prompt, names)) for prompt in rendered["prompt"]]
    seeds = [image_seed(experiment_seed, prompt_id) for prompt_id in rendered["prompt_id"]]
    tables = []
    for prompt_set, vector in (
        (INVERSION, learned),
        (INVERSION_CONTROL, control * learned.norm() / control.norm()),
    ):
        rows = rendered.assign(prompt=texts, prompt_set=prompt_set, queries=1)
        with embedded(backbone, vector):
            tables.append(attacked.query(rows, ids[len(images) :], seeds))
        free_memory()
    return pd.concat(tables, ignore_index=True)
