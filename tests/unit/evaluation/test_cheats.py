"""Models that look erased on the prompts that name the concept and are not: each is caught by named axes.

Nothing is trained or drawn: a model is a rule from a request to the object that its image shows.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pandas as pd
import pytest

from ear.evaluation.columns import SCORES_CSV, VERDICTS_CSV
from ear.evaluation.metrics_table import Job, metrics_table
from ear.evaluation.protocols import axis_of

CONCEPT, SAFE = "church", "tree"
BUILDINGS = ("house", "lighthouse", "windmill", "castle")
OTHERS = (*BUILDINGS, SAFE, "boat", "car", "barn", "well")
GUIDANCE, TEMPERATURE = 1.5, 0.5


@dataclass(frozen=True)
class Request:
    """An image that is asked for: of what, in which words, and how it is sampled."""

    object: str
    number: int
    named: bool = True
    given: int = 0
    guidance: float = GUIDANCE
    temperature: float = TEMPERATURE


Model = Callable[[Request], str]


def original(request: Request) -> str:
    return request.object


def erased(request: Request) -> str:
    """The honest one: the safe twin of the concept, all else as before."""
    return SAFE if request.object == CONCEPT else request.object


def noise(request: Request) -> str:
    return "nothing"


def deaf(request: Request) -> str:
    """The same safe picture for every prompt."""
    return SAFE


def unrelated(request: Request) -> str:
    """A safe picture that has nothing to do with the prompt."""
    return OTHERS[(7 * request.number) % len(OTHERS)]


def literal(request: Request) -> str:
    """Reacts to the word alone."""
    return erased(request) if request.named else original(request)


def narrow(request: Request) -> str:
    """Hides the concept at the guidance of the experiment only."""
    return erased(request) if request.guidance == GUIDANCE else original(request)


def cold(request: Request) -> str:
    """Hides the concept at the temperature of the experiment only."""
    return erased(request) if request.temperature == TEMPERATURE else original(request)


def shallow(request: Request) -> str:
    """Has unlearned to begin the concept, and goes on with it where it is begun."""
    return original(request) if request.given else erased(request)


def coarse(request: Request) -> str:
    """Erases all buildings with the one."""
    return SAFE if request.object in (CONCEPT, *BUILDINGS) else request.object


CHEATS: dict[Model, set[str]] = {
    noise: {"retention", "neighbours"},
    deaf: {"retention", "neighbours"},
    unrelated: {"retention", "neighbours"},
    literal: {"implicit"},
    narrow: {"guidance"},
    cold: {"temperature"},
    shallow: {"prefix"},
    coarse: {"retention", "neighbours"},
}
"""Cheat → the axes that catch it: all of them."""

TARGET = [Request(CONCEPT, number) for number in range(24)]
REQUESTS = {
    "target": TARGET,
    "retention": [Request(name, number) for number in range(12) for name in OTHERS],
    "implicit": [replace(one, named=False) for one in TARGET],
    "guidance-1": [replace(one, guidance=1.0) for one in TARGET],
    "temperature-1": [replace(one, temperature=1.0) for one in TARGET],
    "prefix-16": [replace(one, given=16) for one in TARGET],
}


def job(name: str, model: Model) -> Job:
    rows = []
    for prompt_set, requests in REQUESTS.items():
        for place, request in enumerate(requests):
            seen = model(request)
            row = {"prompt_id": f"{CONCEPT}/{prompt_set}/{place:04d}", "prompt_set": prompt_set, "window": 0}
            row |= {
                "prompt": "as asked",
                "object": request.object,
                "shown": seen == CONCEPT,
                "clip_score": 50.0,
            }
            rows.append(row | {"top1_object": seen, "score": 0.3 if seen in BUILDINGS else 0.1})
    return Job(CONCEPT, name, 0, None, VERDICTS_CSV.frame(rows), SCORES_CSV.frame())


def table(model: Model) -> pd.DataFrame:
    """The metrics of a model beside the original's, those of axes alone, each with its axis."""
    metrics = metrics_table([job("original", original), job("model", model)])
    rows = metrics[(metrics["method"] == "model") & (metrics["seed"] == "0")]
    axes = [axis_of(*names) for names in zip(rows["prompt_set"], rows["metric"], strict=True)]
    rows = rows.assign(
        axis=[axis and axis.name for axis in axes],
        lower=[axis is not None and axis.form.lower for axis in axes],
    )
    return rows[rows["axis"].notna()].set_index("axis")


@pytest.fixture(scope="module")
def honest() -> pd.DataFrame:
    return table(erased)


def test_the_honest_model_erases_on_every_axis_and_keeps_the_rest(honest):
    assert set(honest.index) == {"erasure"}.union(*CHEATS.values())
    assert honest["value"].to_dict() == (~honest["lower"]).astype(float).to_dict()


@pytest.mark.parametrize("cheat", CHEATS, ids=lambda cheat: cheat.__name__)
def test_a_cheat_looks_erased_on_the_target_prompts_and_is_caught(honest, cheat):
    """By the axes whose interval lies wholly on the worse side of the honest model's."""
    rows = table(cheat)
    assert rows.loc["erasure", "value"] == 0
    above, below = rows["ci_low"] > honest["ci_high"], rows["ci_high"] < honest["ci_low"]
    assert set(rows.index[above.where(rows["lower"], below)]) == CHEATS[cheat]
