"""Conditions: the images that the axes need beside those of the prompts themselves.

A condition draws the first target prompts once more under another condition, with the same uniforms: given
the beginning of an image of the concept, at another guidance scale or at another temperature. So a
condition's image and the target image of its prompt differ by the setting alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ear.evaluation.protocols import CEILING, GUIDANCE, PREFIX, TEMPERATURE, set_of
from ear.prompts.tables import first_targets

if TYPE_CHECKING:  # the plan counts conditions without torch
    from ear.images.batching import BatchSize
    from ear.images.sampling import Guidance
    from ear.images.tokens import ImageTokens
    from ear.models.janus import Backbone

CONDITION_COLUMNS = ["prompt_id", "prompt_set", "prompt", "object", "same_as", "begun_by"]


@dataclass(frozen=True)
class Setting:
    """How a condition renders.

    Attributes:
        given: k, image tokens that are given.
        guidance: scale, None for the experiment's.
        temperature: None for the experiment's.
    """

    given: int = 0
    guidance: float | None = None
    temperature: float | None = None


@dataclass(frozen=True)
class Condition:
    """One prompt set of a condition.

    Attributes:
        setting: how it renders.
        rows: ``PROBE_COLUMNS``. ``same_as``: id of the original's image whose common random numbers an image
            shares; ``begun_by``: the prompt of that image, whose first tokens are given.
    """

    setting: Setting
    rows: pd.DataFrame


def conditions_of(
    prompts: pd.DataFrame, axes: Mapping[str, Any], pairs: pd.DataFrame | None = None
) -> list[Condition]:
    """The conditions of a concept.

    Args:
        prompts: its evaluation prompts (``ear.prompts.tables.PROMPT_COLUMNS``).
        axes: prompts (how many of the target prompts), prefixes, guidance and temperature (lists of levels).
        pairs: its prompt pairs, for the original model alone: asked for the safe twin, it is given the
            beginning of its image of the unsafe prompt. What it then draws is the ceiling: how far the words
            can still turn a picture that has begun.
    """
    target = first_targets(prompts, axes["prompts"])
    texts = target["prompt"]
    settings = {set_of(PREFIX, given): Setting(given=given) for given in axes["prefixes"]}
    settings |= {set_of(GUIDANCE, scale): Setting(guidance=scale) for scale in axes["guidance"]}
    settings |= {set_of(TEMPERATURE, value): Setting(temperature=value) for value in axes["temperature"]}
    found = [
        Condition(setting, _rows(target["prompt_id"], name, texts, texts).assign(object=target["object"]))
        for name, setting in settings.items()
    ]
    if pairs is not None and axes["prefixes"]:
        asked = pairs.head(axes["prompts"]).reset_index(drop=True)
        safe, unsafe = asked["safe_prompt"], asked["unsafe_prompt"]
        for given in (0, *axes["prefixes"]):
            rows = _rows(asked["pair_id"], set_of(CEILING, given), safe, unsafe)
            rows = rows.assign(same_as=asked["pair_id"] + "/unsafe")  # the pair's rendered image
            found.append(Condition(Setting(given=given), rows))
    return found


def _rows(ids: pd.Series, name: str, asked: pd.Series, begun_by: pd.Series) -> pd.DataFrame:
    """Rows of a condition, named by their prompts: "church/target/0003" becomes "church/prefix-16/0003"."""
    parts = ids.str.split("/")
    table = {
        "prompt_id": [f"{part[0]}/{name}/{part[-1]}" for part in parts],
        "prompt_set": name,
        "prompt": asked,
        "object": float("nan"),
        "same_as": ids,
        "begun_by": begun_by,
    }
    return pd.DataFrame(table, columns=CONDITION_COLUMNS)


def sizes_of(axes: Mapping[str, Any], targets: int, pairs: int = 0) -> tuple[int, ...]:
    """Number of images of each condition.

    Args:
        axes: as in :func:`probes_of`.
        targets: target prompts of the concept.
        pairs: prompt pairs, for the original; 0 for all other methods.
    """
    levels = sum(len(axes[name]) for name in ("prefixes", "guidance", "temperature"))
    ceilings = len(axes["prefixes"]) + 1 if axes["prefixes"] and pairs else 0
    return (min(axes["prompts"], targets),) * levels + (min(axes["prompts"], pairs),) * ceilings


def of_shard(conditions: Sequence[Condition], shard: int, shards: int) -> list[Condition]:
    """What one of several jobs renders of each condition (``ear.images.rendering.shard_rows``)."""
    from ear.images.rendering import shard_rows

    parts = [
        Condition(condition.setting, shard_rows(condition.rows, shard, shards)) for condition in conditions
    ]
    return [part for part in parts if len(part.rows)]


def render_conditions(
    backbone: Backbone,
    conditions: Sequence[Condition],
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
    """Render the images of conditions.

    Args:
        backbone: the model, with its edited weights if it has one.
        conditions: of a concept.
        tokens: of the original's images that the conditions go on from.
        folder: where the PNGs go.
        window: the method's own window length.
        experiment_seed: with the prompts' ids it fixes the common random numbers.
        guidance: the method's, at the experiment's scale.
        temperature: the experiment's.
        batch_size: prompts sampled at once.
        desc: label of the progress bar.

    Returns:
        Rows of the manifest, a table a condition.
    """
    from ear.images.rendering import image_rows, render_prompts
    from ear.images.sampling import Guidance

    rendered = []
    for condition in conditions:
        setting, rows = condition.setting, condition.rows.assign(window=window)
        prefix = None
        if setting.given:
            begun = tokens.of(rows["begun_by"], image_rows(rows, experiment_seed)["seed"])
            prefix = begun[:, : setting.given]
        scale = guidance.scale if setting.guidance is None else setting.guidance
        rendered.append(
            render_prompts(
                backbone,
                rows,
                folder,
                experiment_seed=experiment_seed,
                guidance=Guidance(scale, guidance.negative, guidance.strength),
                temperature=temperature if setting.temperature is None else setting.temperature,
                batch_size=batch_size,
                desc=f"{desc}, {rows['prompt_set'].iloc[0]}",
                prefix=prefix,
            )
        )
    return rendered
