"""What models saw: kept in parts, and refused where it is no number."""

import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ear.errors import InputError
from ear.evaluation.metrics.fid import fid, image_features, kid
from ear.evaluation.metrics.image_scores import (
    JUDGED,
    judge_look,
    look_at,
    read_arrays,
    read_seen,
    write_arrays,
    write_seen,
)
from ear.images.reading import read_manifests
from ear.judges.base import Verdicts
from tests.evaluation import (
    classifier_folder,
    clip,
    clip_folder,
    extractor,
    judge,
    looks_of,
    measure,
    outputs,
    reference,
    run,
)


class Killed(Exception):
    pass


class Counting:
    """A judge that counts what it sees and dies after so many images."""

    def __init__(self, judge, dies_after=None):
        self.judge_of_concept, self.protocol = judge, judge.protocol
        self.seen, self.dies_after = 0, dies_after

    def judge(self, images):
        if self.dies_after is not None and self.seen + len(images) > self.dies_after:
            raise Killed
        self.seen += len(images)
        return self.judge_of_concept.judge(images)


@pytest.fixture
def small_parts(monkeypatch):
    """Parts of one batch."""
    monkeypatch.setattr("ear.evaluation.metrics.image_scores.PART", 1)


def test_a_killed_evaluation_goes_on_and_ends_with_the_same_bytes(
    run, reference, judge, clip, extractor, small_parts
):
    manifests = [run / "a.csv", run / "b.csv"]

    def tried(judge):
        looks = looks_of(judge, clip, extractor)
        measure(run, manifests, [], reference, looks, batch_size=2)

    tried(judge)
    wanted = [path.read_bytes() for path in outputs(run)]
    for path in outputs(run):
        path.unlink()
    shutil.rmtree(run / "parts")
    with pytest.raises(Killed):
        tried(Counting(judge, dies_after=5))
    assert not any(path.exists() for path in outputs(run))
    again = Counting(judge)
    tried(again)
    assert [path.read_bytes() for path in outputs(run)] == wanted
    assert again.seen == 10 - 4  # ten images are judged, and two batches of two were kept
    # Nothing is seen again, and nobody opens an image.
    for path in run.glob("*.png"):
        path.unlink()
    tried(Counting(judge, dies_after=0))
    assert [path.read_bytes() for path in outputs(run)] == wanted


@pytest.mark.parametrize("damage", ["cut", "of another part"])
def test_a_damaged_or_foreign_part_is_seen_again(run, judge, clip, small_parts, damage):
    def tried(judge):
        measure(run, [run / "a.csv"], [], None, looks_of(judge, clip), batch_size=2)

    tried(judge)
    wanted = (run / "verdicts.csv").read_bytes()
    part, other = (run / f"parts/judged/{start}.npz" for start in (0, 2))
    content = part.read_bytes()
    broken = {"cut": content[: len(content) // 2], "of another part": other.read_bytes()}
    part.write_bytes(broken[damage])
    again = Counting(judge)
    tried(again)
    assert again.seen == 2
    assert (run / "verdicts.csv").read_bytes() == wanted


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**6), st.integers(1, 255))
def test_a_flipped_byte_of_a_part_is_found_or_changes_nothing(tmp_path, at, bits):
    path = tmp_path / "part.npz"
    arrays = {"score": np.arange(5, dtype=np.float32), "objects": np.array(["a", "bcd"])}
    write_arrays(path, arrays)
    content = bytearray(path.read_bytes())
    content[at % len(content)] ^= bits
    path.write_bytes(content)
    try:
        found = read_arrays(path)
    except InputError as error:
        assert "remove it and run again" in str(error)
    else:
        assert {name: values.tolist() for name, values in found.items()} == {
            name: values.tolist() for name, values in arrays.items()
        }


def test_a_part_of_other_images_prompts_judges_weights_or_code_is_not_taken(run, judge, clip):
    images = read_manifests([run / "a.csv"])

    def seen(images=images, weights="weights", code="code", protocol=judge.protocol):
        counting = Counting(judge)
        counting.protocol = protocol
        look_at(images, {JUDGED: [judge_look("judge", counting, weights)]}, run / "parts", code)
        return counting.seen

    count = int((images["prompt_set"] == "target").sum())
    assert seen() == count
    assert seen() == 0
    for change in (
        {"images": images.assign(sha256=images["sha256"].where(images.index != 3, "0"))},
        {"images": images.assign(prompt="a barn")},
        {"weights": "others"},
        {"code": "other"},
        {"protocol": "classifier-top3/1"},
    ):
        assert seen(**change) == count, change
        assert seen() == count  # the last ones stand there now


def test_what_was_seen_by_another_job_is_of_these_images_and_whole(run, judge, clip):
    images = read_manifests([run / "a.csv"])
    write_seen(run / "seen.npz", look_at(images, looks_of(judge, clip), run / "parts", batch_size=4))
    with pytest.raises(InputError, match=r"seen\.npz: \S+: found \d+ images, wanted \d+; remove it"):
        read_seen(run / "seen.npz", images[:5])
    (run / "seen.npz").write_bytes(b"words")
    with pytest.raises(InputError, match=r"seen\.npz: .*wanted whole arrays"):
        read_seen(run / "seen.npz", images)


class Broken:
    """A judge, a CLIP and an extractor that give one number that is none of theirs, for the image 3.png."""

    protocol, kind, device = "broken/1", "classifier", "cpu"

    def __init__(self, value):
        self.value = value

    def _numbers(self, images):
        bad = [np.asarray(image)[0, 0, 0] == 30 for image in images]
        return np.where(bad, self.value, 0.5).astype(np.float32)

    def judge(self, images):
        return Verdicts(np.ones(len(images), bool), self._numbers(images))

    def cosines(self, images, texts):
        return self._numbers(images)

    def features(self, batch):
        values = batch[:, :, 0, 0].clone()
        values[batch.std(dim=(1, 2, 3)) > 0, 1] = self.value
        return values


@pytest.mark.parametrize(("broken", "value"), [("judge", np.nan), ("judge", 1.5), ("clip", -np.inf)])
def test_a_score_that_is_none_is_one_line_that_names_the_image(run, judge, clip, broken, value):
    models = {"judge": judge, "clip": clip, broken: Broken(value)}
    with pytest.raises(InputError, match=rf"/3\.png: .*: found {value:g}, wanted numbers from"):
        measure(run, [run / "a.csv"], [], None, looks_of(**models))
    assert not any(path.exists() for path in outputs(run))


def test_features_that_are_not_finite_name_the_image(run, judge, clip):
    broken = Broken(np.nan)
    with pytest.raises(InputError, match=r"/2\.png: features: found nan, wanted finite numbers"):
        measure(run, [run / "a.csv"], [], None, looks_of(judge, clip, broken))
    Image.new("RGB", (8, 8)).save(run / "plain.png")
    with pytest.raises(InputError, match=r"/7\.png: features: found nan"):
        image_features([run / "plain.png", run / "7.png"], broken)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("distance", [fid, kid])
def test_a_nan_among_features_does_not_hang(distance):
    features = np.random.default_rng(0).normal(size=(60, 2048)).astype(np.float32)
    broken = features.copy()
    broken[17, 5] = np.nan
    for pair, side in (((broken, features), "generated"), ((features, broken), "reference")):
        with pytest.raises(InputError, match=f"^{side} image 17: features: found nan, wanted finite numbers"):
            distance(*pair)
