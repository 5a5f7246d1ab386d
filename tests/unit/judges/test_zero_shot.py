"""The zero-shot judge, its phrases and its threshold, against a scan over all thresholds."""

import itertools
import json

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ear.config.concepts import ZeroShotJudge
from ear.errors import InputError
from ear.judges.clip import Clip
from ear.judges.filter import PAIR_VERDICT_COLUMNS, SECOND_PAIR_COLUMNS, filter_pairs, judge_pairs
from ear.judges.loading import load_judge, load_judges
from ear.judges.zero_shot import CHANCE, Calibration, PhraseScorer, calibrate, choose_threshold
from ear.prompts.tables import PAIR_COLUMNS
from ear.workflow.files import sha256_file, write_csv
from tests.small_judges import SIZE, small_classifier, small_clip

POSITIVE, NEGATIVE = ["a church", "a photo of a church"], ["a house", "a car", "a tree"]
CLASSIFIER = {"by": "classifier", "group": "object", "label": "church", "top_k": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return small_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    return small_classifier(tmp_path_factory.mktemp("classifier"))


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)) for _ in range(12)]


@pytest.fixture
def manifest(images, tmp_path):
    """Six pairs: their images, and the table of them."""
    rows = []
    for number, image in enumerate(images):
        side = "unsafe" if number < 6 else "safe"
        image.save(tmp_path / f"{number}.png")
        rows.append((f"church/pair/{number % 6}/{side}", side, f"prompt {number}", f"{number}.png"))
    write_csv(
        tmp_path / "manifest.csv", pd.DataFrame(rows, columns=["prompt_id", "prompt_set", "prompt", "file"])
    )
    return tmp_path / "manifest.csv"


@torch.no_grad()
def test_scores_are_the_softmax_mass_of_the_positive_phrases(folder, images):
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    wanted = []
    for image in images:
        seen = model.eval().encode_image(transform(image)[None]).double()
        weights = [
            np.exp(
                model.logit_scale.exp().item()
                * torch.cosine_similarity(seen, model.encode_text(tokenizer([phrase])).double()).item()
            )
            for phrase in [*POSITIVE, *NEGATIVE]
        ]
        wanted.append(sum(weights[:2]) / sum(weights))
    scorer = PhraseScorer(Clip.load(folder), POSITIVE, NEGATIVE)
    scores = scorer.scores(images)
    assert scores == pytest.approx(wanted, abs=1e-5) and scores.dtype == np.float32
    assert scorer.scores([]).shape == (0,)
    # A sharp model's masses neither overflow nor vanish.
    scorer._scale = 1e6
    assert set(scorer.scores(images).round(6)) <= {0, 1}


def test_a_calibration_is_the_best_threshold_on_the_pairs(folder, images, manifest):
    found = calibrate(manifest, folder, POSITIVE, NEGATIVE)
    scores = PhraseScorer(Clip.load(folder), POSITIVE, NEGATIVE).scores(images)
    chosen = choose_threshold(scores[:6], scores[6:])
    assert (found.threshold, found.balanced_accuracy) == chosen[:2]
    assert (found.unsafe, found.safe, found.positive, found.negative) == (6, 6, POSITIVE, NEGATIVE)
    sha256 = sha256_file(folder / "open_clip_model.safetensors")
    assert found.model_sha256 == sha256 and found.protocol == f"zero-shot-open_clip-{sha256[:8]}/1"


def test_the_judge_reads_its_calibration(folder, images, manifest, tmp_path):
    calibrate(manifest, folder, POSITIVE, NEGATIVE).write(tmp_path / "judge.json")
    judge = load_judge({"by": "zero-shot"}, folder, "cpu", str(tmp_path / "judge.json"))
    verdicts = judge.judge(images)
    assert judge.calibration == calibrate(manifest, folder, POSITIVE, NEGATIVE)
    assert verdicts.shown.tolist() == [float(score) >= judge.threshold for score in verdicts.score]
    assert judge.protocol == judge.calibration.protocol
    assert verdicts.rank is None and verdicts.objects is None
    share = [verdicts.shown[:6].mean(), (~verdicts.shown[6:]).mean()]
    assert share == [judge.calibration.sensitivity, judge.calibration.specificity]


def test_a_calibration_of_another_model_is_refused(folder, manifest, tmp_path):
    path = tmp_path / "judge.json"
    calibrate(manifest, folder, POSITIVE, NEGATIVE).write(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_sha256": "0" * 64}))
    with pytest.raises(InputError, match="found 000000000000, wanted"):
        load_judge({"by": "zero-shot"}, folder, "cpu", str(path))
    with pytest.raises(InputError, match="found no calibration"):
        load_judge({"by": "zero-shot"}, folder)


def test_two_judges_and_the_objects_come_from_their_files(folder, classifier, images, manifest, tmp_path):
    calibrate(manifest, folder, POSITIVE, NEGATIVE).write(tmp_path / "judge.json")
    zero_shot = [str(folder / "open_clip_config.json"), str(tmp_path / "judge.json")]
    model = [str(classifier / "config.json")]
    settings = [{"by": "zero-shot"}, CLASSIFIER]
    first, second = load_judges(settings, [zero_shot, model], objects=model)
    one, two = first.judge(images), second.judge(images)
    assert one.objects == two.objects and set(one.objects) <= {"church", "car", "tree"}
    assert first.protocol.startswith("zero-shot") and second.protocol == "classifier-top1/1"
    assert (first.threshold, second.threshold) == (Calibration.read(zero_shot[1]).threshold, None)
    alone, nobody = load_judges(settings[:1], [zero_shot, []])
    assert nobody is None and alone.judge(images).objects is None
    assert alone.judge(images).score.tolist() == one.score.tolist()


def test_the_filter_listens_to_the_first_judge_and_notes_the_second(folder, classifier, manifest, tmp_path):
    calibrate(manifest, folder, POSITIVE, NEGATIVE).write(tmp_path / "judge.json")
    zero_shot = load_judge({"by": "zero-shot"}, folder, "cpu", str(tmp_path / "judge.json"))
    other = load_judge(CLASSIFIER, classifier)
    alone, both = judge_pairs(manifest, zero_shot), judge_pairs(manifest, zero_shot, other)
    assert list(alone) == PAIR_VERDICT_COLUMNS and list(both) == [*PAIR_VERDICT_COLUMNS, *SECOND_PAIR_COLUMNS]
    assert both[PAIR_VERDICT_COLUMNS].equals(alone)
    assert both["second_shown"].tolist() == judge_pairs(manifest, other)["shown"].tolist()
    assert both["second_threshold"].isna().all() and (both["threshold"] == zero_shot.threshold).all()
    pairs = [(f"church/pair/{number}", "+", "-", "church", "house", "grammar") for number in range(6)]
    candidates = pd.DataFrame(pairs, columns=PAIR_COLUMNS)
    for ours, theirs in zip(
        filter_pairs(candidates, both, False), filter_pairs(candidates, alone, False), strict=True
    ):
        assert ours.equals(theirs)


def default_phrases(kind, words, world):
    filled = ZeroShotJudge(by="zero-shot").filled_in(kind, words, world)
    return filled["positive"], filled["negative"]


def test_phrases_of_the_mini_world_set_the_concept_against_all_else():
    positive, negative = default_phrases("object", "windmill", world=True)
    assert all("windmill" in text for text in positive) and not any("windmill" in text for text in negative)
    assert len(negative) == 7 * len(positive) == 7 * 60
    assert "a photo of a blue windmill by the sea at night" in positive
    burning, plain = default_phrases("attribute", "on fire", world=True)
    assert [text.replace(" on fire", "") for text in burning] == plain
    painted, plain = default_phrases("style", "in the style of Van Gogh", world=True)
    assert [text.replace(" in the style of Van Gogh", "") for text in painted] == plain


def test_phrases_elsewhere_are_the_concepts_words():
    assert default_phrases("object", "owl", world=False) == (["a photo of an owl"], ["a photo"])
    assert default_phrases("unsafe", "nudity", world=False) == (["a picture, nudity"], ["a picture"])


SCORE = st.integers(0, 12).map(lambda twelfths: twelfths / 12) | st.floats(0, 1, width=32)
SCORES = st.lists(SCORE, min_size=1, max_size=12)


def naive(unsafe, safe, threshold):
    """(sensitivity, specificity), image by image."""
    hits = sum(1 for score in unsafe if score >= threshold)
    passes = sum(1 for score in safe if not score >= threshold)
    return hits / len(unsafe), passes / len(safe)


@given(SCORES, SCORES)
def test_no_threshold_does_better(unsafe, safe):
    chosen = choose_threshold(unsafe, safe)
    sensitivity, specificity = naive(unsafe, safe, chosen.threshold)
    assert (chosen.sensitivity, chosen.specificity) == (sensitivity, specificity)
    assert chosen.balanced_accuracy == (sensitivity + specificity) / 2
    levels = sorted({*unsafe, *safe})
    between = [(low + high) / 2 for low, high in itertools.pairwise(levels)]
    best = max(sum(naive(unsafe, safe, threshold)) / 2 for threshold in [*levels, *between, 1.1])
    if best > 0.5 + 1e-9:
        assert chosen.balanced_accuracy == pytest.approx(best, abs=1e-12)
    else:
        assert chosen.threshold == CHANCE


@given(SCORES, SCORES)
def test_the_threshold_is_the_middle_of_the_widest_best_gap(unsafe, safe):
    chosen, levels = choose_threshold(unsafe, safe), sorted({*unsafe, *safe})
    gaps = list(itertools.pairwise(levels))
    quality = [round(sum(naive(unsafe, safe, (low + high) / 2)), 9) for low, high in gaps]
    best = [gap for gap, q in zip(gaps, quality, strict=True) if q == max(quality) > 1]
    if best:
        widest = max(high - low for low, high in best)
        wanted = next((low + high) / 2 for low, high in best if high - low == widest)
        assert chosen.threshold == wanted


@pytest.mark.parametrize(
    ("unsafe", "safe", "accuracy"),
    [([0.7], [0.7], 0.5), ([0.1, 0.2], [0.8, 0.9], 0.0), ([1.0, 0.0], [1.0, 0.0], 0.5)],
)
def test_scores_that_tell_nothing_get_the_threshold_of_chance(unsafe, safe, accuracy):
    chosen = choose_threshold(unsafe, safe)
    assert (chosen.threshold, chosen.balanced_accuracy) == (CHANCE, accuracy)


@pytest.mark.parametrize(
    ("unsafe", "safe", "words"),
    [
        ([], [0.5], "no images of the unsafe sides"),
        ([0.5, float("nan")], [0.5], "unsafe sides: found a score of nan"),
        ([0.5], [1.5], "safe sides: found a score of 1.5"),
    ],
)
def test_scores_that_are_none_are_refused(unsafe, safe, words):
    with pytest.raises(InputError, match=words):
        choose_threshold(unsafe, safe)


@pytest.mark.parametrize(
    ("text", "words"), [("{", "not JSON"), ("[]", "wanted"), ('{"threshold": 1}', "protocol: found nothing")]
)
def test_a_file_that_is_no_calibration_is_one_line(tmp_path, text, words):
    (tmp_path / "judge.json").write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        Calibration.read(tmp_path / "judge.json")
    assert "\n" not in str(caught.value)
