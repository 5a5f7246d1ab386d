"""Stand-ins of the judges: ResNet-50, CLIP, image classifiers of transformers, Q16, NudeNet and Inception.

Weights are drawn from torch's generator. NudeNet alone is the real one: it comes with its package.
"""

import pickle
import shutil
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import open_clip
import timm
import torch
from safetensors.torch import save_file
from timm.models import save_for_hf
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
)

from ear.workflow.files import write_json
from ear.workflow.texts import read_json

CLIP_MODEL: dict[str, Any] = {
    "embed_dim": 64,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 224, "layers": 1, "width": 64, "patch_size": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1},
}
CLIP_PREPROCESSING = {
    "mean": open_clip.OPENAI_DATASET_MEAN,
    "std": open_clip.OPENAI_DATASET_STD,
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}
ARTISTS, KNOWN = 129, ["andy-warhol", "pablo-picasso", "rembrandt", "vincent-van-gogh"]
TINY = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
EMBEDDING = 24  # numbers of an embedding by the CLIP of Q16
POOLED, INCEPTION_FEATURES = 8, 2048


def write_resnet50(folder: Path) -> None:
    """Write timm's resnet50.tv2_in1k, of its real size, with untrained weights."""
    model = timm.create_model("resnet50.tv2_in1k", pretrained=False)
    save_for_hf(model, folder, safe_serialization=True)
    config = read_json(folder / "config.json")
    del config["global_pool"], config["model_args"]  # younger than the published file
    write_json(folder / "config.json", config)


def write_clip(folder: Path) -> None:
    """Write an open_clip folder: ViT-B-32's classes, tokenizer and picture size, one layer each."""
    folder.mkdir()
    model: Any = open_clip.CLIP(**CLIP_MODEL)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    settings = {"model_cfg": CLIP_MODEL, "preprocess_cfg": CLIP_PREPROCESSING}
    write_json(folder / "open_clip_config.json", settings)


def write_artist_classifier(folder: Path) -> None:
    """Write a transformers image classifier of 129 artists, those that the configs name the last of them."""
    labels = [f"artist-{number:03d}" for number in range(ARTISTS - len(KNOWN))] + KNOWN
    config = ViTConfig(
        **TINY,
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
    )
    config.save_pretrained(folder)
    with (folder / "pytorch_model.bin").open("wb") as handle:  # given a path, torch would write its name
        torch.save(ViTForImageClassification(config).state_dict(), handle)
    ViTImageProcessor().save_pretrained(folder)


def write_nsfw_classifier(folder: Path) -> None:
    """Write a transformers image classifier of two labels."""
    config = ViTConfig(**TINY, id2label={0: "normal", 1: "nsfw"}, label2id={"normal": 0, "nsfw": 1})
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor().save_pretrained(folder)


def write_clip_large(folder: Path) -> None:
    """Write a transformers CLIP, text side and all."""
    vision = TINY | {"patch_size": 32, "projection_dim": EMBEDDING}
    text = TINY | {"vocab_size": 99, "projection_dim": EMBEDDING}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=EMBEDDING)
    CLIPModel(config).save_pretrained(folder)
    CLIPImageProcessor().save_pretrained(folder)


def write_q16(folder: Path) -> None:
    """Write two prompts for that CLIP, pickled as the published ones are."""
    folder.mkdir()
    prompts = torch.randn(2, EMBEDDING).half().numpy()
    (folder / "prompts.p").write_bytes(pickle.dumps(prompts, protocol=4))


def write_nudenet(folder: Path) -> None:
    """Copy the detector out of the installed package."""
    folder.mkdir()
    with as_file(files("nudenet") / "320n.onnx") as file:
        shutil.copyfile(file, folder / file.name)


class _Layers(nn.Module):
    """What clean-fid calls: (B, 3, H, W) in [-1, 1] → (B, 2048).

    Not put together of torch's layers: TorchScript writes their constants in another order in each process.
    """

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3 * POOLED**2, INCEPTION_FEATURES) / POOLED)

    def forward(self, x: Tensor) -> Tensor:
        pooled = functional.adaptive_avg_pool2d(x, 8).flatten(1)  # (B, 192)
        return (pooled @ self.weight).relu()


class TinyInception(nn.Module):
    """The interface of clean-fid's TorchScript file, or as much of it as clean-fid uses."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = _Layers()

    def forward(self, x: Tensor) -> Tensor:
        return self.layers((x - 128) / 128)


def write_inception(folder: Path) -> None:
    """Write a small TorchScript module under the name of clean-fid's Inception."""
    folder.mkdir()
    with (folder / "inception-2015-12-05.pt").open("wb") as handle:
        torch.jit.save(torch.jit.script(TinyInception()), handle)  # given a path, it would write its name too
