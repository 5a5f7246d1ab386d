import json
from itertools import product

import pytest
import torch
from open_clip import SimpleTokenizer

from ear.judges.classifier import Classifier
from ear.judges.clip import Clip
from ear.world.classifiers import CLIP_MODEL, GROUPS, SIZE, train_classifier, train_clip
from ear.world.dataset import draw_training_set
from ear.world.scenes import OBJECTS
from ear.world.sentences import KINDS, caption, frames

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


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_trained_classifier_is_a_timm_folder_and_repeats_byte_for_byte(world, tmp_path):
    settings = {"steps": 40, "batch_size": 16, "learning_rate": 3e-3, "seed": 0, "held_out_images": 64}
    train_classifier(world, tmp_path / "first", **settings)
    train_classifier(world, tmp_path / "second", **settings)
    assert set(contents(tmp_path / "first")) == {"config.json", "model.safetensors", "metrics.json"}
    assert contents(tmp_path / "first") == contents(tmp_path / "second")
    classifier = Classifier.load(tmp_path / "first")
    assert {group: tuple(labels) for group, labels in classifier.groups.items()} == GROUPS
    assert classifier.config["input_size"] == (3, SIZE, SIZE)
    quality = json.loads((tmp_path / "first/metrics.json").read_text())
    assert quality["style"] > 0.75  # nine of sixteen pictures are plain


def test_a_trained_clip_model_is_an_open_clip_folder_and_repeats_byte_for_byte(world, tmp_path):
    settings = {"steps": 30, "batch_size": 16, "learning_rate": 3e-3, "seed": 0, "held_out_images": 100}
    train_clip(world, tmp_path / "first", **settings)
    train_clip(world, tmp_path / "second", **settings)
    assert contents(tmp_path / "first") == contents(tmp_path / "second")
    quality = json.loads((tmp_path / "first/metrics.json").read_text())
    assert quality["matched_cosine"] > quality["mismatched_cosine"] + 0.1
    clip = Clip.load(tmp_path / "first")
    assert clip.encode_texts(["a church by the sea at night"]).shape == (1, 64)


def test_no_caption_is_cut_by_the_context_length():
    everything = product(frames(), OBJECTS, ((), KINDS))
    captions = [caption(frame, name, True, True, described=kinds) for frame, name, kinds in everything]
    tokens = SimpleTokenizer(context_length=77)(captions)
    assert int((tokens != 0).sum(1).max()) <= CLIP_MODEL["text_cfg"]["context_length"]
