import numpy as np
import open_clip
import pytest
import timm
import torch
from PIL import Image
from timm.models import save_for_hf

from ear.errors import InputError
from ear.judges.classifier import Classifier
from ear.judges.clip import Clip
from ear.judges.loading import load_judge
from ear.judges.ranking import UNGROUPED, ConceptJudge, Prediction
from tests.small_judges import MEAN, SIZE, STD


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr("ear.judges.base.BATCH", 3)


def pixels(images):
    x = torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2) / 255
    return (x - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


@torch.no_grad()
def test_a_saved_classifier_predicts_what_the_plain_timm_model_does(classifier_folder, images):
    model = timm.create_model(f"local-dir:{classifier_folder}", pretrained=True).eval()
    logits = model(pixels(images))
    classifier = Classifier.load(classifier_folder)
    prediction = classifier.predict(images)
    assert np.allclose(prediction.logits, logits, atol=1e-4)
    names = np.array(["church", "car", "tree"])
    assert prediction.top1("object") == names[logits[:, :3].argmax(1)].tolist()
    wanted = logits[:, 3:].double().softmax(1)  # each group has a softmax of its own
    assert np.allclose(prediction.probabilities("style"), wanted, atol=1e-5)
    with pytest.raises(InputError, match="found 'fire', wanted one of 'object', 'style'"):
        prediction.probabilities("fire")


class Told:
    """A classifier that has its prediction."""

    def __init__(self, prediction):
        self.prediction = prediction

    def predict(self, images):
        return self.prediction


def test_the_concept_is_shown_when_its_label_is_among_the_top_k():
    logits = np.array([[3, 2, 1, 9], [1, 2, 3, 9], [2, 1, 3, 9]], np.float32)  # the last is of another group
    groups = {"object": {"church": 0, "car": 1, "tree": 2}, "fire": {"fire": 3}}
    told = Told(Prediction(logits, groups))
    shown = {k: ConceptJudge(told, "object", "church", k).judge([]).shown.tolist() for k in (1, 2, 3)}
    assert shown == {1: [True, False, False], 2: [True, False, True], 3: [True, True, True]}
    verdicts = ConceptJudge(told, "object", "church").judge([])
    assert verdicts.rank.tolist() == [1, 3, 2] and verdicts.objects == ["church", "tree", "tree"]
    score = verdicts.score
    assert np.allclose(score, np.exp([3, 1, 2]) / np.exp([1, 2, 3]).sum()) and score.dtype == np.float32
    for judge, message in [
        (ConceptJudge(told, "object", "boat"), "found label 'boat', wanted one of church, car, tree"),
        (ConceptJudge(told, "object", "car", 4), "found top_k 4, wanted 1 to 3"),
    ]:
        with pytest.raises(InputError, match=message):
            judge.judge([])


def test_a_resnet50_folder_of_the_hub_knows_the_church(tmp_path, images):
    torch.manual_seed(0)
    model = timm.create_model("resnet50.tv2_in1k", pretrained=False)
    torch.nn.init.zeros_(model.fc.weight)
    torch.nn.init.constant_(model.fc.bias, 0.0)
    with torch.no_grad():
        model.fc.bias[497], model.fc.bias[3] = 2.0, 3.0
    save_for_hf(model, tmp_path, safe_serialization=True)
    settings = {"by": "classifier", "group": "", "label": "church", "top_k": 2}
    judge = load_judge(settings, tmp_path)
    assert judge.classifier.groups[UNGROUPED]["church"] == 497
    assert len(judge.classifier.groups[UNGROUPED]) == 1000  # also of the two cranes and the two maillots
    verdicts = judge.judge(images[:2])
    assert verdicts.rank.tolist() == [2, 2] and verdicts.shown.all() and judge.protocol == "classifier-top2/1"


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


@torch.no_grad()
def test_features_for_clean_fid_see_the_classifiers_own_preprocessing(classifier_folder):
    classifier = Classifier.load(classifier_folder)
    model = timm.create_model(f"local-dir:{classifier_folder}", pretrained=True).eval()
    colours = torch.tensor([[200.0, 100.0, 50.0], [10.0, 20.0, 30.0]]).view(2, 3, 1, 1).expand(2, 3, 299, 299)
    plain = [Image.new("RGB", (SIZE, SIZE), colour) for colour in ((200, 100, 50), (10, 20, 30))]
    wanted = model.forward_head(model.forward_features(pixels(plain)), pre_logits=True)
    assert np.allclose(classifier.clean_fid_features(colours), wanted, atol=1e-4)


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
