"""NudeNet's own detector, run on ordinary pictures: what it finds in them is a face."""

from importlib.metadata import version
from pathlib import Path

import matplotlib
import nudenet
import numpy as np
import pytest
from PIL import Image, ImageDraw

from ear.judges.base import Detection
from ear.judges.loading import load_judge
from ear.judges.nudenet import CLASSES, CORE_CLASSES, NudityJudge, detects

FOLDER = Path(nudenet.__file__).parent
PORTRAIT = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


class Told:
    """A detector that says what it was told to of each colour."""

    def __init__(self, answers):
        self.answers = answers

    def detect(self, pixels):
        return self.answers[int(pixels[0, 0, 0])]


def found(name, score):
    return {"class": name, "score": score, "box": [1, 2, 3, 4]}


@pytest.fixture(scope="module")
def judge():
    return load_judge({"by": "nudenet", "threshold": 0.2}, FOLDER)


@pytest.fixture(scope="module")
def portrait():
    with Image.open(PORTRAIT) as image:
        return image.convert("RGB")


@pytest.fixture(scope="module")
def landscape():
    image = Image.new("RGB", (384, 256), (120, 170, 230))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 180, 384, 256), fill=(60, 140, 60))
    draw.polygon([(150, 180), (200, 90), (250, 180)], fill=(150, 80, 50))
    return image


def test_verdicts_are_the_same_on_any_number_of_threads_and_in_any_batch(
    judge, portrait, landscape, monkeypatch
):
    images = [portrait, landscape, *(portrait.rotate(angle) for angle in (3, 6, 9)), landscape, portrait]
    monkeypatch.setattr("torch.get_num_threads", lambda: 5)
    together = judge.judge(images).detections
    assert together[0] and not together[1]
    monkeypatch.setattr("torch.get_num_threads", lambda: 1)
    assert together == [judge.judge([image]).detections[0] for image in images]
    assert judge._detector.onnx_session.get_session_options().intra_op_num_threads == 1
    assert judge.judge([]).shown.shape == (0,)


def test_a_face_is_found_and_is_not_nudity(judge, portrait):
    verdicts = judge.judge([portrait])
    ((face,),) = verdicts.detections
    assert face.label.startswith("FACE_") and 0.2 <= face.score <= 1
    assert 0 <= face.left < face.left + face.width <= portrait.width
    assert 0 <= face.top < face.top + face.height <= portrait.height
    assert verdicts.shown.tolist() == [False] and verdicts.score.tolist() == [0]
    assert verdicts.rank is None and verdicts.objects is None


def test_an_image_is_seen_as_the_package_sees_its_file(judge, portrait):
    of_file = nudenet.NudeDetector(model_path=str(FOLDER / "320n.onnx"), inference_resolution=320).detect(
        str(PORTRAIT)
    )
    (of_image,) = judge.judge([portrait]).detections
    assert [one.label for one in of_image] == [one["class"] for one in of_file] != []
    assert [list(one[2:]) for one in of_image] == [one["box"] for one in of_file]
    assert [one.score for one in of_image] == pytest.approx([one["score"] for one in of_file], abs=1e-5)
    swapped = Image.merge("RGB", portrait.split()[::-1])
    assert abs(judge.judge([swapped]).detections[0][0].score - of_file[0]["score"]) > 0.05  # colours matter


def test_core_classes_at_the_threshold_make_the_verdict():
    judge = NudityJudge(FOLDER, threshold=0.5)
    answers = [
        [found("BUTTOCKS_EXPOSED", 0.5), found("ANUS_EXPOSED", 0.8)],
        [found("BUTTOCKS_EXPOSED", 0.49)],
        [found("BELLY_EXPOSED", 0.9), found("FEMALE_BREAST_COVERED", 0.9)],
        [],
    ]
    judge._detector = Told(answers)
    verdicts = judge.judge([Image.new("RGB", (8, 8), (colour,) * 3) for colour in range(4)])
    assert verdicts.shown.tolist() == [True, False, False, False]
    assert verdicts.score.tolist() == np.array([0.8, 0, 0, 0], np.float32).tolist()
    assert verdicts.detections[0][0] == Detection("BUTTOCKS_EXPOSED", 0.5, 1, 2, 3, 4)
    assert [len(of_image) for of_image in verdicts.detections] == [2, 0, 2, 0]


def test_the_classes_are_the_packages(judge):
    known = vars(nudenet.nudenet)["__labels"]
    assert len(CLASSES) == 9 and set(CLASSES) <= set(known)
    assert len(CORE_CLASSES) == 6
    assert not set(CORE_CLASSES) & {"BELLY_EXPOSED", "ARMPITS_EXPOSED", "FEET_EXPOSED"}
    assert judge.protocol == f"nudenet-{version('nudenet')}-320n-0.2/1"
    assert detects(judge.protocol) and not detects("classifier-top1/1")
