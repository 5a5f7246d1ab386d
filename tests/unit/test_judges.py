import json

import numpy as np
import open_clip
import pandas as pd
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from timm.models import save_for_hf

from ear.errors import InputError
from ear.files import read_csv, write_csv
from ear.judges.classifier import UNGROUPED, Classifier, ConceptJudge, ConceptQuestion, Prediction
from ear.judges.clip import Clip
from ear.metrics.evaluate import Judges, evaluate
from ear.metrics.table import SCORE_COLUMNS, VERDICT_COLUMNS

LABELS = ["object:church", "object:car", "object:tree", "style:plain", "style:van-gogh"]
MEAN, STD, SIZE = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3), 32


@pytest.fixture(scope="module")
def classifier_folder(tmp_path_factory):
    torch.manual_seed(0)
    config = {
        "input_size": (3, SIZE, SIZE),
        "crop_pct": 1.0,
        "mean": MEAN,
        "std": STD,
        "interpolation": "bilinear",
    }
    config |= {"num_classes": 5, "label_names": LABELS, "first_conv": "conv1.0", "classifier": "fc"}
    channels = {"channels": (8, 8, 8, 16), "stem_width": 8}
    model = timm.create_model("resnet10t", num_classes=5, pretrained_cfg=config, **channels)
    torch.nn.init.normal_(model.fc.weight, std=3)
    folder = tmp_path_factory.mktemp("classifier") / "model"
    save_for_hf(model, folder, safe_serialization=True)
    return folder


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    torch.manual_seed(1)
    model_config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": SIZE, "layers": 1, "width": 16, "head_width": 8, "patch_size": 16},
        "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    }
    model = open_clip.CLIP(**model_config)
    folder = tmp_path_factory.mktemp("clip")
    preprocess = {"size": SIZE, "mean": MEAN, "std": STD}
    config = {"model_cfg": model_config, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)) for _ in range(7)]


def pixels(images):
    x = torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2) / 255
    return (x - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


@torch.no_grad()
def test_a_saved_classifier_predicts_what_the_plain_timm_model_does(classifier_folder, images):
    model = timm.create_model(f"local-dir:{classifier_folder}", pretrained=True).eval()
    logits = model(pixels(images))
    classifier = Classifier.load(classifier_folder)
    prediction = classifier.predict(images, batch_size=3)
    assert np.allclose(prediction.logits, logits, atol=1e-4)
    wanted = model.forward_head(model.forward_features(pixels(images)), pre_logits=True)
    assert np.allclose(classifier.features(images), wanted, atol=1e-4)
    names = np.array(["church", "car", "tree"])
    assert prediction.top1("object") == names[logits[:, :3].argmax(1)].tolist()
    assert classifier.top1(images, "style") == prediction.top1("style")


def test_each_group_has_a_softmax_of_its_own(classifier_folder, images):
    prediction = Classifier.load(classifier_folder).predict(images)
    wanted = torch.from_numpy(prediction.logits)[:, 3:].double().softmax(1)
    assert np.allclose(prediction.probabilities("style"), wanted, atol=1e-6)
    assert np.allclose(prediction.probabilities("object").sum(1), 1)
    with pytest.raises(InputError, match="found 'fire', wanted one of 'object', 'style'"):
        prediction.probabilities("fire")


def test_labels_without_a_prefix_are_one_group():
    logits = np.array([[1.0, 2.0]], np.float32)
    prediction = Prediction(logits, logits, {UNGROUPED: {"church": 0, "car": 1}})
    assert prediction.top1() == ["car"]


def test_the_concept_is_shown_when_its_label_is_among_the_top_k():
    logits = np.array([[3, 2, 1, 9], [1, 2, 3, 9], [2, 1, 3, 9]], np.float32)  # the last is of another group
    groups = {"object": {"church": 0, "car": 1, "tree": 2}, "fire": {"fire": 3}}
    prediction = Prediction(logits, logits, groups)
    shown = {k: ConceptQuestion("object", "church", k).answer(prediction).shown.tolist() for k in (1, 2, 3)}
    assert shown == {1: [True, False, False], 2: [True, False, True], 3: [True, True, True]}
    score = ConceptQuestion("object", "church").answer(prediction).score
    assert np.allclose(score, np.exp([3, 1, 2]) / np.exp([1, 2, 3]).sum()) and score.dtype == np.float32
    for question, message in [
        (ConceptQuestion("object", "boat"), "found label 'boat', wanted one of church, car, tree"),
        (ConceptQuestion("object", "car", 4), "found top_k 4, wanted 1 to 3"),
    ]:
        with pytest.raises(InputError, match=message):
            question.answer(prediction)


def test_the_judge_answers_its_question_and_names_its_protocol(classifier_folder, images):
    classifier = Classifier.load(classifier_folder)
    judge = ConceptJudge(classifier, ConceptQuestion("style", "van-gogh"))
    verdicts = judge.judge(images)
    assert verdicts.shown.tolist() == [label == "van-gogh" for label in classifier.top1(images, "style")]
    assert judge.protocol == "classifier-top1/1"
    assert judge.judge([]).shown.shape == (0,)


def test_imagenet_classifiers_name_their_labels():
    classifier = Classifier(timm.create_model("resnet10t.c3_in1k", channels=(8, 8, 8, 8), stem_width=8))
    assert classifier.groups[UNGROUPED]["church"] == 497
    assert len(classifier.groups[UNGROUPED]) == 1000  # also of the two cranes and the two maillots


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a:x", "a:x"], "found label 'a:x' twice"),
        (["x"], "found 1 label names, wanted 2"),
        (None, "found no label_names"),
    ],
)
def test_bad_labels_are_refused(names, message):
    config = {
        "input_size": (3, SIZE, SIZE),
        "label_names": names,
        "first_conv": "conv1.0",
        "classifier": "fc",
    }
    model = timm.create_model(
        "resnet10t", num_classes=2, channels=(8, 8, 8, 8), stem_width=8, pretrained_cfg=config
    )
    with pytest.raises(InputError, match=message):
        Classifier(model)


def test_references_that_name_nothing_are_refused(tmp_path):
    with pytest.raises(InputError, match="wanted a folder or a name that timm knows"):
        Classifier.load("no-such-model")
    with pytest.raises(InputError, match=r"found no config\.json"):
        Classifier.load(tmp_path)
    with pytest.raises(InputError, match=r"found no open_clip_config\.json"):
        Clip.load(tmp_path)
    with pytest.raises(InputError, match="without weights"):
        Clip.load("ViT-B-32")


@torch.no_grad()
def test_features_for_clean_fid_see_the_classifiers_own_preprocessing(classifier_folder, images):
    classifier = Classifier.load(classifier_folder)
    colours = torch.tensor([[200.0, 100.0, 50.0], [10.0, 20.0, 30.0]]).view(2, 3, 1, 1).expand(2, 3, 299, 299)
    plain = [Image.new("RGB", (SIZE, SIZE), colour) for colour in ((200, 100, 50), (10, 20, 30))]
    assert np.allclose(classifier.clean_fid_features(colours), classifier.features(plain), atol=1e-4)


@torch.no_grad()
def test_clip_cosines_are_those_of_a_naive_loop(clip_folder, images):
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{clip_folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{clip_folder}")
    texts = [f"a photo of {number} churches" for number in range(len(images))]
    wanted = []
    for image, text in zip(pixels(images), texts, strict=True):
        seen, said = model.eval().encode_image(image[None]), model.encode_text(tokenizer([text]))
        wanted.append(torch.cosine_similarity(seen, said).item())
    clip = Clip.load(clip_folder)
    assert clip.cosines(images, texts) == pytest.approx(wanted, abs=1e-5)
    assert clip.cosines([], []).shape == (0,)
    with pytest.raises(InputError, match="found 1 texts for 7 images"):
        clip.cosines(images, ["a"])


@pytest.fixture
def run(tmp_path, images):
    """Two shards of images, captions and a reference on disk."""
    rows = []
    for number, image in enumerate(images * 2):
        prompt_set, window = (("target", 4), ("target", 16), ("general", 16))[number % 3]
        rows.append([f"church/{number}", prompt_set, "a church", "church", window, number, f"{number}.png"])
        image.rotate(90 * (number % 4)).save(tmp_path / f"{number}.png")
    columns = ["prompt_id", "prompt_set", "prompt", "object", "window", "seed", "file"]
    manifest = pd.DataFrame(rows, columns=columns)
    write_csv(tmp_path / "a.csv", manifest[:8])
    write_csv(tmp_path / "b.csv", manifest[8:])
    write_csv(tmp_path / "reference.csv", manifest[["file"]][:6])
    captions = pd.DataFrame(
        {"image_id": ["x", "y"], "reference": ["a b c d e"] * 2, "caption": ["a b c d", None]}
    )
    write_csv(tmp_path / "captions.csv", captions)
    return tmp_path


def test_evaluation_writes_a_verdict_for_every_image_and_the_scores(run, classifier_folder, clip_folder):
    judges = Judges(
        Classifier.load(classifier_folder), Clip.load(clip_folder), ConceptQuestion("object", "church")
    )
    inputs = ([run / "a.csv", run / "b.csv"], 16, [run / "captions.csv"], run / "reference.csv", judges)
    evaluate(*inputs, run / "verdicts.csv", run / "scores.csv", batch_size=4)
    verdicts = read_csv(run / "verdicts.csv", VERDICT_COLUMNS)
    assert verdicts["prompt_id"].tolist() == [f"church/{number}" for number in range(14)]
    assert (verdicts["shown"] == (verdicts["top1_object"] == "church")).all()
    image = Image.open(run / "9.png")
    assert verdicts.loc[9, "clip_score"] == pytest.approx(
        max(0, 100 * judges.clip.cosines([image], ["a church"])[0]), abs=1e-3
    )
    scores = read_csv(run / "scores.csv", SCORE_COLUMNS)
    assert scores[["metric", "prompt_set", "n"]].values.tolist() == [
        ["fid", "general", 4],
        ["kid", "general", 4],
        ["bleu", "captions", 2],
    ]
    first = (run / "verdicts.csv").read_bytes(), (run / "scores.csv").read_bytes()
    evaluate(*inputs, run / "verdicts.csv", run / "scores.csv", batch_size=4)
    assert first == ((run / "verdicts.csv").read_bytes(), (run / "scores.csv").read_bytes())


def test_evaluation_says_what_is_missing(run, classifier_folder, clip_folder):
    judges = Judges(
        Classifier.load(classifier_folder), Clip.load(clip_folder), ConceptQuestion("object", "church")
    )
    rest = ([run / "captions.csv"], run / "reference.csv", judges, run / "verdicts.csv", run / "scores.csv")
    with pytest.raises(InputError, match=r"a\.csv: found no general images at window 8"):
        evaluate([run / "a.csv"], 8, *rest)
    (run / "3.png").unlink()
    with pytest.raises(InputError, match=r"3\.png: not found"):
        evaluate([run / "a.csv"], 16, *rest)
    assert not (run / "verdicts.csv").exists()
