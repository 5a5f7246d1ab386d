"""Q16 against its definition, computed by loops on a tiny CLIP; and what its prompts' pickle may hold."""

import os
import pickle
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPModel

from ear.commands.stand_ins.tiny_judges import EMBEDDING, write_clip_large, write_q16
from ear.errors import InputError
from ear.judges.loading import load_judge
from ear.judges.q16 import Q16Judge, read_prompts

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny CLIP, and two prompts for it."""
    folder = tmp_path_factory.mktemp("q16")
    torch.manual_seed(0)
    write_clip_large(folder / "clip")
    write_q16(folder / "q16")
    return folder


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (6, 1, 1, 3))
    noise = rng.integers(-90, 91, (6, 30, 46, 3))
    return [Image.fromarray(one.clip(0, 255).astype(np.uint8)).convert("RGB") for one in colours + noise]


def seen(image):
    """What CLIP is given of an image: its middle, 224 pixels a side, normalised."""
    width, height = (round(224 * side / min(image.size)) for side in image.size)
    large = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC), np.float32)
    top, left = (height - 224) // 2, (width - 224) // 2
    return ((large[top : top + 224, left : left + 224] / 255 - MEAN) / STD).transpose(2, 0, 1)


@torch.no_grad()
def embedding(model, image):
    """CLIP's embedding of one image, of length 1."""
    pixels = torch.tensor(seen(image), dtype=torch.float32)[None]
    vector = model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)[0].double()
    return (vector / vector.norm()).numpy()


def test_an_image_is_inappropriate_where_the_unsafe_prompt_is_nearer(folder, images, tmp_path):
    model = CLIPModel.from_pretrained(folder / "clip").eval()
    vectors = [embedding(model, image) for image in images]
    middle, step = np.mean(vectors, axis=0), vectors[0] - vectors[1]
    step -= middle * (middle @ step) / (middle @ middle)
    step *= 0.01 / (step @ step)
    prompts = np.stack([middle - step, 3 * (middle + step)]).astype(np.float16)  # of any length
    (tmp_path / "prompts.p").write_bytes(pickle.dumps(prompts, 4))
    wanted = []
    for vector in vectors:
        cosines = [vector @ one / np.sqrt(one @ one) for one in prompts.astype(np.float64)]
        safe, unsafe = (np.exp(100 * cosine) for cosine in cosines)
        wanted.append(unsafe / (safe + unsafe))
    assert len({round(score) for score in wanted}) == 2 and np.median(np.abs(wanted)) > 1e-3
    judge = load_judge({"by": "q16"}, folder / "clip", "cpu", str(tmp_path / "asset.json"))
    verdicts = judge.judge(images)
    assert np.allclose(verdicts.score, wanted, atol=1e-4)
    assert verdicts.shown.tolist() == [score > judge.threshold for score in wanted]
    one_by_one = [float(judge.judge([image]).score[0]) for image in images]
    assert np.allclose(one_by_one, verdicts.score, atol=1e-5)
    assert verdicts.rank is None and judge.protocol == "q16-clip-vit-large-patch14/1"
    assert judge.judge([]).shown.shape == (0,) and judge.judge([]).score.dtype == np.float32


class Planted:
    """What runs a command when a plain unpickler reads it."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.mkdir, (str(self.file),)


def refusal(path, content):
    path.write_bytes(content)
    with pytest.raises(InputError) as refused:
        read_prompts(path, EMBEDDING)
    assert "\n" not in str(refused.value) and str(refused.value).startswith(f"{path}: ")
    return str(refused.value)


def test_a_planted_pickle_is_refused_in_one_line_and_does_nothing(tmp_path):
    path, planted = tmp_path / "prompts.p", tmp_path / "planted"
    for content in (Planted(planted), [np.zeros(2), Planted(planted)], np.array([Planted(planted)], object)):
        assert "it names posix.mkdir, which is no part of an array" in refusal(path, pickle.dumps(content, 4))
    assert not planted.exists()
    assert "numpy.memmap" in refusal(path, b"cnumpy\nmemmap\n(S'x'\ntR.")
    assert "cannot be loaded" in refusal(path, b"cnumpy\nndarray\n((I9999999999\ntS'f8'\ntR.")  # called
    assert "builtins.getattr" in refusal(path, b"\x80\x04\x8c\x08builtins\x8c\x07getattr\x93.")


def test_anything_but_two_finite_prompts_of_the_models_width_is_refused(folder, tmp_path):
    path, whole = tmp_path / "prompts.p", (folder / "q16/prompts.p").read_bytes()
    good = pickle.loads(whole)
    assert read_prompts(folder / "q16/prompts.p", EMBEDDING).tolist() == good.astype(float).tolist()
    for wrong, said in [
        (good[:1], "found float16 of shape (1, 24), wanted a float array of shape (2, 24)"),
        (good.T, "shape (24, 2)"),
        (good.astype(int), "found int64"),
        (np.where(good == good[1, 3], np.inf, good).astype(np.float16), "not finite"),
        (good * np.float16([[1], [0]]), "zeros alone"),
        ([[0.0] * EMBEDDING] * 2, "found list"),
    ]:
        assert said in refusal(path, pickle.dumps(wrong, 4))
    assert "cannot be loaded" in refusal(path, whole[:-20])
    assert "cannot be loaded" in refusal(path, b"")
    with pytest.raises(InputError, match="not found, wanted Q16's two learned prompts"):
        Q16Judge(folder / "clip", tmp_path / "none.p")


def test_numpys_older_name_for_an_array_is_read_too(folder, tmp_path):
    """The published file was written by numpy 1."""
    good = read_prompts(folder / "q16/prompts.p", EMBEDDING)
    newer = pickle.dumps(good.astype(np.float16), 3)
    assert b"numpy._core.multiarray" in newer
    (tmp_path / "prompts.p").write_bytes(newer.replace(b"numpy._core", b"numpy.core"))
    assert np.array_equal(read_prompts(tmp_path / "prompts.p", EMBEDDING), good)


def test_a_clip_without_the_embedding_of_images_is_refused(folder, tmp_path):
    shutil.copytree(folder / "clip", tmp_path / "clip")
    weights = load_file(tmp_path / "clip/model.safetensors")
    for change, said in [
        (lambda: weights.pop("visual_projection.weight"), r"found no weights visual_projection\.weight"),
        (lambda: weights.update({"visual_projection.weight": torch.full((24, 32), torch.nan)}), "NaN"),
        (lambda: weights.update({"visual_projection.weight": torch.ones(9, 32)}), r"found shape \(9, 32\)"),
        (lambda: weights.update({"visual_projector.weight": torch.ones(9)}), "visual_projector"),
    ]:
        change()
        save_file(weights, tmp_path / "clip/model.safetensors", {"format": "pt"})
        with pytest.raises(InputError, match=said):
            Q16Judge(tmp_path / "clip", folder / "q16/prompts.p")
