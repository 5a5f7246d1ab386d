"""A small run to evaluate, as fixtures: images of two shards, captions, a reference, judge, CLIP, extractor."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ear.evaluation.evaluate import Reference, evaluate
from ear.evaluation.metrics.fid import image_features, load_extractor
from ear.evaluation.metrics.image_scores import GENERAL, JUDGED, clip_look, feature_look, judge_look, look_at
from ear.images.reading import read_manifests
from ear.judges.clip import Clip
from ear.judges.loading import load_judge
from ear.workflow.files import sha256_file, write_csv
from tests.small_judges import SIZE, small_classifier, small_clip

CHURCH = {"by": "classifier", "group": "object", "label": "church", "top_k": 1}


@pytest.fixture(scope="module")
def classifier_folder(tmp_path_factory):
    return small_classifier(tmp_path_factory.mktemp("classifier"))


@pytest.fixture(scope="module")
def judge(classifier_folder):
    return load_judge(CHURCH, classifier_folder)


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    return small_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def clip(clip_folder):
    return Clip.load(clip_folder)


@pytest.fixture
def run(tmp_path):
    """Two shards of 14 images, captions and a reference on disk."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(14):
        prompt_set, window = (("target", 4), ("target", 16), ("general", 16))[number % 3]
        row = [f"church/{number}", prompt_set, "a church", "church", window, number, f"{number}.png"]
        rows.append(row)
        pixels = rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
        pixels[0, 0, 0] = 10 * number
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    columns = ["prompt_id", "prompt_set", "prompt", "object", "window", "seed", "file"]
    manifest = pd.DataFrame(rows, columns=columns)
    manifest["sha256"] = [sha256_file(tmp_path / name) for name in manifest["file"]]
    write_csv(tmp_path / "a.csv", manifest[:8])
    write_csv(tmp_path / "b.csv", manifest[8:])
    write_csv(
        tmp_path / "reference.csv",
        manifest[["prompt_id", "file"]][:6].rename(columns={"prompt_id": "image_id"}),
    )
    captions = {"image_id": ["x", "y"], "references": ['["a b c d e"]'] * 2, "caption": ["a b c d", None]}
    write_csv(tmp_path / "captions.csv", pd.DataFrame(captions))
    return tmp_path


@pytest.fixture(scope="module")
def extractor(classifier_folder):
    return load_extractor("classifier", classifier_folder)


@pytest.fixture
def reference(run, extractor):
    return Reference(image_features([run / f"{number}.png" for number in range(6)], extractor))


def outputs(run):
    return [run / "verdicts.csv", run / "scores.csv", run / "detections.csv"]


def looks_of(judge, clip, extractor=None, second=None, jpeg=False):
    of_clip = clip_look(clip, jpeg)
    judges = {"judge": judge, "second_judge": second}
    of_judges = [judge_look(name, one) for name, one in judges.items() if one is not None]
    of_features = [feature_look(extractor, jpeg)] if extractor else []
    return {JUDGED: [of_clip, *of_judges], GENERAL: [of_clip, *of_features]}


def measure(run, manifests, captions, reference, looks, batch_size=64):
    """Evaluate as the script does; its parts stay behind."""
    images = read_manifests(manifests)
    seen = look_at(images, looks, run / "parts", batch_size=batch_size)
    tables = evaluate(images, seen, captions, "describe the image", reference)
    for path, table in zip(outputs(run), tables, strict=True):
        write_csv(path, table)
