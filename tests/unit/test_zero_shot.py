"""The zero-shot judge, its phrases and its calibration on pairs."""

import json
import logging
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from PIL import Image

from ear.config.concepts import ZeroShotJudge
from ear.errors import InputError
from ear.files import sha256_file, write_csv
from ear.filtering import PAIR_VERDICT_COLUMNS, SECOND_PAIR_COLUMNS, filter_pairs, judge_pairs
from ear.judges.calibration import Calibration, choose_threshold
from ear.judges.clip import Clip
from ear.judges.loading import load_judge, load_judges
from ear.judges.zero_shot import PhraseScorer, calibrate
from ear.prompts.tables import PAIR_COLUMNS
from tests.small_judges import SIZE, small_classifier, small_clip

SCRIPTS = Path(__file__).parents[2] / "scripts"
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


def test_phrases_that_tell_nothing_are_warned_of(folder, manifest, caplog):
    with caplog.at_level(logging.WARNING):
        found = calibrate(manifest, folder, ["a church"], ["a church"])
    assert (found.threshold, found.balanced_accuracy) == (0.5, 0.5)
    assert "the phrases tell nothing" in caplog.text


def test_the_script_writes_what_the_judge_reads(folder, images, manifest, tmp_path):
    snakemake = SimpleNamespace(
        input=SimpleNamespace(manifest=str(manifest), model=str(folder / "open_clip_config.json")),
        output=SimpleNamespace(calibration=str(tmp_path / "judge.json")),
        params=SimpleNamespace(
            judge={"by": "zero-shot", "positive": POSITIVE, "negative": NEGATIVE}, device="cpu", threads=1
        ),
        log=[str(tmp_path / "log")],
    )
    runpy.run_path(str(SCRIPTS / "calibrate_judge.py"), init_globals={"snakemake": snakemake})
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
