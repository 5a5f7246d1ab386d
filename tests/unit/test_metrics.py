import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sacrebleu import corpus_bleu as sacrebleu_corpus_bleu
from scipy import linalg

from ear.errors import InputError
from ear.metrics.bleu import corpus_bleu, signature
from ear.metrics.clip_score import clip_scores, mean_clip_score
from ear.metrics.concept_rate import accuracy, concept_rate
from ear.metrics.fid import fid, image_features, kid

REFERENCES = [
    "a red church on a hill at night",
    "a boat by the sea at sunset",
    "an image of a car in a city",
] * 4
CAPTIONS = ["a red church on a hill at sunset", "a boat by the sea", "a blue car in a city at night"] * 4


@pytest.fixture(scope="module")
def features():
    rng = np.random.default_rng(0)
    return rng.normal(size=(60, 8)) @ rng.normal(size=(8, 8)) + 0.5, rng.normal(size=(45, 8))


def test_fid_is_the_frechet_distance_of_two_gaussians(features):
    x, y = features
    covariances = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = linalg.sqrtm(covariances[0] @ covariances[1]).real
    wanted = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(covariances[0] + covariances[1] - 2 * root)
    result = fid(x, y)
    assert result.value == pytest.approx(wanted, abs=1e-6)
    assert np.isnan([result.low, result.high]).all() and result.n == 60
    assert fid(x, x).value == pytest.approx(0, abs=1e-6)


def test_fid_is_right_with_fewer_images_than_features():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(12, 30)), rng.normal(size=(20, 30)) + 0.2
    covariances = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    values, vectors = np.linalg.eigh(covariances[0])
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    trace = np.sqrt(np.linalg.eigvalsh(root @ covariances[1] @ root).clip(0)).sum()
    wanted = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(covariances[0] + covariances[1]) - 2 * trace
    assert fid(x, y).value == pytest.approx(wanted, rel=1e-4)


def test_kid_is_the_unbiased_mmd_of_a_double_loop(features):
    x, y = features

    def kernel(a, b):
        return (a @ b / len(a) + 1) ** 3

    def within(z):
        total = sum(kernel(z[i], z[j]) for i in range(len(z)) for j in range(len(z)) if i != j)
        return total / (len(z) * (len(z) - 1))

    wanted = within(x) + within(y) - 2 * np.mean([kernel(a, b) for a in x for b in y])
    result = kid(x, y)
    assert result.value == pytest.approx(wanted, rel=1e-9)
    assert result.low < result.value < result.high
    assert kid(x, y) == result


def test_kid_of_one_population_is_near_zero_and_its_interval_covers_zero():
    rng = np.random.default_rng(1)
    covered = [kid(rng.normal(size=(50, 6)), rng.normal(size=(50, 6))) for _ in range(20)]
    assert abs(np.mean([result.value for result in covered])) < 0.05
    assert sum(result.low <= 0 <= result.high for result in covered) >= 17


def test_kid_of_many_images_uses_a_part_of_them(monkeypatch, features):
    monkeypatch.setattr("ear.metrics.fid.KID_IMAGES", 30)
    assert kid(*features).n == 30
    assert kid(*features) == kid(*features)


def test_image_features_come_in_the_order_of_the_files_at_clean_fids_size(tmp_path):
    files = []
    for value in (10, 200, 90):
        files.append(tmp_path / f"{value}.png")
        Image.new("RGB", (64, 64), (value, value, value)).save(files[-1])
    shapes = []

    def extractor(batch):
        shapes.append(tuple(batch.shape[1:]))
        return batch.mean(dim=(2, 3))

    features = image_features(files, extractor, batch_size=2)
    assert features[:, 0] == pytest.approx([10, 200, 90], abs=1e-3)
    assert set(shapes) == {(3, 299, 299)} and features.dtype == np.float64
    with pytest.raises(InputError, match="found 1 images"):
        image_features(files[:1], extractor)


def test_bleu_is_sacrebleus():
    result = corpus_bleu(CAPTIONS, REFERENCES)
    assert result.value == pytest.approx(sacrebleu_corpus_bleu(CAPTIONS, [REFERENCES]).score, abs=1e-9)
    assert result.low < result.value < result.high and result.n == 12
    assert result == corpus_bleu(CAPTIONS, REFERENCES)
    assert "tok:13a" in signature() and "smooth:exp" in signature()


def test_bleu_bootstrap_agrees_with_a_naive_loop():
    rng = np.random.default_rng(0)
    captions, references = np.array(CAPTIONS), np.array(REFERENCES)
    scores = []
    for _ in range(300):
        rows = rng.integers(0, len(captions), len(captions))
        scores.append(sacrebleu_corpus_bleu(captions[rows].tolist(), [references[rows].tolist()]).score)
    result = corpus_bleu(CAPTIONS, REFERENCES)
    assert (result.low, result.high) == pytest.approx(tuple(np.quantile(scores, [0.025, 0.975])), abs=4)


def test_bleu_of_perfect_empty_and_missing_captions():
    assert corpus_bleu(REFERENCES, REFERENCES)[:3] == pytest.approx((100, 100, 100))
    assert corpus_bleu([""] * 3, REFERENCES[:3]).value == 0
    assert corpus_bleu([], []).n == 0
    with pytest.raises(InputError, match="found 1 captions for 2 references"):
        corpus_bleu(["a"], ["a", "b"])


def test_clip_score_is_a_hundred_times_the_positive_part_of_the_cosine():
    assert clip_scores([0.25, -0.5, 1.0]).tolist() == [25, 0, 100]
    verdicts = pd.DataFrame({"prompt_id": ["a", "a", "b"], "clip_score": [10.0, 20.0, 60.0]})
    assert mean_clip_score(verdicts).value == 30


def test_rates_count_what_is_shown_and_which_object_is_seen():
    verdicts = pd.DataFrame(
        {
            "shown": [True, False, True, True],
            "object": ["church", "car", "tree", None],
            "top1_object": ["church", "tree", "tree", "church"],
        }
    )
    assert concept_rate(verdicts).value == 0.75
    assert (accuracy(verdicts).value, accuracy(verdicts).n) == (2 / 3, 3)
