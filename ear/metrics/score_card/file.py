"""The score card for machines: one JSON file, with all that a leaderboard must know to compare it."""

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StringConstraints, ValidationError

from ear.axes.protocols import PROTOCOLS
from ear.errors import InputError
from ear.metrics.ranks import Front
from ear.metrics.score_card.axes import AXES, BY_NAME
from ear.metrics.score_card.table import fronts, records

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CardAxis(_Part):
    """How an axis is measured."""

    metric: str = Field(description="metric of tables/metrics.csv")
    better: Literal["lower", "higher"] = Field(description="which values are good")
    protocols: list[str] = Field(
        description='what was measured, as "name/version"; of attacks the worst counts'
    )


class Score(_Part):
    """One number."""

    value: FiniteFloat = Field(description="rates are shares, 0 … 1")
    low: FiniteFloat | None = Field(description="lower end of the 95 % interval; null where it has none")
    high: FiniteFloat | None = Field(description="upper end")
    n: Count = Field(description="images, pictures or attacked prompts, of all seeds together")
    rank: tuple[Positive, Positive] | None = Field(
        description="best and worst rank that the intervals leave open; null for the original"
    )
    prompt_set: str | None = Field(description="the one that made the number; null in a mean over concepts")
    measured: Positive = Field(description="prompt sets measured for this method …")
    of: Positive = Field(description="… of so many that were for any; the worst of fewer may be less")


class Entry(_Part):
    """A method on a concept, or on all of them."""

    concept: str = Field(description='name, or "all" for the mean over concepts')
    method: str = Field(description="name")
    seeds: Positive = Field(description="fine-tuning seeds; the least number in a mean over concepts")
    scores: dict[str, Score] = Field(description="axis → number; what was not measured is absent")
    fronts: dict[str, Front] = Field(description="Pareto front → whether the method is on it")


class ScoreCard(_Part):
    """The whole card. The same experiment makes the same bytes: nothing in it depends on the time."""

    schema_version: Literal[1] = Field(description="of this format")
    experiment: str = Field(description="name")
    backbone: str = Field(description="name of the model that was erased from")
    image_tokens: Positive = Field(description="T, tokens of an image")
    fine_tuning_seeds: list[Count] = Field(description="of the experiment")
    package_version: str = Field(description="of ear-repro")
    config_sha256: Sha256 = Field(description="of the config as JSON with sorted keys")
    axes: dict[str, CardAxis] = Field(description="by name")
    entries: list[Entry]


def make_card(
    card: pd.DataFrame,
    *,
    experiment: str,
    backbone: str,
    image_tokens: int,
    fine_tuning_seeds: list[int],
    config_sha256: str,
) -> ScoreCard:
    """The card of an experiment.

    Args:
        card: the table (``ear.metrics.score_card.table.score_card``).
        experiment: its name.
        backbone: name of the model.
        image_tokens: tokens of an image.
        fine_tuning_seeds: of the experiment.
        config_sha256: hash of its config.
    """
    measured = [axis for axis in AXES if (card["axis"] == axis.name).any()]
    entries = []
    for concept, of_concept in card.groupby("concept", sort=False):
        places = fronts(card, str(concept))
        for method, rows in of_concept.groupby("method", sort=False):
            scores = {str(row["axis"]): _score(row) for row in records(rows)}
            entries.append(
                Entry(
                    concept=str(concept),
                    method=str(method),
                    seeds=int(rows["seeds"].iloc[0]),
                    scores=scores,
                    fronts=places.get(str(method), {}),
                )
            )
    return ScoreCard(
        schema_version=1,
        experiment=experiment,
        backbone=backbone,
        image_tokens=image_tokens,
        fine_tuning_seeds=fine_tuning_seeds,
        package_version=version("ear-repro"),
        config_sha256=config_sha256,
        axes={
            axis.name: CardAxis(
                metric=axis.metric,
                better="lower" if axis.lower else "higher",
                protocols=[PROTOCOLS[name] for name in axis.protocols],
            )
            for axis in measured
        },
        entries=entries,
    )


def read_card(path: str | Path) -> ScoreCard:
    """Read a card.

    Raises:
        InputError: the file cannot be read or is no card.
    """
    try:
        return ScoreCard.model_validate_json(Path(path).read_bytes())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}, wanted a score card") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise InputError(f"{path}: {where}: {first['msg']}, wanted a score card") from error


def card_json(card: ScoreCard) -> dict[str, Any]:
    """The card as plain values, for ``ear.files.write_json``."""
    return json.loads(card.model_dump_json())


def side_by_side(one: ScoreCard, other: ScoreCard) -> str:
    """A Markdown table of what both cards measured: concept, method, axis, and both numbers.

    Raises:
        InputError: the cards measure an axis by other protocols.
    """
    for name in one.axes.keys() & other.axes.keys():
        ours, theirs = one.axes[name], other.axes[name]
        if ours != theirs:
            found, wanted = (", ".join(one.protocols) for one in (theirs, ours))
            raise InputError(f"score cards: {name}: found {found}, wanted {wanted}")
    twins = {(entry.concept, entry.method): entry for entry in other.entries}
    rows = [
        (entry.concept, entry.method, axis, _said(score, axis), _said(twin.scores[axis], axis))
        for entry in one.entries
        if (twin := twins.get((entry.concept, entry.method)))
        for axis, score in entry.scores.items()
        if axis in twin.scores
    ]
    table = pd.DataFrame(rows, columns=["concept", "method", "axis", one.experiment, other.experiment])
    return table.to_markdown(index=False, tablefmt="pipe", disable_numparse=True)


def _said(score: Score, name: str) -> str:
    axis = BY_NAME[name]
    numbers = [
        "–" if number is None else f"{number * axis.scale:.{axis.decimals}f}"
        for number in (score.value, score.low, score.high)
    ]
    return f"{numbers[0]} [{numbers[1]}, {numbers[2]}]"


def _score(row: Mapping[str, Any]) -> Score:
    def number(name: str) -> float | None:
        return None if pd.isna(row[name]) else float(row[name])

    unranked = pd.isna(row["rank_best"])
    return Score(
        value=row["value"],
        low=number("ci_low"),
        high=number("ci_high"),
        n=row["n"],
        rank=None if unranked else (int(row["rank_best"]), int(row["rank_worst"])),
        prompt_set=None if pd.isna(row["prompt_set"]) else row["prompt_set"],
        measured=row["measured"],
        of=row["of"],
    )
