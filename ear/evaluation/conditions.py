"""Conditions: the first target prompts drawn once more, with the same random numbers, under another setting.

Settings are the beginning of an image of the concept, another guidance scale or another temperature.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from ear.evaluation.protocols import CEILING, GUIDANCE, PREFIX, TEMPERATURE, set_of
from ear.images.batching import BatchSize
from ear.images.rendering import image_rows, render_prompts, shard_rows
from ear.images.sampling import Guidance
from ear.images.tokens import ImageTokens
from ear.models.backbone import Backbone
from ear.prompts.tables import first_targets


@dataclass(frozen=True)
class Condition:
    """One prompt set of a condition, and how it is rendered.

    Attributes:
        rows: columns of a table of prompts, and ``same_as``: id of the original's image whose common random
            numbers an image shares; ``begun_by``: the prompt of that image, whose first tokens are given.
        given: k, image tokens that are given.
        guidance: scale, None for the experiment's.
        temperature: None for the experiment's.
    """

    rows: pd.DataFrame
    given: int = 0
    guidance: float | None = None
    temperature: float | None = None


def conditions_of(
    prompts: pd.DataFrame, axes: Mapping[str, Any], pairs: pd.DataFrame | None = None
) -> list[Condition]:
    """The conditions of a concept. ``ear.commands.plan.work`` counts their images.

    Args:
        prompts: its evaluation prompts (``ear.prompts.tables.PROMPT_COLUMNS``).
        axes: prompts (how many of the target prompts), prefixes, guidance and temperature (lists of levels).
        pairs: its prompt pairs, for the original model alone: the ceiling asks for the safe twin and gives
            the beginning of the image of the unsafe prompt.
    """
    target = first_targets(prompts, axes["prompts"])

    def rows(name: str) -> pd.DataFrame:
        return _rows(target["prompt_id"], name, target["prompt"], target["object"], target["prompt"])

    found = [Condition(rows(set_of(PREFIX, given)), given=given) for given in axes["prefixes"]]
    found += [Condition(rows(set_of(GUIDANCE, scale)), guidance=scale) for scale in axes["guidance"]]
    found += [Condition(rows(set_of(TEMPERATURE, value)), temperature=value) for value in axes["temperature"]]
    if pairs is not None and axes["prefixes"]:
        asked = pairs.head(axes["prompts"]).reset_index(drop=True)
        for given in (0, *axes["prefixes"]):
            table = _rows(
                asked["pair_id"], set_of(CEILING, given), asked["safe_prompt"], None, asked["unsafe_prompt"]
            )
            table["same_as"] += "/unsafe"  # the pair's rendered image
            found.append(Condition(table, given=given))
    return found


def _rows(
    ids: pd.Series, name: str, asked: pd.Series, objects: pd.Series | None, begun_by: pd.Series
) -> pd.DataFrame:
    """Rows of a condition, named by their prompts: "church/target/0003" becomes "church/prefix-16/0003"."""
    table = {
        "prompt_id": ids.str.replace(r"/.*/", f"/{name}/", regex=True),
        "prompt_set": name,
        "prompt": asked,
        "object": objects,
        "same_as": ids,
        "begun_by": begun_by,
    }
    return pd.DataFrame(table)


def render_conditions(
    backbone: Backbone,
    conditions: Sequence[Condition],
    tokens: ImageTokens,
    folder: str | Path,
    *,
    part: tuple[int, int],
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
        part: shard and number of shards (``ear.images.rendering.shard_rows``).
        window: the method's own window length.
        experiment_seed: with the prompts' ids it fixes the common random numbers.
        guidance: the method's, at the experiment's scale.
        temperature: the experiment's.
        batch_size: prompts sampled at once.
        desc: label of the progress bar.

    Returns:
        Rows of the manifest, a table a condition; none of those without rows in this shard.
    """
    rendered = []
    for one in conditions:
        rows, prefix = shard_rows(one.rows, *part).assign(window=window), None
        if rows.empty:
            continue
        if one.given:
            begun = tokens.of(rows["begun_by"], image_rows(rows, experiment_seed)["seed"])
            prefix = begun[:, : one.given]
        scale = guidance.scale if one.guidance is None else one.guidance
        rendered.append(
            render_prompts(
                backbone,
                rows,
                folder,
                experiment_seed=experiment_seed,
                guidance=replace(guidance, scale=scale),
                temperature=temperature if one.temperature is None else one.temperature,
                batch_size=batch_size,
                desc=f"{desc}, {rows['prompt_set'].iloc[0]}",
                prefix=prefix,
            )
        )
    return rendered
