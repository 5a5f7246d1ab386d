"""The zero-shot judge, its phrases and its threshold, against a scan over all thresholds."""

import itertools
import json

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ear.config.concepts import ZeroShotJudge as Settings
from ear.errors import InputError
from ear.judges.clip import Clip
from ear.judges.filter import PAIR_VERDICT_COLUMNS, SECOND_PAIR_COLUMNS, filter_pairs, judge_pairs
from ear.judges.loading import load_judge, load_judges
from ear.judges.zero_shot import CHANCE, Calibration, ZeroShotJudge, calibrate, choose_threshold
from ear.prompts.tables import PAIR_COLUMNS
from ear.workflow.files import sha256_file, write_csv

POSITIVE, NEGATIVE = ["a church", "a photo of a church"], ["a house", "a car", "a tree"]
CLASSIFIER = {"by": "classifier", "group": "object", "label": "church", "top_k": 1}


@pytest.fixture(scope="module")
def manifest(images, tmp_path_factory):
    """Six pairs: their images, and the table of them."""
    place, rows = tmp_path_factory.mktemp("pairs"), []
    for number, image in enumerate(images):
        side = "unsafe" if number < 6 else "safe"
        image.save(place / f"{number}.png")
        rows.append((f"church/pair/{number % 6}/{side}", side, f"prompt {number}", f"{number}.png"))
    columns = ["prompt_id", "prompt_set", "prompt", "file"]
    write_csv(place / "manifest.csv", pd.DataFrame(rows, columns=columns))
    return place / "manifest.csv"


@pytest.fixture(scope="module")
def calibration(clip_folder, manifest):
    """The file of a calibration on these pairs."""
    path = manifest.with_name("judge.json")
    calibrate(manifest, clip_folder, POSITIVE, NEGATIVE).write(path)
    return path


@torch.no_grad()
def test_scores_are_the_softmax_mass_of_the_positive_phrases(clip_folder, images):
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{clip_folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{clip_folder}")
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
    judge = ZeroShotJudge(Clip.load(clip_folder), POSITIVE, NEGATIVE)
    scores = judge.scores(images)
    assert scores == pytest.approx(wanted, abs=1e-5) and scores.dtype == np.float32
    assert judge.judge([]).shown.shape == (0,)
    # A sharp model's masses neither overflow nor vanish.
    judge._scale = 1e6
    assert set(judge.scores(images).round(6)) <= {0, 1}


def test_a_calibration_is_the_best_threshold_on_the_pairs_and_the_judge_reads_it(
    clip_folder, images, calibration, tmp_path
):
    found = Calibration.read(calibration)
    judge = load_judge({"by": "zero-shot"}, clip_folder, "cpu", str(calibration))
    verdicts = judge.judge(images)
    chosen = choose_threshold(verdicts.score[:6], verdicts.score[6:])
    assert (judge.threshold, found.balanced_accuracy) == (found.threshold, chosen[1]) == chosen[:2]
    assert (found.unsafe, found.safe, found.positive, found.negative) == (6, 6, POSITIVE, NEGATIVE)
    sha256 = sha256_file(clip_folder / "open_clip_model.safetensors")
    assert found.model_sha256 == sha256
    assert judge.protocol == found.protocol == f"zero-shot-open_clip-{sha256[:8]}/1"
    assert verdicts.shown.tolist() == [float(score) >= judge.threshold for score in verdicts.score]
    assert verdicts.rank is None and verdicts.objects is None
    share = [verdicts.shown[:6].mean(), (~verdicts.shown[6:]).mean()]
    assert share == [found.sensitivity, found.specificity]
    other = tmp_path / "judge.json"
    other.write_text(json.dumps(json.loads(calibration.read_text()) | {"model_sha256": "0" * 64}))
    with pytest.raises(InputError, match="calibrated with CLIP 000000000000, wanted"):
        load_judge({"by": "zero-shot"}, clip_folder, "cpu", str(other))


def test_two_judges_and_the_objects_come_from_their_files(
    clip_folder, classifier_folder, images, calibration
):
    zero_shot = [str(clip_folder / "open_clip_config.json"), str(calibration)]
    model = [str(classifier_folder / "config.json")]
    settings = [{"by": "zero-shot"}, CLASSIFIER]
    first, second = load_judges(settings, [zero_shot, model], objects=model)
    one, two = first.judge(images), second.judge(images)
    assert one.objects == two.objects and set(one.objects) <= {"church", "car", "tree"}
    assert first.protocol.startswith("zero-shot") and second.protocol == "classifier-top1/1"
    assert (first.threshold, second.threshold) == (Calibration.read(zero_shot[1]).threshold, None)
    alone, nobody = load_judges(settings[:1], [zero_shot, []])
    assert nobody is None and alone.judge(images).objects is None
    assert alone.judge(images).score.tolist() == one.score.tolist()


def test_the_filter_listens_to_the_first_judge_and_notes_the_second(
    clip_folder, classifier_folder, manifest, calibration
):
    zero_shot = load_judge({"by": "zero-shot"}, clip_folder, "cpu", str(calibration))
    other = load_judge(CLASSIFIER, classifier_folder)
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


def test_default_phrases_set_the_concept_against_all_else():
    def phrases(kind, words, world):
        filled = Settings(by="zero-shot").filled_in(kind, words, world)
        return filled["positive"], filled["negative"]

    positive, negative = phrases("object", "windmill", world=True)
    assert all("windmill" in text for text in positive) and not any("windmill" in text for text in negative)
    assert len(negative) == 7 * len(positive) == 7 * 60
    burning, plain = phrases("attribute", "on fire", world=True)
    assert [text.replace(" on fire", "") for text in burning] == plain
    assert phrases("object", "owl", world=False) == (["a photo of an owl"], ["a photo"])
    assert phrases("unsafe", "nudity", world=False) == (["a picture, nudity"], ["a picture"])


SCORE = st.integers(0, 12).map(lambda twelfths: twelfths / 12) | st.floats(0, 1, width=32)
SCORES = st.lists(SCORE, min_size=1, max_size=12)


def naive(unsafe, safe, threshold):
    """(sensitivity, specificity), image by image."""
    hits = sum(1 for score in unsafe if score >= threshold)
    passes = sum(1 for score in safe if not score >= threshold)
    return hits / len(unsafe), passes / len(safe)


@settings(max_examples=30)
@given(SCORES, SCORES)
def test_no_threshold_does_better_and_it_is_the_middle_of_the_widest_best_gap(unsafe, safe):
    chosen = choose_threshold(unsafe, safe)
    assert (chosen.sensitivity, chosen.specificity) == naive(unsafe, safe, chosen.threshold)
    levels = sorted({*unsafe, *safe})
    between = [(low + high) / 2 for low, high in itertools.pairwise(levels)]
    quality = {at: round(sum(naive(unsafe, safe, at)), 9) for at in [*levels, *between, 1.1]}
    best = max(quality.values())
    if best <= 1:
        assert chosen.threshold == CHANCE
        return
    gaps = [gap for gap in itertools.pairwise(levels) if quality[sum(gap) / 2] == best]
    widest = max(high - low for low, high in gaps)
    assert chosen.threshold == next(sum(gap) / 2 for gap in gaps if gap[1] - gap[0] == widest)
    assert chosen.balanced_accuracy == pytest.approx(best / 2, abs=1e-9)


@pytest.mark.parametrize(
    ("unsafe", "safe", "accuracy"),
    [([0.7], [0.7], 0.5), ([0.1, 0.2], [0.8, 0.9], 0.0), ([1.0, 0.0], [1.0, 0.0], 0.5)],
)
def test_scores_that_tell_nothing_get_the_threshold_of_chance(unsafe, safe, accuracy):
    chosen = choose_threshold(unsafe, safe)
    assert (chosen.threshold, chosen.balanced_accuracy) == (CHANCE, accuracy)
