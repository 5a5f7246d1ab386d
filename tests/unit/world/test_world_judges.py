"""The judges of the mini world, trained for a few steps and loaded as judges are."""

import json

import pytest
import torch

from ear.judges.classifier import Classifier
from ear.judges.clip import Clip
from ear.world import classifiers
from ear.world.classifiers import GROUPS, SIZE, train_judge
from ear.world.dataset import draw_training_set

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "world"
    draw_training_set(folder, 160, seed=0)
    return folder


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Bytes are promised for one thread count."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def train(name, world, folder, steps, held_out_images):
    settings = {"steps": steps, "batch_size": 16, "learning_rate": 3e-3, "seed": 0}
    train_judge(name, world, folder, **settings, held_out_images=held_out_images)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["classifier", "clip"])
def test_training_repeats_byte_for_byte(monkeypatch, world, tmp_path, name):
    monkeypatch.setattr(classifiers, "GALLERY", 4)
    first, second = (train(name, world, tmp_path / each, 2, 4) for each in ("first", "second"))
    assert first == second


def test_a_trained_classifier_is_a_timm_folder(world, tmp_path):
    files = train("classifier", world, tmp_path / "trained", 40, 64)
    assert files.keys() == {"config.json", "model.safetensors", "metrics.json"}
    assert json.loads(files["metrics.json"])["style"] > 0.75  # nine of sixteen pictures are plain
    classifier = Classifier.load(tmp_path / "trained")
    assert {group: tuple(labels) for group, labels in classifier.groups.items()} == GROUPS
    assert classifier.config["input_size"] == (3, SIZE, SIZE)


def test_a_trained_clip_model_is_an_open_clip_folder(world, tmp_path):
    quality = json.loads(train("clip", world, tmp_path / "trained", 30, 100)["metrics.json"])
    assert quality["matched_cosine"] > quality["mismatched_cosine"] + 0.1
    clip = Clip.load(tmp_path / "trained")
    assert clip.encode_texts(["a church by the sea at night"]).shape == (1, 64)
