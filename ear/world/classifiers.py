"""Trains the judges of the mini world on its drawn pictures: a timm classifier and an open_clip model."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pandas as pd
import timm
import torch
from open_clip.loss import ClipLoss
from PIL import Image
from safetensors.torch import save_file
from timm.models import save_for_hf
from torch import nn
from torch.nn import functional

from ear.judges.classifier import Classifier
from ear.judges.clip import Clip
from ear.workflow.files import atomic_path, write_json
from ear.workflow.progress import progress
from ear.workflow.seeding import stable_seed
from ear.world.backbone import build_clip_tokenizer
from ear.world.dataset import load_training_set
from ear.world.drawing import SIZE
from ear.world.scenes import FIRES, GROUPS, OBJECTS, STYLES, Scene, draw
from ear.world.sentences import caption, frames_of, scene_of
from ear.world.vq import loss_curve

LABELS = tuple(f"{group}:{label}" for group, labels in GROUPS.items() for label in labels)

# 0.28 M parameters, 96 features: narrow enough that a few hundred images give FID a covariance of full rank.
CLASSIFIER: dict[str, Any] = {"model_name": "resnet10t", "channels": (32, 48, 64, 96), "stem_width": 16}
CLIP_MODEL: dict[str, Any] = {
    "embed_dim": 64,
    "vision_cfg": {
        "image_size": SIZE,
        "timm_model_name": "test_resnet",
        "timm_model_pretrained": False,
        "timm_pool": "avg",
        "timm_proj": "linear",
    },
    # hf_tokenizer_name: any name makes open_clip read the tokenizer from the model's own folder.
    "text_cfg": {"context_length": 40, "hf_tokenizer_name": "own", "width": 64, "heads": 2, "layers": 2},
}
MEAN, STD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
MAX_LOGIT_SCALE = float(np.log(100))  # as in CLIP

# Augmentation imitates what a VQ tokenizer does to a picture: it loses detail, shifts colours and adds grain.
# In units of the pixel range, where not said.
BLUR_SIZES = (64, 32, 24, 16, 12)  # pixels kept of 64
SHIFT_PIXELS = 3
CONTRAST, TINT, NOISE = 0.15, 0.05, 0.06
HELD_OUT_IMAGES = 800
GALLERY = 100  # captions among which a picture finds its own

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Of augmented images (B, 3, 64, 64) and their rows (B,) in the training set."""


def train_judge(
    name: str,
    world_folder: str | Path,
    out_folder: str | Path,
    *,
    steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    held_out_images: int = HELD_OUT_IMAGES,
) -> pd.DataFrame:
    """Train a judge and save it whole or not at all; the same arguments and thread count give the same bytes.

    The classifier of object, style and fire is a timm folder, with its accuracy in each group on pictures of
    held-out frames in metrics.json. The CLIP model is an open_clip folder, with its retrieval of captions for
    such pictures.

    Args:
        name: "classifier" or "clip".
        world_folder: what ``draw_training_set`` wrote.
        out_folder: where to write.
        steps: optimiser steps (AdamW, one-cycle learning rate).
        batch_size: images a step.
        learning_rate: peak of the cycle.
        seed: seed of initialisation, batches, augmentation and held-out pictures.
        held_out_images: number of held-out pictures, whole galleries of ``GALLERY``.

    Returns:
        The loss curve: step, stage, loss.
    """
    images, table = load_training_set(world_folder)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2)  # (N, 3, 64, 64) uint8
    torch.manual_seed(stable_seed("judges", name, "weights", seed))
    generator = torch.Generator().manual_seed(stable_seed("judges", name, "batches", seed))
    model, loss, save = {"classifier": _classifier, "clip": _clip}[name](table)
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), learning_rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, learning_rate, total_steps=steps)
    losses = []
    for _ in progress(range(steps), desc=f"training the {name}", unit="step"):
        optimiser.zero_grad()
        batch = torch.randint(len(pixels), (batch_size,), generator=generator)
        value = loss(_augmented(pixels[batch], generator), batch)
        value.backward()
        optimiser.step()
        schedule.step()
        losses.append({name: value.item()})
    model.eval()
    measure = {"classifier": _classifier_quality, "clip": _clip_quality}[name]
    with atomic_path(out_folder) as folder:
        save(folder)
        write_json(folder / "metrics.json", measure(folder, *_held_out(held_out_images, seed)))
    return loss_curve(losses)


def _classifier(table: pd.DataFrame) -> tuple[nn.Module, Loss, Callable[[Path], None]]:
    """Untrained model, loss and how to save: one logit vector (``LABELS``), three cross-entropies."""
    style = np.select([table["van_gogh"], table["sepia"]], [1, 2], 0)
    columns = table["object"].map(OBJECTS.index), pd.Series(style), table["fire"]
    labels = torch.from_numpy(np.stack([one.to_numpy(dtype=np.int64) for one in columns], axis=1))  # (N, 3)
    config = {
        "input_size": (3, SIZE, SIZE),
        "crop_pct": 1.0,
        "interpolation": "bicubic",
        "mean": MEAN,
        "std": STD,
        "num_classes": len(LABELS),
        "label_names": list(LABELS),
        "first_conv": "conv1.0",  # names of resnet10t's first and last layer
        "classifier": "fc",
    }
    model = timm.create_model(**CLASSIFIER, num_classes=len(LABELS), pretrained_cfg=config)
    sizes = [len(names) for names in GROUPS.values()]

    def loss(images: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        logits = model(images).split(sizes, dim=1)  # (B, 8), (B, 3), (B, 2)
        losses = [functional.cross_entropy(part, labels[rows, i]) for i, part in enumerate(logits)]
        return torch.stack(losses).sum()

    return model, loss, partial(save_for_hf, model, safe_serialization=True)


def _clip(table: pd.DataFrame) -> tuple[nn.Module, Loss, Callable[[Path], None]]:
    """Untrained model, loss and how to save."""
    tokenizer = build_clip_tokenizer(CLIP_MODEL["text_cfg"]["context_length"])
    shape = CLIP_MODEL | {"text_cfg": CLIP_MODEL["text_cfg"] | {"vocab_size": len(tokenizer)}}
    model: Any = open_clip.CLIP(**shape)
    texts = tokenizer(table["caption"].tolist(), padding="max_length", truncation=True)
    tokens = torch.tensor(texts["input_ids"])  # (N, L)
    contrastive = ClipLoss()

    def loss(images: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            model.logit_scale.clamp_(0, MAX_LOGIT_SCALE)
        return contrastive(*model(images, tokens[rows]))

    def save(folder: Path) -> None:
        preprocess = {"size": SIZE, "mean": MEAN, "std": STD, "interpolation": "bicubic"}
        preprocess["resize_mode"] = "squash"
        folder.mkdir()
        save_file(model.state_dict(), folder / "open_clip_model.safetensors")
        tokenizer.save_pretrained(folder)
        write_json(folder / "open_clip_config.json", {"model_cfg": shape, "preprocess_cfg": preprocess})

    return model, loss, save


def _augmented(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Pictures (B, 3, 64, 64) uint8 → (B, 3, 64, 64) normalised: blurred, shifted, recoloured and noised."""
    x = images.float() / 255
    # Each picture by its own draw: batch normalisation must see sharp and blurred pictures together.
    choice = torch.randint(len(BLUR_SIZES), (len(x),), generator=generator)
    for i, size in enumerate(BLUR_SIZES):
        if size < SIZE and (choice == i).any():
            small = functional.interpolate(x[choice == i], size=size, mode="bilinear", antialias=True)
            x[choice == i] = functional.interpolate(small, size=SIZE, mode="bilinear")
    left, top = torch.randint(0, 2 * SHIFT_PIXELS + 1, (2,), generator=generator).tolist()
    x = functional.pad(x, (SHIFT_PIXELS,) * 4, mode="replicate")[:, :, top : top + SIZE, left : left + SIZE]
    contrast = 1 + CONTRAST * (2 * torch.rand((len(x), 3, 1, 1), generator=generator) - 1)
    tint = TINT * (2 * torch.rand((len(x), 3, 1, 1), generator=generator) - 1)
    strength = NOISE * torch.rand((len(x), 1, 1, 1), generator=generator)
    x = (x - 0.5) * contrast + 0.5 + tint + strength * torch.randn(x.shape, generator=generator)
    return (x - MEAN[0]) / STD[0]


def _held_out(count: int, seed: int) -> tuple[list[Scene], list[Image.Image], list[str]]:
    """Scenes of the evaluation frames, their pictures and captions: one in four on fire or painted."""
    rng = np.random.default_rng(stable_seed("judges", "held-out", seed))
    frames = frames_of("evaluation")
    scenes, images, captions = [], [], []
    for number in range(count):
        frame, (fire, van_gogh, toned) = frames[rng.integers(len(frames))], (rng.random(3) < 0.25).tolist()
        name, sepia = OBJECTS[number % len(OBJECTS)], toned and not van_gogh
        scenes.append(scene_of(frame, name, fire, van_gogh, sepia))
        images.append(draw(scenes[-1], rng))
        captions.append(caption(frame, name, fire, van_gogh, sepia=sepia))
    return scenes, images, captions


def _classifier_quality(
    folder: Path, scenes: list[Scene], images: list[Image.Image], captions: list[str]
) -> dict[str, Any]:
    """Accuracy in each group."""
    prediction = Classifier.load(folder).predict(images)
    truth = {
        "object": [scene.object for scene in scenes],
        "style": [STYLES[1 if scene.van_gogh else 2 if scene.sepia else 0] for scene in scenes],
        "fire": [FIRES[scene.fire] for scene in scenes],
    }
    right = {group: np.array(prediction.top1(group)) == np.array(truth[group]) for group in GROUPS}
    return {"held_out_images": len(scenes)} | {group: float(np.mean(right[group])) for group in GROUPS}


def _clip_quality(
    folder: Path, scenes: list[Scene], images: list[Image.Image], captions: list[str]
) -> dict[str, Any]:
    """Retrieval of a picture's own caption among 100, and cosines of captions that match and that do not."""
    clip = Clip.load(folder)
    said, seen = clip.encode_texts(captions), clip.encode_images(images)  # (N, D)
    galleries = said.reshape(-1, GALLERY, said.shape[1])  # (N / 100, 100, D)
    cosines = seen.reshape(galleries.shape) @ galleries.transpose(0, 2, 1)  # (N / 100, 100, 100)
    return {
        "held_out_images": len(scenes),
        "gallery": GALLERY,
        "retrieval_at_1": float((cosines.argmax(axis=2) == np.arange(GALLERY)).mean()),
        "matched_cosine": float((seen * said).sum(axis=1).mean()),
        "mismatched_cosine": float(cosines[:, ~np.eye(GALLERY, dtype=bool)].mean()),
    }
