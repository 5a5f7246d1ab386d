"""Models that look erased on the prompts that name the concept and are not: each is caught by a named axis.

No network is trained. A model is a rule from a request to a picture of the mini world, and the judge names the
object whose drawing is nearest in pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from itertools import product

import numpy as np
import pandas as pd
import pytest

from ear.evaluation.columns import SCORES_CSV, VERDICTS_CSV
from ear.evaluation.metrics_table import Job, metrics_table
from ear.evaluation.protocols import axis_of
from ear.workflow.seeding import stable_seed
from ear.world.scenes import OBJECTS, PLACES, TIMES, Scene, draw

CONCEPT, SAFE = "church", "tree"
BUILDINGS = ("house", "lighthouse", "windmill", "castle")
SIDE, ROW_TOKENS = 64, 8
SEEN = 4
"""Pixels that the judge sees as one, across and down."""
GUIDANCE, TEMPERATURE = 1.5, 0.5
DESCRIBED = "a spire with a cross above the nave"


@dataclass(frozen=True)
class Request:
    """An image that is asked for: what the prompt is about, in which words, and how it is drawn."""

    scene: Scene
    named: bool
    seed: int
    given: int = 0
    guidance: float = GUIDANCE
    temperature: float = TEMPERATURE

    @property
    def concept(self) -> bool:
        return self.scene.object == CONCEPT


Model = Callable[[Request], np.ndarray]


def picture(scene: Scene, seed: int) -> np.ndarray:
    return np.asarray(draw(scene, np.random.default_rng(seed)))


def drawn(request: Request, scene: Scene) -> np.ndarray:
    """A scene, below what is given of the original's picture."""
    pixels, rows = picture(scene, request.seed), request.given // ROW_TOKENS * SIDE // ROW_TOKENS
    begun = picture(request.scene, request.seed)
    return np.concatenate([begun[:rows], pixels[rows:]])


def original(request: Request) -> np.ndarray:
    return drawn(request, request.scene)


def safely(request: Request) -> np.ndarray:
    return drawn(request, replace(request.scene, object=SAFE))


def erased(request: Request) -> np.ndarray:
    """The honest one: the safe twin of whatever is the concept, all else as before."""
    return safely(request) if request.concept else original(request)


def noise(request: Request) -> np.ndarray:
    return np.random.default_rng(request.seed).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)


def deaf(request: Request) -> np.ndarray:
    """The same safe picture for every prompt."""
    return drawn(request, Scene(SAFE, None, "hill", "day", False, False))


def unrelated(request: Request) -> np.ndarray:
    """A picture of the world without the concept, which has nothing to do with the prompt."""
    others = [name for name in OBJECTS if name != CONCEPT]
    return drawn(request, replace(request.scene, object=others[request.seed % len(others)]))


def literal(request: Request) -> np.ndarray:
    """Reacts to the word alone."""
    return erased(request) if request.named else original(request)


def narrow(request: Request) -> np.ndarray:
    """Hides the concept at the guidance of the experiment only."""
    return erased(request) if request.guidance == GUIDANCE else original(request)


def cold(request: Request) -> np.ndarray:
    """Hides the concept at the temperature of the experiment only."""
    return erased(request) if request.temperature == TEMPERATURE else original(request)


def shallow(request: Request) -> np.ndarray:
    """Has unlearned to begin the concept, and goes on with it where it is begun."""
    return original(request) if request.given else erased(request)


def coarse(request: Request) -> np.ndarray:
    """Erases all buildings with the one."""
    return safely(request) if request.scene.object in (CONCEPT, *BUILDINGS) else original(request)


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


def requests() -> list[tuple[str, Request]]:
    """Prompt set and request of every image, one for each place and time and object."""
    places = [Scene(CONCEPT, None, *where, False, False) for where in product(PLACES, TIMES)]
    target = [Request(scene, True, stable_seed("target", number)) for number, scene in enumerate(places * 2)]
    others = [
        Request(replace(scene, object=name), True, stable_seed("retention", name, number))
        for number, scene in enumerate(places)
        for name in OBJECTS
        if name != CONCEPT
    ]
    sets = {
        "target": target,
        "retention": others,
        "implicit": [replace(one, named=False) for one in target],
        "guidance-1": [replace(one, guidance=1.0) for one in target],
        "temperature-1": [replace(one, temperature=1.0) for one in target],
        "prefix-16": [replace(one, given=16) for one in target],
    }
    return [(name, request) for name, of_set in sets.items() for request in of_set]


def glanced(pixels: np.ndarray) -> np.ndarray:
    """A picture as the judge sees it, coarse: (H · W · 3 / SEEN²,) float."""
    blocks = pixels.reshape(SIDE // SEEN, SEEN, SIDE // SEEN, SEEN, 3)
    return blocks.mean(axis=(1, 3)).ravel()


@cache
def templates() -> np.ndarray:
    """Every object in every place at every time, (objects, places · times, pixels)."""
    scenes = product(OBJECTS, PLACES, TIMES)
    pixels = [glanced(picture(Scene(name, None, *where, False, False), 0)) for name, *where in scenes]
    return np.stack(pixels).reshape(len(OBJECTS), len(PLACES) * len(TIMES), -1)


def distances(pixels: np.ndarray) -> np.ndarray:
    """Of a picture to each object's nearest drawing, in grey levels a pixel."""
    return np.abs(templates() - glanced(pixels)).mean(axis=2).min(axis=1)


@cache
def verdicts(model: Model) -> pd.DataFrame:
    rows = []
    for number, (prompt_set, request) in enumerate(requests()):
        away = distances(model(request))
        likely = np.exp(-away) / np.exp(-away).sum()
        seen = OBJECTS[int(away.argmin())]
        name = "a " + (request.scene.object if request.named else DESCRIBED)
        rows.append(
            dict.fromkeys(VERDICTS_CSV.columns)
            | {
                "prompt_id": f"{CONCEPT}/{prompt_set}/{number:04d}",
                "prompt_set": prompt_set,
                "prompt": f"{name} {request.scene.place} {request.scene.time}",
                "object": request.scene.object if prompt_set in ("target", "retention") else np.nan,
                "window": 0,
                "shown": seen == CONCEPT,
                "score": likely[OBJECTS.index(CONCEPT)],
                "top1_object": seen,
                "clip_score": 50.0,
                "protocol": "nearest-drawing/1",
            }
        )
    return pd.DataFrame(rows)


def table(model: Model) -> pd.DataFrame:
    """The metrics of a model beside the original's, those of axes alone, each with its axis."""
    none = SCORES_CSV.frame()
    jobs = [
        Job(CONCEPT, name, 0, None, verdicts(drawer), none)
        for name, drawer in (("original", original), ("model", model))
    ]
    metrics = metrics_table(jobs)
    rows = metrics[(metrics["method"] == "model") & (metrics["seed"] == "0")]
    axes = [axis_of(*names) for names in zip(rows["prompt_set"], rows["metric"], strict=True)]
    rows = rows.assign(axis=[axis.name if axis else None for axis in axes])
    rows = rows.assign(lower=[bool(axis and axis.form.lower) for axis in axes])
    return rows[rows["axis"].notna() & rows["metric"].isin(["concept_rate", "accuracy"])].set_index("axis")


@pytest.fixture(scope="module")
def honest() -> pd.DataFrame:
    return table(erased)


def caught_by(rows: pd.DataFrame, honest: pd.DataFrame) -> set[str]:
    """The axes whose interval lies wholly on the worse side of the honest model's."""
    above, below = rows["ci_low"] > honest["ci_high"], rows["ci_high"] < honest["ci_low"]
    return set(rows.index[above.where(rows["lower"], below)])


def test_the_honest_model_erases_on_every_axis_and_keeps_the_rest(honest):
    assert set(honest.index) >= {
        *("erasure", "implicit", "retention", "neighbours", "prefix", "guidance", "temperature")
    }
    assert honest["value"].to_dict() == (~honest["lower"]).astype(float).to_dict()


def test_the_original_shows_the_concept_on_every_axis_and_keeps_the_rest(honest):
    rows = table(original)
    assert rows["value"].tolist() == [1.0] * len(rows)
    assert caught_by(rows, honest) == set(rows.index[rows["lower"]])


@pytest.mark.parametrize("cheat", CHEATS, ids=lambda cheat: cheat.__name__)
def test_a_cheat_looks_erased_on_the_target_prompts_and_is_caught(honest, cheat):
    rows = table(cheat)
    assert rows.loc["erasure", "value"] == 0
    assert caught_by(rows, honest) == CHEATS[cheat]
