"""Training of the mini world's image tokenizer: transformers' JanusVQVAE with a straight-through pass."""

import json
from collections.abc import Mapping, Sequence
from math import cos, pi
from pathlib import Path
from types import SimpleNamespace
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
KMEANS_IMAGES, KMEANS_ITERATIONS = 512, 12
USAGE_DECAY = 0.99  # of the running count and mean of what each code stands for
RESET_EVERY = 50  # steps between two looks for dead codes
DEAD_BELOW = 0.1  # a code is dead if it takes less than this share of an even spread


def rate_at(step: int, steps: int, warmup_steps: int, peak: float) -> float:
    """Linear rise to ``peak`` over ``warmup_steps``, then a cosine to zero at ``steps``."""
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    return peak * 0.5 * (1 + cos(pi * (step - warmup_steps) / max(1, steps - warmup_steps)))


def loss_curve(losses: Sequence[Mapping[str, float]]) -> pd.DataFrame:
    """Mean losses over every ``LOG_EVERY`` steps: columns step, stage and loss.

    Args:
        losses: of each step, by the name of what they train.
    """
    points = []
    for start in range(0, len(losses), LOG_EVERY):
        part = losses[start : start + LOG_EVERY]
        points += [
            (start + len(part), stage, sum(each[stage] for each in part) / len(part)) for stage in part[0]
        ]
    return pd.DataFrame(points, columns=["step", "stage", "loss"])


def to_pixels(images: np.ndarray) -> Tensor:
    """(N, H, W, 3) uint8 in [0, 255] to the backbone's (N, 3, H, W) float32 in [-1, 1]."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().div(127.5).sub(1).contiguous()


def quantise(vq: JanusVQVAE, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Encode as transformers does, with a gradient.

    Latents are put on the unit sphere, where the codebook lives: for rows of unit norm the nearest is the one
    with the largest inner product.

    Args:
        vq: its codebook rows must have unit norm.
        pixels: (B, 3, H, W) in [-1, 1].

    Returns:
        Latents (B·T, D), their rows of the codebook (B·T, D) and the rows' indices (B·T,); T tokens an image.
    """
    latents = vq.quant_conv(vq.encoder(pixels)).float()  # (B, D, h, w)
    latents = F.normalize(latents.permute(0, 2, 3, 1).flatten(0, 2), dim=-1)  # (B·T, D)
    codebook = vq.quantize.embedding.weight.detach()  # (V, D)
    with torch.autocast("cpu", enabled=False):  # codes lie close together
        indices = (latents.detach() @ codebook.T).argmax(dim=-1)
    return latents, F.embedding(indices, codebook), indices


def decode(vq: JanusVQVAE, rows: Tensor) -> Tensor:
    """Decode codebook rows (B·T, D) to pixels (B, 3, H, W)."""
    grid = vq.config.num_patches
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
    world_folder: str | Path, out_file: str | Path, settings: Mapping[str, Any], seed: int
) -> tuple[dict[str, float], pd.DataFrame]:
    """Train the image tokenizer on a drawn world and save it.

    Loss: L1 + mean squared error of the pixels + commitment · mean squared distance to the code. The codebook
    follows its latents by a running mean (van den Oord et al. 2017, appendix A.1), starts from k-means and
    revives dead codes. Learning rates fall to zero along a cosine.

    Args:
        world_folder: what ``draw_training_set`` wrote; the last ``held_out`` images are not trained on.
        out_file: the safetensors file.
        settings: the recipe's section ``vq``, which schemas/recipe.schema.json describes.
        seed: seed of the weights, the batches and the codebook.

    Returns:
        psnr_db and codes_in_use of the held-out images, and the loss curve (step, stage, loss), whose stages
        are "tokenizer" and "decoder".
    """
    images, _ = load_training_set(world_folder)
    to = SimpleNamespace(**settings)
    levels = int(np.log2(images.shape[1] // to.grid)) + 1
    shape = {"channel_multiplier": [1] * levels, "num_res_blocks": 0, "num_patches": to.grid}
    shape |= {name: settings[name] for name in ("base_channels", "latent_channels", "embed_dim")}
    vq = build_vq({**shape, "num_embeddings": to.codes}, seed).to(memory_format=torch.channels_last)
    vq.quantize.embedding.weight.requires_grad_(False)
    pixels, measured = map(to_pixels, np.split(images, [len(images) - to.held_out]))
    losses = _train_all(vq, pixels, to, seed)
    # The decoder alone: encoder and codebook, and so all image tokens, stay as they are.
    decoder_losses = _train_decoder(vq, pixels, to, stable_seed(seed, "decoder"))
    vq.eval()
    state = {name: tensor.contiguous() for name, tensor in vq.state_dict().items()}
    with atomic_path(out_file) as partial:
        save_file(state, partial, metadata={"config": vq.config.to_json_string(use_diff=False)})
    curve = pd.concat([loss_curve(losses), loss_curve(decoder_losses)], ignore_index=True)
    return _quality(vq, measured), curve


def _train_all(vq: JanusVQVAE, pixels: Tensor, to: SimpleNamespace, seed: int) -> list[dict[str, float]]:
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(
        [p for p in vq.parameters() if p.requires_grad], lr=to.learning_rate, fused=True
    )
    counts = torch.ones(to.codes)
    sums = vq.quantize.embedding.weight.clone()
    order = torch.empty(0, dtype=torch.long)
    losses = []
    for step in progress(range(to.steps), desc="training the image tokenizer", unit="step"):
        if len(order) < to.batch_size:
            order = torch.cat([order, torch.randperm(len(pixels), generator=generator)])
        batch, order = pixels[order[: to.batch_size]], order[to.batch_size :]
        if step == to.free_steps:
            sums = _kmeans(vq, pixels, generator)
            counts.fill_(1.0)
            _set_codebook(vq, sums)
        # Convolutions in bfloat16 take 0.7 of the time; weights, codes and losses stay in float32.
        with torch.autocast("cpu", dtype=torch.bfloat16):
            latents, rows, indices = quantise(vq, batch)
            passed = latents if step < to.free_steps else latents + (rows - latents).detach()
            loss = _pixel_loss(decode(vq, passed), batch)
        if step >= to.free_steps:
            loss = loss + to.commitment * (latents - rows).square().mean()
        _step(optimiser, loss, rate_at(step, to.steps, to.warmup_steps, to.learning_rate))
        losses.append({"tokenizer": loss.item()})
        if step >= to.free_steps:
            taken = F.one_hot(indices, to.codes).float()  # (B·T, V)
            counts.lerp_(taken.sum(0), 1 - USAGE_DECAY)
            sums.lerp_(taken.T @ latents.detach(), 1 - USAGE_DECAY)
            if step % RESET_EVERY == 0 and step < 0.8 * to.steps:
                even = len(indices) / to.codes
                dead = (counts < DEAD_BELOW * even).nonzero().flatten()
                picks = torch.randint(len(latents), (len(dead),), generator=generator)
                sums[dead], counts[dead] = latents.detach()[picks] * even, even
            _set_codebook(vq, sums)
    return losses


def _train_decoder(vq: JanusVQVAE, pixels: Tensor, to: SimpleNamespace, seed: int) -> list[dict[str, float]]:
    trained = [*vq.post_quant_conv.parameters(), *vq.decoder.parameters()]
    optimiser = torch.optim.Adam(trained, lr=to.decoder_learning_rate, fused=True)
    generator = torch.Generator().manual_seed(seed)
    losses = []
    for step in progress(range(to.decoder_steps), desc="training the decoder", unit="step"):
        batch = pixels[torch.randint(len(pixels), (to.batch_size,), generator=generator)]
        with torch.no_grad():
            _, rows, _ = quantise(vq, batch)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = _pixel_loss(decode(vq, rows), batch)
        _step(optimiser, loss, rate_at(step, to.decoder_steps, to.warmup_steps, to.decoder_learning_rate))
        losses.append({"decoder": loss.item()})
    return losses


def _pixel_loss(drawn: Tensor, wanted: Tensor) -> Tensor:
    error = drawn.float() - wanted
    return error.abs().mean() + error.square().mean()


def _step(optimiser: torch.optim.Optimizer, loss: Tensor, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()


@torch.no_grad()
def _quality(vq: JanusVQVAE, pixels: Tensor) -> dict[str, float]:
    """Of pixels through transformers' own encode and decode: PSNR (peak 2, as [-1, 1]) and codes in use."""
    errors, seen = [], set()
    for batch in pixels.split(64):
        tokens = vq.encode(batch).image_tokens.view(len(batch), -1)
        errors.append((vq.decode(tokens).clamp(-1, 1) - batch).square().mean(dim=(1, 2, 3)))
        seen.update(tokens.flatten().tolist())
    error = torch.cat(errors).mean().item()
    return {"psnr_db": float(10 * np.log10(4 / error)), "codes_in_use": float(len(seen))}


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
    """Load what ``train_vq`` wrote, in eval mode; an InputError where the file is missing or not whole."""
    wanted = "the image tokenizer's weights"
    check_file(path, wanted)
    with loading(path, wanted), safe_open(path, framework="pt") as weights:
        vq = JanusVQVAE(JanusVQVAEConfig(**json.loads(weights.metadata()["config"])))
        vq.load_state_dict({name: weights.get_tensor(name) for name in weights.keys()})  # noqa: SIM118 not a dict
    check_finite(path, vq.state_dict())
    return vq.eval()
