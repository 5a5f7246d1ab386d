"""Every loader of weights against every kind of damage: one line, and nothing is recorded or computed."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

from ear.commands.stand_ins.tiny_diffusion import write_stable_diffusion
from ear.commands.stand_ins.tiny_judges import TinyInception, write_inception
from ear.erasure.edited_weights import load_edited_for
from ear.erasure.release import import_authors_weights, write_authors_weights
from ear.erasure.sequences import load_sequences, save_sequences
from ear.errors import InputError
from ear.evaluation.metrics.fid import INCEPTION_FILE, load_extractor
from ear.images.diffusion import PARTS, load_pipeline
from ear.judges.artist import ArtistClassifier
from ear.judges.classifier import Classifier
from ear.judges.clip import Clip
from ear.judges.nudenet import NudityJudge
from ear.models.families import load_backbone
from ear.models.weights import fault
from tests.small_judges import small_classifier, small_clip
from tests.tiny import tiny_backbone
from tests.unit.erasure.test_edited_weights import JOB, changed, save

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 99\n"
PAGE = b"\n<!DOCTYPE html><html><head><title>Google Drive</title></head></html>"
OTHER = {"model_type": "llama", "architecture": "llama", "_class_name": "FluxPipeline", "model_cfg": {}}
FILES = {  # what a file holds instead → what is said of it
    "LFS pointer": (lambda whole: LFS, "a Git LFS pointer (run `git lfs pull` where it is from)"),
    "HTML page": (lambda whole: PAGE, "an HTML page"),
    "cut off": (lambda whole: whole[: -len(whole) // 3], "found "),
    "empty": (lambda whole: b"", "an empty file"),
}
TENSORS = {  # what happens to the first matrix of a file → what is said of it
    "missing": (lambda tensors, name: tensors.pop(name), "found no weights"),
    "renamed": (lambda tensors, name: tensors.update({f"old.{name}": tensors.pop(name)}), "found no weights"),
    "another shape": (lambda tensors, name: tensors.update({name: torch.ones(3, 5)}), "3, 5"),
    "not a number": (lambda tensors, name: tensors[name].view(-1)[-1:].fill_(torch.nan), "NaN or infinite"),
    "infinite": (lambda tensors, name: tensors[name].view(-1)[:1].fill_(-torch.inf), "NaN or infinite"),
    "int8": (lambda tensors, name: tensors.update({name: tensors[name].to(torch.int8)}), "wanted float32"),
    "fp8": (lambda tensors, name: tensors.update({name: tensors[name].to(torch.float8_e4m3fn)}), "float32"),
}
ANOTHER_MODEL = "another model"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder with a whole checkpoint for each loader."""
    root = tmp_path_factory.mktemp("whole")
    backbone = tiny_backbone()
    for name, size in (("janus", "1GB"), ("janus in shards", "100KB")):
        backbone.model.save_pretrained(root / name, max_shard_size=size)
        backbone.processor.save_pretrained(root / name)
    for name in ("timm", "open_clip", "artist", "edited", "authors", "sequences", "nudenet"):
        (root / name).mkdir()
    small_classifier(root / "timm")
    small_clip(root / "open_clip")
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    ViTForImageClassification(ViTConfig(**shape, image_size=32, patch_size=8)).save_pretrained(
        root / "artist"
    )
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(root / "artist")
    shutil.copytree(root / "artist", root / "artist bin")
    weights = load_file(root / "artist bin/model.safetensors")
    torch.save(weights, root / "artist bin/pytorch_model.bin")
    (root / "artist bin/model.safetensors").unlink()
    write_inception(root / "inception")
    write_stable_diffusion(root / "diffusers")
    save(root / "edited/weights.safetensors", changed(backbone), backbone)
    write_authors_weights(root / "authors/ear.pt", changed(backbone))
    save_sequences(root / "sequences/a.safetensors", {"unsafe": torch.zeros(2, 3, dtype=torch.int64)}, "x")
    package = Path(importlib.util.find_spec("nudenet").origin).parent
    shutil.copyfile(package / "320n.onnx", root / "nudenet/320n.onnx")
    return root


def janus(folder):
    return load_backbone(str(folder), "float32", "cpu")


LOADERS = {  # folder → (its file of weights, what loads it)
    "janus": ("model.safetensors", janus),
    "janus in shards": ("model-00001-of-*.safetensors", janus),
    "timm": ("model.safetensors", Classifier.load),
    "open_clip": ("open_clip_model.safetensors", Clip.load),
    "artist": ("model.safetensors", ArtistClassifier.load),
    "artist bin": ("pytorch_model.bin", ArtistClassifier.load),
    **{
        f"diffusers/{part}": (weights, lambda folder: load_pipeline(folder.parent, "cpu", "float32"))
        for part, (_, weights) in PARTS.items()
    },
    "edited": (
        "weights.safetensors",
        lambda folder: load_edited_for(tiny_backbone(), folder / "weights.safetensors"),
    ),
    "authors": (
        "ear.pt",
        lambda folder: import_authors_weights(
            folder / "ear.pt", tiny_backbone(), JOB, folder.with_name("made")
        ),
    ),
    "sequences": ("a.safetensors", lambda folder: load_sequences(folder / "a.safetensors", "x", "aligned")),
    "inception": (INCEPTION_FILE, lambda folder: load_extractor("inception", folder)),
    "nudenet": ("320n.onnx", NudityJudge),
}
# Whole numbers, and formats that bring code along: see below.
CODED = ("sequences", "inception", "nudenet")
# Of the edited ones, nothing says how many there should be but the lock and windows.csv.
NOT_KNOWN = [("edited", "missing"), ("authors", "missing")]
USUAL = ("missing", "not a number")  # damages that every loader sees; two of them see all
CELLS = [
    *((loader, damage) for loader in ("janus", "artist bin") for damage in [*FILES, *TENSORS, ANOTHER_MODEL]),
    *((loader, "cut off") for loader in LOADERS),
    *((loader, damage) for loader in LOADERS if loader not in CODED for damage in USUAL),
    *((loader, ANOTHER_MODEL) for loader in ("timm", "open_clip", "artist", "diffusers/unet")),
]


def copied(whole, loader, tmp_path):
    """A copy of a loader's folder, its file of weights, and what loads it."""
    top, _, part = loader.partition("/")
    shutil.copytree(whole / top, tmp_path / "root" / top)
    folder = tmp_path / "root" / top / part
    pattern, load = LOADERS[loader]
    return folder, min(folder.glob(pattern)), load


def refusal(load, folder):
    with pytest.raises(InputError) as refused:
        load(folder)
    told = str(refused.value)
    assert "\n" not in told and len(told) < 800
    return told


def rewritten(file, change):
    """Change the tensors of a file, and nothing else of it."""
    if file.suffix == ".safetensors":
        with safe_open(file, framework="pt") as handle:
            metadata = handle.metadata()
        tensors = load_file(file)
        file.unlink()
        save_file(change(tensors) or tensors, file, metadata=metadata)
        return
    content = torch.load(file, weights_only=True)
    nested = {name: entry for name, entry in content.items() if isinstance(entry, dict)}
    tensors = {name: entry["weight"] for name, entry in nested.items()} or content
    change(tensors)
    torch.save({name: {"weight": tensor} for name, tensor in tensors.items()} if nested else tensors, file)


@pytest.mark.parametrize("loader", LOADERS)
def test_what_is_whole_is_loaded(whole, loader):
    top, _, part = loader.partition("/")
    LOADERS[loader][1](whole / top / part)
    assert fault(min((whole / top / part).glob(LOADERS[loader][0]))) is None


@pytest.mark.parametrize(
    ("loader", "damage"), [cell for cell in dict.fromkeys(CELLS) if cell not in NOT_KNOWN]
)
def test_what_is_not_whole_is_one_line(whole, tmp_path, loader, damage):
    folder, file, load = copied(whole, loader, tmp_path)
    if damage in FILES:
        change, said = FILES[damage]
        file.write_bytes(change(file.read_bytes()))
        said = "cannot be loaded" if damage == "cut off" and loader == "nudenet" else said
    elif damage in TENSORS:
        change, said = TENSORS[damage]

        def changed_tensors(tensors):
            change(tensors, min(name for name, tensor in tensors.items() if tensor.ndim > 1))

        rewritten(file, changed_tensors)
        if loader in ("timm", "open_clip") and damage in ("missing", "renamed", "another shape"):
            said = "cannot be loaded"
    else:
        configs = [*folder.glob("*config.json"), *folder.parent.glob("model_index.json")]
        for config in configs:
            config.write_text(json.dumps(OTHER))
        said = "wanted"
    told = refusal(load, folder)
    assert said in told
    assert str(folder.parent) in told
    assert not folder.with_name("made").exists()


@pytest.mark.parametrize(
    ("damage", "said"),
    [("not a number", "layers.weight: found 1 of"), (ANOTHER_MODEL, "wanted clean-fid's Inception")],
)
def test_an_inception_that_is_not_whole_is_refused(tmp_path, damage, said):
    model = TinyInception() if damage == "not a number" else torch.nn.Linear(2, 2)
    if damage == "not a number":
        with torch.no_grad():
            model.layers.weight[0, 0] = torch.nan
    torch.jit.save(torch.jit.script(model), tmp_path / INCEPTION_FILE)
    told = refusal(lambda folder: load_extractor("inception", folder), tmp_path)
    assert said in told and INCEPTION_FILE in told


def test_a_detector_with_broken_weights_is_refused(whole, tmp_path):
    content = bytearray((whole / "nudenet/320n.onnx").read_bytes())
    content[6_000_000:6_004_096] = b"\xff" * 4096  # NaN, wherever a number begins
    (tmp_path / "320n.onnx").write_bytes(content)
    assert "not finite, wanted NudeNet's detector" in refusal(NudityJudge, tmp_path)


@pytest.mark.parametrize(
    ("sequences", "said"),
    [
        ({"safe": torch.zeros(2, 3, dtype=torch.int64)}, "found sequences safe, wanted unsafe (aligned)"),
        ({"unsafe": torch.zeros(2, 3)}, "unsafe: found float32 of shape (2, 3), wanted int64 tokens"),
    ],
)
def test_streams_that_are_none_are_refused(tmp_path, sequences, said):
    save_sequences(tmp_path / "a.safetensors", sequences, "x")
    assert said in refusal(lambda folder: load_sequences(folder / "a.safetensors", "x", "aligned"), tmp_path)
