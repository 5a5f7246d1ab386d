"""Drawing of probes: beginnings of images by the original model, then what a model makes of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from ear.axes.probes import Probe, longest
from ear.batching import BatchSize, drawn_at_once
from ear.janus import Backbone
from ear.render import image_rows, render_prompts, shard_rows
from ear.sampling import Guidance, sample_prompts

Beginning = tuple[str, int]
"""Prompt and seed of an image."""


def of_shard(probes: Sequence[Probe], shard: int, shards: int) -> list[Probe]:
    """What one of several jobs draws of each probe (``ear.render.shard_rows``)."""
    parts = [Probe(probe.condition, shard_rows(probe.rows, shard, shards)) for probe in probes]
    return [part for part in parts if len(part.rows)]


def beginnings(
    backbone: Backbone,
    probes: Sequence[Probe],
    experiment_seed: int,
    guidance: float,
    temperature: float,
    batch_size: BatchSize,
) -> dict[Beginning, Tensor]:
    """Beginnings of the images that probes go on from. Call it while the weights are still the original's.

    Args:
        backbone: the original model.
        probes: of a concept.
        experiment_seed: with the prompts' ids it fixes the uniforms.
        guidance: scale of the images.
        temperature: of the images.
        batch_size: prompts sampled at once.

    Returns:
        (prompt, seed) → (k,) int64, how the original's image of it begins; k is that of the longest probe.
    """
    steps = longest(probes)
    wanted: dict[Beginning, None] = {}
    for probe in probes:
        if probe.condition.given:
            seeds = image_rows(probe.rows.assign(window=0), experiment_seed)["seed"]
            wanted |= dict.fromkeys(zip(probe.rows["begun_by"], seeds, strict=True))

    def sampled(part: Sequence[Beginning]) -> Tensor:
        texts, seeds = zip(*part, strict=True)
        return sample_prompts(
            backbone, texts, seeds, "chat", Guidance(guidance), temperature, steps=steps
        ).cpu()

    if not wanted:
        return {}
    length = backbone.encode([prompt for prompt, _ in wanted], "chat").length
    fits = drawn_at_once(backbone, batch_size.wanted, Guidance(guidance).rows, length)
    return dict(zip(wanted, torch.cat(list(batch_size.each(list(wanted), sampled, fits))), strict=True))


def render_probes(
    backbone: Backbone,
    probes: Sequence[Probe],
    begun: Mapping[Beginning, Tensor],
    folder: str | Path,
    *,
    window: int,
    experiment_seed: int,
    guidance: Guidance,
    temperature: float,
    batch_size: BatchSize,
    desc: str,
) -> list[pd.DataFrame]:
    """Draw the images of probes.

    Args:
        backbone: the model, with its adapter if it has one.
        probes: of a concept.
        begun: what :func:`beginnings` gave.
        folder: where the PNGs go.
        window: the method's own window length.
        experiment_seed: with the prompts' ids it fixes the uniforms.
        guidance: the method's, at the experiment's scale.
        temperature: the experiment's.
        batch_size: prompts sampled at once.
        desc: label of the progress bar.

    Returns:
        Rows of the manifest, a table a probe.
    """
    drawn = []
    for probe in probes:
        condition, rows = probe.condition, probe.rows.assign(window=window)
        prefix = None
        if condition.given:
            seeds = image_rows(rows, experiment_seed)["seed"]
            prefix = torch.stack(
                [begun[key][: condition.given] for key in zip(rows["begun_by"], seeds, strict=True)]
            )
        scale = guidance.scale if condition.guidance is None else condition.guidance
        drawn.append(
            render_prompts(
                backbone,
                rows,
                folder,
                experiment_seed=experiment_seed,
                guidance=Guidance(scale, guidance.negative, guidance.strength),
                temperature=temperature if condition.temperature is None else condition.temperature,
                batch_size=batch_size,
                desc=f"{desc}, {rows['prompt_set'].iloc[0]}",
                prefix=prefix,
            )
        )
    return drawn
