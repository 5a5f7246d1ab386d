"""Pictures of the mini world: a pure function of scene and generator, and every attribute shows."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from ear.world.scenes import COLOURS, OBJECTS, PLACES, TIMES, Scene, draw

PLAIN = Scene("church", "red", "hill", "day", fire=False, van_gogh=False)


def pixels(scene, seed=0):
    return np.asarray(draw(scene, np.random.default_rng(seed))).astype(float)


def difference(first, second):
    """Mean absolute difference in grey levels, same jitter."""
    return float(np.abs(pixels(first) - pixels(second)).mean())


SEPIA = replace(PLAIN, sepia=True)


@pytest.mark.parametrize("scene", [PLAIN, replace(PLAIN, fire=True, van_gogh=True), SEPIA])
def test_same_generator_state_gives_the_same_picture(scene):
    np.testing.assert_array_equal(pixels(scene, 3), pixels(scene, 3))
    assert pixels(scene).shape == (64, 64, 3)


@pytest.mark.parametrize("scene", [PLAIN, replace(PLAIN, fire=True), replace(PLAIN, van_gogh=True), SEPIA])
def test_jitter_moves_the_object_a_little(scene):
    distances = [np.abs(pixels(scene, 0) - pixels(scene, seed)).mean() for seed in range(1, 6)]
    assert 0 < max(distances) < difference(PLAIN, replace(PLAIN, place="city"))


def test_drawing_leaves_the_cached_background_alone():
    before = pixels(PLAIN)
    pixels(replace(PLAIN, object="castle", fire=True))
    np.testing.assert_array_equal(before, pixels(PLAIN))


@pytest.mark.parametrize(
    ("attribute", "values"),
    [("object", OBJECTS), ("colour", (None, *COLOURS)), ("place", PLACES), ("time", TIMES)],
)
@pytest.mark.parametrize("base", [PLAIN, replace(PLAIN, van_gogh=True), SEPIA])
def test_every_two_values_of_an_attribute_look_different(attribute, values, base):
    for first, second in combinations(values, 2):
        pictures = (replace(base, **{attribute: first}), replace(base, **{attribute: second}))
        assert difference(*pictures) > 1.0, (first, second)


@pytest.mark.parametrize("object", OBJECTS)
@pytest.mark.parametrize("time", TIMES)
def test_fire_and_style_show_on_every_object(object, time):
    scene = replace(PLAIN, object=object, time=time)
    assert difference(scene, replace(scene, fire=True)) > 4.0
    assert difference(scene, replace(scene, van_gogh=True)) > 20.0
    assert difference(scene, replace(scene, sepia=True)) > 15.0
    assert difference(replace(scene, sepia=True), replace(scene, sepia=True, fire=True)) > 2.0


@pytest.mark.parametrize("object", OBJECTS)
@pytest.mark.parametrize("time", TIMES)
def test_sepia_is_brown_and_almost_without_colour(object, time):
    scene = replace(PLAIN, object=object, time=time, place="sea", colour="blue")
    red, green, blue = np.moveaxis(pixels(replace(scene, sepia=True)), -1, 0)
    assert red.mean() > green.mean() > blue.mean()
    brightness = np.asarray(draw(scene, np.random.default_rng(0)).convert("L")).astype(float)
    assert np.corrcoef(green.ravel(), brightness.ravel())[0, 1] > 0.99
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
