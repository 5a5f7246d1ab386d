import numpy as np
import pandas as pd
import pytest
import torch
from cleanfid.fid import fid_from_feats, get_files_features
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sacrebleu import corpus_bleu as sacrebleu_corpus_bleu
from sacrebleu.metrics.bleu import BLEU

from ear.errors import InputError
from ear.evaluation.metrics.answers import corpus_bleu, signature
from ear.evaluation.metrics.fid import Extractor, fid, image_features, kid, vendi_score
from ear.evaluation.metrics.image_scores import clip_scores
from ear.evaluation.metrics_table import mean_clip_score, rate


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::scipy.linalg.LinAlgWarning")
@pytest.mark.parametrize("shape", [(60, 45, 8), (12, 20, 30), (40, 8, 24)])
def test_fid_is_clean_fids_and_that_of_two_gaussians(shape):
    """Also with fewer images than features on one side or both, where covariances are singular."""
    n, m, d = shape
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 0.5, rng.normal(size=(m, d))
    result = fid(x, y)
    assert result.value == pytest.approx(fid_from_feats(x, y), rel=1e-6)
    covariances = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    roots = np.sqrt(np.linalg.eigvals(covariances[0] @ covariances[1]).real.clip(0))
    wanted = (
        ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(covariances[0] + covariances[1]) - 2 * roots.sum()
    )
    assert result.value == pytest.approx(wanted, rel=1e-5)
    assert np.isnan([result.low, result.high]).all() and result.n == n
    assert fid(x, x).value == pytest.approx(0, abs=1e-6)


def test_kid_is_the_unbiased_mmd_of_a_double_loop_and_of_many_images_uses_a_part(monkeypatch):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 8)) @ rng.normal(size=(8, 8)) + 0.5, rng.normal(size=(45, 8))

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
    monkeypatch.setattr("ear.evaluation.metrics.fid.KID_IMAGES", 30)
    assert kid(x, y).n == 30 and kid(x, y) == kid(x, y)


@settings(max_examples=30)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_diversity_is_the_vendi_score_of_a_naive_kernel_matrix(n, d, seed):
    x = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    kernel = np.array(
        [[a @ b / np.sqrt((a @ a) * (b @ b)) for b in x.astype(float)] for a in x.astype(float)]
    )
    shares = [value for value in np.linalg.eigvals(kernel / n).real if value > 1e-14]
    wanted = np.exp(-sum(share * np.log(share) for share in shares))
    found = vendi_score(x)
    assert found.value == pytest.approx(wanted, abs=1e-6) and found.n == n
    assert np.isnan([found.low, found.high]).all()


@pytest.mark.parametrize("features", [np.zeros((3, 4)), np.zeros((0, 4)), np.full((2, 2), np.nan)])
def test_diversity_wants_features(features):
    with pytest.raises(InputError, match="diversity: found features of"):
        vendi_score(features)


def test_features_are_those_that_clean_fid_takes_of_the_files(tmp_path):
    """A photograph that was held on its side among them: clean-fid does not turn it."""
    pixels = np.random.default_rng(3).integers(0, 256, (3, 40, 60, 3), dtype=np.uint8)
    held = Image.Exif()
    held[0x0112] = 6  # orientation: turned by a quarter
    for number, image in enumerate(map(Image.fromarray, pixels)):
        image.save(tmp_path / f"{number}.jpg", exif=held if number else Image.Exif())
    files = [tmp_path / f"{number}.jpg" for number in (2, 0, 1)]

    def features(batch):
        assert tuple(batch.shape[1:]) == (3, 299, 299)
        return batch.mean(dim=2).flatten(1)

    wanted = get_files_features(
        list(map(str, files)),
        features,
        num_workers=0,
        batch_size=2,
        device=torch.device("cpu"),
        mode="clean",
        verbose=False,
    )
    extractor = Extractor("classifier", features)
    found = image_features(files, extractor, batch_size=2)
    assert np.array_equal(found, wanted) and found.dtype == np.float32
    for distance in (fid, kid):
        with pytest.raises(InputError, match="found 1 reference images, wanted at least 2"):
            distance(found, found[:1])
    with pytest.raises(InputError, match=r"missing\.png: not found"):
        image_features([*files, tmp_path / "missing.png"], extractor)


REFERENCES = [
    "a red church on a hill at night",
    "a boat by the sea at sunset",
    "an image of a car in a city",
] * 4
CAPTIONS = ["a red church on a hill at sunset", "a boat by the sea", "a blue car in a city at night"] * 4


def alone(references):
    """One reference a caption."""
    return [[reference] for reference in references]


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_bleu_is_sacrebleus(data):
    words = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=9).map(" ".join)
    captions = data.draw(st.lists(words, min_size=2, max_size=4))
    references = [data.draw(st.lists(words, min_size=1, max_size=3)) for _ in captions]
    most = max(map(len, references))
    sequences = [[refs[k] if k < len(refs) else None for refs in references] for k in range(most)]
    wanted = sacrebleu_corpus_bleu(captions, sequences, lowercase=True).score
    assert corpus_bleu(captions, references).value == pytest.approx(wanted, abs=1e-9)


def test_the_protocol_of_bleu_is_sacrebleus_signature():
    for references, number in (([["a"]], "1"), ([["a"] * 5] * 2, "5"), ([["a"], ["a"] * 3], "var")):
        metric = BLEU(lowercase=True)
        most = max(map(len, references))
        metric.corpus_score(
            ["a"] * len(references), [[dict(enumerate(r)).get(k) for r in references] for k in range(most)]
        )
        assert signature(references) == str(metric.get_signature())
        assert signature(references).startswith(f"nrefs:{number}|case:lc|eff:no|tok:13a|smooth:exp|version:")


def test_bleu_bootstrap_agrees_with_a_naive_loop():
    rng = np.random.default_rng(0)
    captions, references = np.array(CAPTIONS), np.array(REFERENCES)
    scores = []
    for _ in range(300):
        rows = rng.integers(0, len(captions), len(captions))
        scores.append(sacrebleu_corpus_bleu(captions[rows].tolist(), [references[rows].tolist()]).score)
    result = corpus_bleu(CAPTIONS, alone(REFERENCES))
    assert (result.low, result.high) == pytest.approx(tuple(np.quantile(scores, [0.025, 0.975])), abs=4)
    assert result.low < result.value < result.high and result == corpus_bleu(CAPTIONS, alone(REFERENCES))


def test_bleu_of_perfect_and_empty_captions():
    assert corpus_bleu(REFERENCES, alone(REFERENCES))[:3] == pytest.approx((100, 100, 100))
    assert corpus_bleu([""] * 3, alone(REFERENCES[:3])).value == 0


def test_clip_score_is_a_hundred_times_the_positive_part_of_the_cosine():
    assert clip_scores([0.25, -0.5, 1.0]).tolist() == [25, 0, 100]
    verdicts = pd.DataFrame({"prompt_id": ["a", "a", "b"], "clip_score": [10.0, 20.0, 60.0]})
    assert mean_clip_score(verdicts).value == 30


def test_rates_count_what_is_shown_and_which_object_is_seen():
    verdicts = pd.DataFrame(
        {
            "prompt_id": ["a", "a", "b", "c"],
            "shown": [True, False, True, True],
            "object": ["church", "car", "tree", None],
            "top1_object": ["church", "tree", "tree", "church"],
        }
    )
    assert rate("concept_rate", verdicts).value == 0.75
    assert rate("second_concept_rate", verdicts).n == 0
    assert (rate("accuracy", verdicts).value, rate("accuracy", verdicts).n) == (2 / 3, 3)
    assert rate("accuracy", verdicts.assign(top1_object=None)).n == 0  # a judge that knows no objects
