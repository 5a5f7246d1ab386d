import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor, ViTModel

from ear.errors import InputError
from ear.judges.artist import ArtistClassifier
from ear.judges.loading import load_judge

LABELS = ["claude-monet", "pablo-picasso", "salvador-dali", "vincent-van-gogh"]
SHAPE = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 32,
    "patch_size": 8,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small random checkpoint with the files of the real one."""
    torch.manual_seed(0)
    config = ViTConfig(**SHAPE, num_labels=4, id2label=dict(enumerate(LABELS)))
    model = ViTForImageClassification(config)
    for weight in model.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.5)
    folder = tmp_path_factory.mktemp("artist")
    model.save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (5, 3))
    noise = rng.integers(-60, 61, (5, 60, 44, 3))
    return [
        Image.fromarray((colour + grain).clip(0, 255).astype(np.uint8))
        for colour, grain in zip(colours, noise, strict=True)
    ]


@torch.no_grad()
def test_the_artist_judge_is_the_plain_model(folder, images):
    model = ViTForImageClassification.from_pretrained(folder).eval()
    small = [np.asarray(image.resize((32, 32), Image.Resampling.BILINEAR)) for image in images]
    pixels = torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2) / 127.5 - 1
    chances = model(pixels).logits.softmax(1).numpy()
    judge = load_judge({"by": "artist", "label": "vincent-van-gogh", "top_k": 2}, folder)
    verdicts = judge.judge(images)
    assert np.allclose(verdicts.score, chances[:, 3], atol=1e-5)
    ranks = [1 + np.argsort(-row).tolist().index(3) for row in chances]
    assert verdicts.rank.tolist() == ranks and verdicts.shown.tolist() == [rank <= 2 for rank in ranks]
    assert len(set(ranks)) > 1
    assert verdicts.objects is None and verdicts.detections is None
    assert judge.protocol == "artist-top2/1"
    another = {"by": "artist", "asset": "nsfw-classifier", "label": "claude-monet", "top_k": 1}
    assert load_judge(another, folder).protocol == "nsfw-classifier-top1/1"
    assert judge.judge([]).shown.shape == (0,)


def test_older_checkpoints_are_pickled_and_know_an_extractor_of_features(folder, tmp_path, images):
    torch.save(load_file(folder / "model.safetensors"), tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    older = {"feature_extractor_type": "ViTFeatureExtractor", "do_normalize": True, "do_resize": True}
    older |= {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 2, "size": 32}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(older))
    old, new = (ArtistClassifier.load(path).predict(images) for path in (tmp_path, folder))
    assert np.array_equal(old.logits, new.logits)
    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps(older | {"image_processor_type": older.pop("feature_extractor_type")})
    )
    assert np.array_equal(ArtistClassifier.load(tmp_path).predict(images).logits, new.logits)


def test_folders_without_an_artist_classifier_are_refused(folder, tmp_path, images):
    settings = {"by": "artist", "label": "vermeer", "top_k": 1}
    with pytest.raises(
        InputError, match="artist: group '': found label 'vermeer', wanted one of claude-monet"
    ):
        load_judge(settings, folder).judge(images)
    ViTModel(ViTConfig(**SHAPE)).save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_bytes((folder / "preprocessor_config.json").read_bytes())
    with pytest.raises(InputError, match=r"found no weights classifier\.bias"):
        ArtistClassifier.load(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = dict.fromkeys(config["id2label"], "same")
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    with pytest.raises(InputError, match="id2label: found 1 different labels, wanted 4"):
        ArtistClassifier.load(tmp_path)
