"""Rendering of probes: prompts under another condition, from the beginnings of the original's images."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ear.axes.probes import Probe
from ear.batching import BatchSize
from ear.janus import Backbone
from ear.render import image_rows, render_prompts, shard_rows
from ear.sampling import Guidance
from ear.tokens import ImageTokens


def of_shard(probes: Sequence[Probe], shard: int, shards: int) -> list[Probe]:
    """What one of several jobs renders of each probe (``ear.render.shard_rows``)."""
    parts = [Probe(probe.condition, shard_rows(probe.rows, shard, shards)) for probe in probes]
    return [part for part in parts if len(part.rows)]


def render_probes(
    backbone: Backbone,
    probes: Sequence[Probe],
    tokens: ImageTokens,
    folder: str | Path,
    *,
    window: int,
    experiment_seed: int,
    guidance: Guidance,
    temperature: float,
    batch_size: BatchSize,
    desc: str,
) -> list[pd.DataFrame]:
    """Render the images of probes.

    Args:
        backbone: the model, with its adapter if it has one.
        probes: of a concept.
        tokens: of the original's images that the probes go on from.
        folder: where the PNGs go.
        window: the method's own window length.
        experiment_seed: with the prompts' ids it fixes the common random numbers.
        guidance: the method's, at the experiment's scale.
        temperature: the experiment's.
        batch_size: prompts sampled at once.
        desc: label of the progress bar.

    Returns:
        Rows of the manifest, a table a probe.
    """
    rendered = []
    for probe in probes:
        condition, rows = probe.condition, probe.rows.assign(window=window)
        prefix = None
        if condition.given:
            begun = tokens.of(rows["begun_by"], image_rows(rows, experiment_seed)["seed"])
            prefix = begun[:, : condition.given]
        scale = guidance.scale if condition.guidance is None else condition.guidance
        rendered.append(
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
    return rendered
