"""The recipe of the mini world's models: what is refused, what it makes, and the figure of its trainings."""

import numpy as np
import pandas as pd
import pytest
import yaml

from ear.config.recipe import parse_recipe
from ear.errors import InputError
from ear.report.figures import loss_curves
from tests.unit.config.test_config import RECIPE, SHAPES, changed
from tests.unit.report.test_figures import lines

BROKEN_RECIPE = [
    ("training.architecture.heads", 3, ["training.architecture", "multiple of 2 × heads"]),
    ("training.architecture.vision_heads", 3, ["training.architecture", "multiple of vision_heads"]),
    ("training.clip.threads", ..., ["training.clip.threads is required", "torch threads"]),
    ("concepts", {}, ["concepts: unknown key", "experiment, seed, training"]),
]


@pytest.mark.parametrize(("key", "value", "words"), BROKEN_RECIPE, ids=[key for key, *_ in BROKEN_RECIPE])
def test_broken_recipe_is_one_line(key, value, words):
    recipe = yaml.safe_load(RECIPE.read_text())
    with pytest.raises(InputError) as caught:
        parse_recipe(changed(key, value, recipe), "my.yaml")
    message = str(caught.value)
    assert "\n" not in message and all(word in message for word in words), message


def test_the_recipe_makes_what_the_catalogue_says_of_the_mini_backbone():
    training, shape = (
        parse_recipe(yaml.safe_load(RECIPE.read_text()), RECIPE.name).training,
        SHAPES["mini-backbone"],
    )
    own = training.architecture.model_dump(include={"layers", "hidden", "intermediate", "heads"})
    assert own == shape.model_dump(include=own.keys())
    assert (training.vq.grid**2, training.vq.codes) == (shape.image_tokens, shape.codebook)


def test_loss_curves_are_those_of_the_tables():
    rows = [(25, "image", 4.0), (25, "caption", 2.0), (50, "image", 3.0), (50, "caption", 0.5)]
    language_model = pd.DataFrame(rows, columns=list(loss_curves.COLUMNS))
    clip = pd.DataFrame([(25, "clip", 3.5)], columns=list(loss_curves.COLUMNS))
    figure = loss_curves.draw({"Language model": language_model, "CLIP": clip})
    drawn = {
        name: (list(line.get_xdata()), list(line.get_ydata())) for name, line in lines(figure, 0).items()
    }
    assert drawn == {"image tokens": ([25, 50], [4.0, 3.0]), "captions": ([25, 50], [2.0, 0.5])}
    assert lines(figure, 1).keys() == {"pairs"}
    with pytest.raises(InputError, match="CLIP: found loss nan at step 25, wanted losses above zero"):
        loss_curves.draw({"CLIP": clip.assign(loss=np.nan)})
