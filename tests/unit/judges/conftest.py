"""Small random judges and a few images, which no test changes."""

import numpy as np
import pytest
from PIL import Image

from tests.small_judges import SIZE, small_classifier, small_clip


@pytest.fixture(scope="session")
def classifier_folder(tmp_path_factory):
    return small_classifier(tmp_path_factory.mktemp("classifier"))


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory):
    return small_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="session")
def images():
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)) for _ in range(12)]
