"""Small random judges in the formats of the real ones."""

import json
from pathlib import Path

import open_clip
import timm
import torch
from safetensors.torch import save_file
from timm.models import save_for_hf

LABELS = ["object:church", "object:car", "object:tree", "style:plain", "style:van-gogh"]
MEAN, STD, SIZE = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3), 32


def small_classifier(folder: Path) -> Path:
    """A timm folder: a ResNet with ``LABELS``, 16 features, 32 pixels."""
    torch.manual_seed(0)
    config = {"input_size": (3, SIZE, SIZE), "crop_pct": 1.0, "mean": MEAN, "std": STD}
    config |= {"interpolation": "bilinear", "first_conv": "conv1.0", "classifier": "fc"}
    config |= {"num_classes": len(LABELS), "label_names": LABELS}
    shape = {"num_classes": len(LABELS), "channels": (8, 8, 8, 16), "stem_width": 8}
    model = timm.create_model("resnet10t", pretrained_cfg=config, **shape)
    torch.nn.init.normal_(model.fc.weight, std=3)
    save_for_hf(model, folder, safe_serialization=True)
    return folder


def small_clip(folder: Path) -> Path:
    """An open_clip folder: a CLIP of 16 dimensions, 32 pixels."""
    torch.manual_seed(1)
    shape = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": SIZE, "layers": 1, "width": 16, "head_width": 8, "patch_size": 16},
        "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    }
    config = {"model_cfg": shape, "preprocess_cfg": {"size": SIZE, "mean": MEAN, "std": STD}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    save_file(open_clip.CLIP(**shape).state_dict(), folder / "open_clip_model.safetensors")
    return folder
