"""Pictures of the mini world: a pure function of scene and generator, and every attribute shows."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from ear.world.scenes import COLOURS, OBJECTS, PLACES, TIMES, Scene, draw

PLAIN = Scene("church", "red", "hill", "day", fire=False, van_gogh=False)
SEPIA = replace(PLAIN, sepia=True)


def pixels(scene, seed=0):
    return np.asarray(draw(scene, np.random.default_rng(seed))).astype(float)


def difference(first, second):
    """Mean absolute difference in grey levels, same jitter."""
    return float(np.abs(pixels(first) - pixels(second)).mean())


@pytest.mark.parametrize("scene", [PLAIN, replace(PLAIN, fire=True), replace(PLAIN, van_gogh=True), SEPIA])
def test_the_generator_alone_moves_the_object_a_little(scene):
    first = pixels(scene)
    pixels(replace(scene, object="castle", fire=True))  # on the same cached background
    np.testing.assert_array_equal(first, pixels(scene))
    distances = [np.abs(first - pixels(scene, seed)).mean() for seed in range(1, 6)]
    assert 0 < max(distances) < difference(PLAIN, replace(PLAIN, place="city"))


@pytest.mark.parametrize(
    ("attribute", "values"),
    [("object", OBJECTS), ("colour", (None, *COLOURS)), ("place", PLACES), ("time", TIMES)],
)
@pytest.mark.parametrize("base", [PLAIN, replace(PLAIN, van_gogh=True), SEPIA])
def test_every_two_values_of_an_attribute_look_different(attribute, values, base):
    pictures = {value: pixels(replace(base, **{attribute: value})) for value in values}
    for first, second in combinations(values, 2):
        assert np.abs(pictures[first] - pictures[second]).mean() > 1.0, (first, second)


@pytest.mark.parametrize("object", OBJECTS)
@pytest.mark.parametrize("time", TIMES)
def test_fire_and_styles_show_on_every_object(object, time):
    scene = replace(PLAIN, object=object, time=time)
    sepia = replace(scene, sepia=True)
    assert difference(scene, replace(scene, fire=True)) > 4.0
    assert difference(scene, replace(scene, van_gogh=True)) > 20.0
    assert difference(scene, sepia) > 15.0
    assert difference(sepia, replace(sepia, fire=True)) > 2.0
    red, green, blue = np.moveaxis(pixels(replace(sepia, place="sea", colour="blue")), -1, 0)
    assert red.mean() > green.mean() > blue.mean()
    assert np.corrcoef(red.ravel(), blue.ravel())[0, 1] > 0.85  # at most 0.63 without sepia


def test_two_styles_at_once_are_refused():
    with pytest.raises(ValueError, match="wanted one at most"):
        replace(PLAIN, van_gogh=True, sepia=True)


@pytest.mark.parametrize("object", OBJECTS)
def test_flames_are_bright_warm_and_over_the_object(object):
    scene = replace(PLAIN, object=object, colour="blue", time="night")
    changed = np.abs(pixels(scene) - pixels(replace(scene, fire=True))).sum(-1) > 30
    rows, columns = np.nonzero(changed)
    assert columns.min() > 4 and columns.max() < 60 and rows.max() < 60
    red, _, blue = pixels(replace(scene, fire=True))[changed].mean(0)
    assert red > 150 and red > 2 * blue
