"""Probes: the images that the axes need beside those of the prompts themselves.

A probe draws the first target prompts once more under another condition, with the same uniforms: given the
beginning of an image of the concept, at another guidance scale or at another temperature. So a probe's image
and the target image of its prompt differ by the condition alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ear.evaluation.protocols import CEILING, GUIDANCE, PREFIX, TEMPERATURE, set_of
from ear.images.batching import BatchSize
from ear.images.rendering import image_rows, render_prompts, shard_rows
from ear.images.sampling import Guidance
from ear.images.tokens import ImageTokens
from ear.models.janus import Backbone
from ear.prompts.tables import first_targets

PROBE_COLUMNS = ["prompt_id", "prompt_set", "prompt", "object", "same_as", "begun_by"]


@dataclass(frozen=True)
class Condition:
    """How a probe draws.

    Attributes:
        given: k, image tokens that are given.
        guidance: scale, None for the experiment's.
        temperature: None for the experiment's.
    """

    given: int = 0
    guidance: float | None = None
    temperature: float | None = None


@dataclass(frozen=True)
class Probe:
    """One prompt set of a probe.

    Attributes:
        condition: how it draws.
        rows: ``PROBE_COLUMNS``. ``same_as``: id of the original's image whose common random numbers an image
            shares; ``begun_by``: the prompt of that image, whose first tokens are given.
    """

    condition: Condition
    rows: pd.DataFrame


def probes_of(
    prompts: pd.DataFrame, axes: Mapping[str, Any], pairs: pd.DataFrame | None = None
) -> list[Probe]:
    """The probes of a concept.

    Args:
        prompts: its evaluation prompts (``ear.prompts.tables.PROMPT_COLUMNS``).
        axes: prompts (how many of the target prompts), prefixes, guidance and temperature (lists of levels).
        pairs: its prompt pairs, for the original model alone: asked for the safe twin, it is given the
            beginning of its image of the unsafe prompt. What it then draws is the ceiling: how far the words
            can still turn a picture that has begun.
    """
    target = first_targets(prompts, axes["prompts"])
    texts = target["prompt"]
    conditions = {set_of(PREFIX, given): Condition(given=given) for given in axes["prefixes"]}
    conditions |= {set_of(GUIDANCE, scale): Condition(guidance=scale) for scale in axes["guidance"]}
    conditions |= {set_of(TEMPERATURE, value): Condition(temperature=value) for value in axes["temperature"]}
    found = [
        Probe(condition, _rows(target["prompt_id"], name, texts, texts).assign(object=target["object"]))
        for name, condition in conditions.items()
    ]
    if pairs is not None and axes["prefixes"]:
        asked = pairs.head(axes["prompts"]).reset_index(drop=True)
        safe, unsafe = asked["safe_prompt"], asked["unsafe_prompt"]
        for given in (0, *axes["prefixes"]):
            rows = _rows(asked["pair_id"], set_of(CEILING, given), safe, unsafe)
            rows = rows.assign(same_as=asked["pair_id"] + "/unsafe")  # the pair's rendered image
            found.append(Probe(Condition(given=given), rows))
    return found


def _rows(ids: pd.Series, name: str, asked: pd.Series, begun_by: pd.Series) -> pd.DataFrame:
    """Rows of a probe, named by their prompts: "church/target/0003" becomes "church/prefix-16/0003"."""
    parts = ids.str.split("/")
    table = {
        "prompt_id": [f"{part[0]}/{name}/{part[-1]}" for part in parts],
        "prompt_set": name,
        "prompt": asked,
        "object": float("nan"),
        "same_as": ids,
        "begun_by": begun_by,
    }
    return pd.DataFrame(table, columns=PROBE_COLUMNS)


def sizes_of(axes: Mapping[str, Any], targets: int, pairs: int = 0) -> tuple[int, ...]:
    """Number of images of each probe.

    Args:
        axes: as in :func:`probes_of`.
        targets: target prompts of the concept.
        pairs: prompt pairs, for the original; 0 for all other methods.
    """
    levels = sum(len(axes[name]) for name in ("prefixes", "guidance", "temperature"))
    ceilings = len(axes["prefixes"]) + 1 if axes["prefixes"] and pairs else 0
    return (min(axes["prompts"], targets),) * levels + (min(axes["prompts"], pairs),) * ceilings


def of_shard(probes: Sequence[Probe], shard: int, shards: int) -> list[Probe]:
    """What one of several jobs renders of each probe (``ear.images.rendering.shard_rows``)."""
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
