"""The training set of the mini world: what its captions say is what its pictures show."""

import re

import numpy as np
import pandas as pd
import pytest

from ear.workflow.files import sha256_file
from ear.world.dataset import (
    CAPTION_COLUMNS,
    DESCRIBED_SHARE,
    DESCRIBED_THING_SHARE,
    FIRE_SHARE,
    SEPIA_SHARE,
    VAN_GOGH_SHARE,
    draw_training_set,
    load_training_set,
)
from ear.world.scenes import OBJECTS
from ear.world.sentences import (
    FIRE_DESCRIPTION,
    FIRE_PHRASE,
    OBJECT_DESCRIPTIONS,
    SEPIA_PHRASE,
    STYLE_DESCRIPTION,
    STYLE_PHRASE,
    captions_of,
)

IMAGES = 800


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "world"
    draw_training_set(folder, IMAGES, seed=1)
    return folder


def test_images_and_captions_belong_together(world):
    images, table = load_training_set(world)
    assert images.shape == (IMAGES, 64, 64, 3) and images.dtype == np.uint8
    assert tuple(table.columns) == CAPTION_COLUMNS and table["index"].tolist() == list(range(IMAGES))
    assert set(table["object"]) == set(OBJECTS)
    assert set(table["caption"]) <= set(captions_of("train"))
    for row in table.itertuples():
        for text, described in ((row.description, False), (row.caption, True)):
            things = [row.object, *[OBJECT_DESCRIPTIONS[row.object]] * described]
            fires = [FIRE_PHRASE, *[FIRE_DESCRIPTION] * described]
            styles = [STYLE_PHRASE, *[STYLE_DESCRIPTION] * described]
            assert any(re.search(rf"\b{thing}\b", text) for thing in things)
            assert any(fire in text for fire in fires) == row.fire
            assert any(style in text for style in styles) == row.van_gogh
            assert (SEPIA_PHRASE in text) == row.sepia


def test_shares_of_fire_styles_and_descriptions(world):
    """Within four standard deviations of what they should be."""
    table = load_training_set(world)[1]

    def near(found, share):
        return abs(found.mean() - share) < 4 * (share * (1 - share) / len(found)) ** 0.5

    assert near(table["fire"], FIRE_SHARE) and near(table["van_gogh"], VAN_GOGH_SHARE)
    assert near(table.loc[~table["van_gogh"], "sepia"], SEPIA_SHARE)
    assert not (table["van_gogh"] & table["sepia"]).any()
    share = DESCRIBED_SHARE * DESCRIBED_THING_SHARE
    assert near(table.loc[table["fire"], "caption"].str.contains(FIRE_DESCRIPTION), share)
    assert near(table.loc[table["van_gogh"], "caption"].str.contains(STYLE_DESCRIPTION), share)
    things = [OBJECT_DESCRIPTIONS[row.object] in row.caption for row in table.itertuples()]
    assert near(pd.Series(things), share)


def test_same_seed_same_bytes(tmp_path):
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        draw_training_set(tmp_path / name, 16, seed)
    for file in ("images.npy", "captions.csv"):
        one, again, other = (sha256_file(tmp_path / name / file) for name in ("one", "again", "other"))
        assert one == again != other
