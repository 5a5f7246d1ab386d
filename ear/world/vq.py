"""Training of the mini world's image tokenizer: transformers' JanusVQVAE with a straight-through pass."""

import json
import logging
from collections.abc import Mapping
from math import cos, pi
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers import JanusVQVAE, JanusVQVAEConfig

from ear.models.weights import check_file, check_finite, loading
from ear.workflow.files import atomic_path
from ear.workflow.progress import progress
from ear.workflow.seeding import stable_seed
from ear.world.dataset import load_training_set

LOG_EVERY = 25  # steps a point of the curve


def rate_at(step: int, steps: int, warmup_steps: int, peak: float) -> float:
    """Linear rise to ``peak`` over ``warmup_steps``, then a cosine to zero at ``steps``."""
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    return peak * 0.5 * (1 + cos(pi * (step - warmup_steps) / max(1, steps - warmup_steps)))


class LossCurve:
    """Means of one or more losses over every ``LOG_EVERY`` steps.

    Args:
        steps: steps of the training; the last point ends with it.
    """

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._points: list[tuple[int, str, float]] = []
        self._recent: list[Mapping[str, float]] = []

    def add(self, step: int, losses: Mapping[str, float]) -> None:
        """Take the losses of one step, counted from 0, by the name of what they train."""
        self._recent.append(losses)
        if (step + 1) % LOG_EVERY == 0 or step + 1 == self._steps:
            for stage in losses:
                mean = sum(each[stage] for each in self._recent) / len(self._recent)
                self._points.append((step + 1, stage, mean))
            self._recent.clear()

    def table(self) -> pd.DataFrame:
        """One row a point and stage: columns step, stage and loss."""
        return pd.DataFrame(self._points, columns=["step", "stage", "loss"])


logger = logging.getLogger(__name__)

KMEANS_IMAGES, KMEANS_ITERATIONS = 512, 12
USAGE_DECAY = 0.99  # of the running count and mean of what each code stands for
RESET_EVERY = 50  # steps between two looks for dead codes
DEAD_BELOW = 0.1  # a code is dead if it takes less than this share of an even spread


def to_pixels(images: np.ndarray) -> Tensor:
    """(N, H, W, 3) uint8 in [0, 255] to the backbone's (N, 3, H, W) float32 in [-1, 1]."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().div(127.5).sub(1).contiguous()


def quantise(vq: JanusVQVAE, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Encode as transformers does, with a gradient: latents, the codebook rows they fall on, their indices.

    Latents are put on the unit sphere, where the codebook lives: the nearest row is the same, since for rows
    of unit norm both come down to the largest inner product.

    Args:
        vq: its codebook rows must have unit norm.
        pixels: (B, 3, H, W) in [-1, 1].

    Returns:
        Latents (B·T, D), rows (B·T, D) and indices (B·T,), T = tokens an image, D = embedding width.
    """
    latents = vq.quant_conv(vq.encoder(pixels)).float()  # (B, D, h, w)
    latents = F.normalize(latents.permute(0, 2, 3, 1).flatten(0, 2), dim=-1)  # (B·T, D)
    codebook = vq.quantize.embedding.weight  # (V, D)
    with torch.autocast("cpu", enabled=False):  # codes lie close together
        indices = (latents.detach() @ codebook.detach().T).argmax(dim=-1)
    return latents, F.embedding(indices, codebook.detach()), indices


def decode(vq: JanusVQVAE, rows: Tensor, grid: int) -> Tensor:
    """Decode codebook rows (B·T, D) to pixels (B, 3, H, W), T = grid²."""
    rows = rows.view(-1, grid, grid, rows.shape[-1]).permute(0, 3, 1, 2)  # (B, D, h, w)
    return vq.decoder(vq.post_quant_conv(rows))


def build_vq(settings: dict[str, Any], seed: int) -> JanusVQVAE:
    """An untrained JanusVQVAE: PyTorch's own initialisation, codebook rows at unit norm."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vq = JanusVQVAE(JanusVQVAEConfig(**settings))
        for module in vq.modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.GroupNorm | torch.nn.Embedding):
                module.reset_parameters()
    _set_codebook(vq, vq.quantize.embedding.weight)
    return vq


def train_vq(
    images: np.ndarray,
    *,
    base_channels: int,
    latent_channels: int,
    embed_dim: int,
    codes: int,
    grid: int,
    steps: int,
    free_steps: int,
    decoder_steps: int,
    batch_size: int,
    learning_rate: float,
    decoder_learning_rate: float,
    warmup_steps: int,
    commitment: float,
    held_out: int,
    seed: int,
) -> tuple[JanusVQVAE, dict[str, float], pd.DataFrame]:
    """Train the image tokenizer.

    Loss: L1 + mean squared error of the pixels + commitment · mean squared distance to the code. The codebook
    follows its latents by a running mean (van den Oord et al. 2017, appendix A.1), starts from k-means and
    revives dead codes.

    Args:
        images: (N, H, W, 3) uint8; H / grid must be a power of two.
        seed: seed of the weights, the batches and the codebook.

    The other arguments are the recipe's section ``vq``, which schemas/recipe.schema.json describes. Learning
    rates fall to zero along a cosine; the last ``held_out`` images are not trained on.

    Returns:
        The model in eval mode; metrics, psnr_db and codes_in_use on the held-out images; and the loss curve
        (step, stage, loss), whose stages are "tokenizer" and "decoder".
    """
    levels = int(np.log2(images.shape[1] // grid)) + 1
    shape = {"channel_multiplier": [1] * levels, "num_res_blocks": 0, "num_patches": grid}
    widths = {"base_channels": base_channels, "latent_channels": latent_channels, "embed_dim": embed_dim}
    vq = build_vq({**shape, **widths, "num_embeddings": codes}, seed)
    vq = vq.to(memory_format=torch.channels_last)
    vq.quantize.embedding.weight.requires_grad_(False)
    pixels, measured = map(to_pixels, np.split(images, [len(images) - held_out]))
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(
        [p for p in vq.parameters() if p.requires_grad], lr=learning_rate, fused=True
    )
    counts = torch.ones(codes)
    sums = vq.quantize.embedding.weight.clone()
    order = torch.empty(0, dtype=torch.long)
    curve, decoders = LossCurve(steps), LossCurve(decoder_steps)
    for step in progress(range(steps), desc="training the image tokenizer", unit="step"):
        if len(order) < batch_size:
            order = torch.cat([order, torch.randperm(len(pixels), generator=generator)])
        batch, order = pixels[order[:batch_size]], order[batch_size:]
        if step == free_steps:
            sums = _kmeans(vq, pixels, generator)
            counts.fill_(1.0)
            _set_codebook(vq, sums)
        for group in optimiser.param_groups:
            group["lr"] = rate_at(step, steps, warmup_steps, learning_rate)
        # Convolutions in bfloat16 take 0.7 of the time; weights, codes and losses stay in float32.
        with torch.autocast("cpu", dtype=torch.bfloat16):
            latents, rows, indices = quantise(vq, batch)
            passed = latents if step < free_steps else latents + (rows - latents).detach()
            drawn = decode(vq, passed, grid)
        error = drawn.float() - batch
        loss = error.abs().mean() + error.square().mean()
        if step >= free_steps:
            loss = loss + commitment * (latents - rows).square().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        curve.add(step, {"tokenizer": loss.item()})
        if step >= free_steps:
            taken = F.one_hot(indices, codes).float()  # (B·T, V)
            counts.lerp_(taken.sum(0), 1 - USAGE_DECAY)
            sums.lerp_(taken.T @ latents.detach(), 1 - USAGE_DECAY)
            if step % RESET_EVERY == 0 and step < 0.8 * steps:
                even = len(indices) / codes
                dead = (counts < DEAD_BELOW * even).nonzero().flatten()
                picks = torch.randint(len(latents), (len(dead),), generator=generator)
                sums[dead], counts[dead] = latents.detach()[picks] * even, even
            _set_codebook(vq, sums)
    _train_decoder(vq, pixels, decoder_steps, batch_size, decoder_learning_rate, warmup_steps, seed, decoders)
    vq.eval()
    metrics = measure(vq, measured)
    logger.info("image tokenizer: %s", metrics)
    return vq, metrics, pd.concat([curve.table(), decoders.table()], ignore_index=True)


def _train_decoder(
    vq: JanusVQVAE,
    pixels: Tensor,
    steps: int,
    batch_size: int,
    learning_rate: float,
    warmup_steps: int,
    seed: int,
    curve: LossCurve,
) -> None:
    """Train the decoder alone, in place: encoder and codebook, and so all image tokens, stay as they are."""
    grid = vq.config.num_patches
    trained = [*vq.post_quant_conv.parameters(), *vq.decoder.parameters()]
    optimiser = torch.optim.Adam(trained, lr=learning_rate, fused=True)
    generator = torch.Generator().manual_seed(stable_seed(seed, "decoder"))
    for step in progress(range(steps), desc="training the decoder", unit="step"):
        batch = pixels[torch.randint(len(pixels), (batch_size,), generator=generator)]
        for group in optimiser.param_groups:
            group["lr"] = rate_at(step, steps, warmup_steps, learning_rate)
        with torch.no_grad():
            _, rows, _ = quantise(vq, batch)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            drawn = decode(vq, rows, grid)
        error = drawn.float() - batch
        loss = error.abs().mean() + error.square().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        curve.add(step, {"decoder": loss.item()})


@torch.no_grad()
def measure(vq: JanusVQVAE, pixels: Tensor) -> dict[str, float]:
    """Reconstruction quality through transformers' own encode and decode.

    Args:
        vq: the image tokenizer.
        pixels: (N, 3, H, W) in [-1, 1].

    Returns:
        ``psnr_db`` over all pixels (peak 2, the width of [-1, 1]) and ``codes_in_use``.
    """
    errors, seen = [], set()
    for batch in pixels.split(64):
        tokens = vq.encode(batch).image_tokens.view(len(batch), -1)
        errors.append((vq.decode(tokens).clamp(-1, 1) - batch).square().mean(dim=(1, 2, 3)))
        seen.update(tokens.flatten().tolist())
    error = torch.cat(errors).mean().item()
    return {"psnr_db": float(10 * np.log10(4 / error)), "codes_in_use": float(len(seen))}


def train_tokenizer(
    world_folder: str | Path, out_file: str | Path, **settings: Any
) -> tuple[dict[str, float], pd.DataFrame]:
    """Train the image tokenizer on a drawn world and save it.

    Args:
        world_folder: what ``draw_training_set`` wrote.
        out_file: the safetensors file.
        settings: as ``train_vq`` takes them.

    Returns:
        The metrics and the loss curve of ``train_vq``.
    """
    images, _ = load_training_set(world_folder)
    vq, metrics, curve = train_vq(images, **settings)
    save_vq(vq, out_file)
    return metrics, curve


def save_vq(vq: JanusVQVAE, path: str | Path) -> None:
    """Save the weights, with the configuration in the file's metadata."""
    state = {name: tensor.contiguous() for name, tensor in vq.state_dict().items()}
    with atomic_path(path) as partial:
        save_file(state, partial, metadata={"config": vq.config.to_json_string(use_diff=False)})


@torch.no_grad()
def _kmeans(vq: JanusVQVAE, pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Spherical k-means over the latents of some images: (V, D), rows at unit norm."""
    picked = torch.randperm(len(pixels), generator=generator)[:KMEANS_IMAGES]
    points = torch.cat([quantise(vq, batch)[0] for batch in pixels[picked].split(64)])  # (n, D)
    codes = vq.quantize.num_embeddings
    centres = points[torch.randperm(len(points), generator=generator)[:codes]]
    if len(centres) < codes:
        centres = torch.cat([centres, vq.quantize.embedding.weight[len(centres) :]])
    for _ in range(KMEANS_ITERATIONS):
        taken = F.one_hot((points @ centres.T).argmax(-1), codes).float()  # (n, V)
        sums = taken.T @ points
        centres = torch.where(taken.sum(0)[:, None] > 0, F.normalize(sums, dim=-1), centres)
    return centres


def _set_codebook(vq: JanusVQVAE, rows: Tensor) -> None:
    with torch.no_grad():
        vq.quantize.embedding.weight.copy_(F.normalize(rows, dim=-1))


def load_vq(path: str | Path) -> JanusVQVAE:
    """Load what ``save_vq`` wrote, in eval mode.

    Raises:
        InputError: the file is missing, not whole or not of an image tokenizer.
    """
    wanted = "the image tokenizer's weights"
    check_file(path, wanted)
    with loading(path, wanted), safe_open(path, framework="pt") as weights:
        vq = JanusVQVAE(JanusVQVAEConfig(**json.loads(weights.metadata()["config"])))
        vq.load_state_dict({name: weights.get_tensor(name) for name in weights.keys()})  # noqa: SIM118 not a dict
    check_finite(path, vq.state_dict())
    return vq.eval()
