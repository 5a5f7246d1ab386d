"""Trains the judges of the mini world on its drawn pictures: a timm classifier and an open_clip model."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

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

from ear.errors import InputError
from ear.judges.classifier import Classifier
from ear.judges.clip import Clip
from ear.workflow.files import atomic_path, write_json
from ear.workflow.progress import progress
from ear.workflow.seeding import stable_seed
from ear.world.backbone import build_clip_tokenizer
from ear.world.dataset import load_training_set
from ear.world.drawing import SIZE
from ear.world.scenes import FIRES, GROUPS, OBJECTS, STYLES, draw
from ear.world.sentences import caption, frames_of, scene_of
from ear.world.vq import LossCurve

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
    "text_cfg": {
        "context_length": 40,
        "hf_tokenizer_name": "own",
        "width": 64,
        "heads": 2,
        "layers": 2,
    },
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


@dataclass(frozen=True)
class _World:
    images: torch.Tensor  # (N, 3, 64, 64) uint8
    captions: pd.DataFrame

    def labels(self) -> torch.Tensor:
        """(N, 3) int64 columns of object, style and fire within their groups."""
        table = self.captions
        style = np.select([table["van_gogh"], table["sepia"]], [1, 2], 0)
        names = table["object"].map(OBJECTS.index), pd.Series(style), table["fire"]
        return torch.from_numpy(np.stack([column.to_numpy(dtype=np.int64) for column in names], axis=1))


class _Drawing(NamedTuple):
    """A held-out picture, its caption, and its label in each group."""

    image: Image.Image
    caption: str
    labels: dict[str, str]


def train_classifier(
    world_folder: str | Path,
    out_folder: str | Path,
    steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    held_out_images: int = HELD_OUT_IMAGES,
) -> pd.DataFrame:
    """Train the classifier of object, style and fire and save it as a timm folder.

    One logit vector of 8 + 3 + 2 classes (``LABELS``), three cross-entropies. The same arguments and thread
    count give the same bytes.

    Args:
        world_folder: holds images.npy (N, 64, 64, 3) uint8 and captions.csv.
        out_folder: written whole or not at all: config.json, model.safetensors, and metrics.json with the
            accuracy in each group on pictures of held-out frames.
        steps: optimiser steps (AdamW, one-cycle learning rate).
        batch_size: images a step.
        learning_rate: peak of the cycle.
        seed: seed of initialisation, batches, augmentation and held-out pictures.
        held_out_images: number of held-out pictures.

    Returns:
        The loss curve: step, stage, loss.

    Raises:
        InputError: the world lacks a file or a column, or its parts differ in length.
    """
    world = _load_world(world_folder)
    labels = world.labels()
    generator = _seeded("classifier", seed)
    config = {
        "input_size": (3, SIZE, SIZE),
        "crop_pct": 1.0,
        "interpolation": "bicubic",
        "mean": MEAN,
        "std": STD,
    }
    config |= {"num_classes": len(LABELS), "label_names": list(LABELS)}
    config |= {"first_conv": "conv1.0", "classifier": "fc"}  # names of resnet10t's first and last layer
    model = timm.create_model(**CLASSIFIER, num_classes=len(LABELS), pretrained_cfg=config)
    sizes = [len(names) for names in GROUPS.values()]

    def loss(batch: torch.Tensor) -> torch.Tensor:
        # (B, 8), (B, 3), (B, 2)
        logits = model(_augmented(world.images[batch], generator)).split(sizes, dim=1)
        losses = [functional.cross_entropy(part, labels[batch, i]) for i, part in enumerate(logits)]
        return torch.stack(losses).sum()

    curve = _fit(model, loss, len(labels), steps, batch_size, learning_rate, generator, "classifier")
    with atomic_path(out_folder) as partial:
        save_for_hf(model, partial, safe_serialization=True)
        drawings = _held_out(held_out_images, seed)
        write_json(partial / "metrics.json", _classifier_quality(Classifier.load(partial), drawings))
    return curve


def train_clip(
    world_folder: str | Path,
    out_folder: str | Path,
    steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    held_out_images: int = HELD_OUT_IMAGES,
) -> pd.DataFrame:
    """Train the CLIP model on pictures and their captions and save it as an open_clip folder.

    The same arguments and thread count give the same bytes.

    Args:
        world_folder: holds images.npy (N, 64, 64, 3) uint8 and captions.csv.
        out_folder: written whole or not at all: open_clip_config.json, open_clip_model.safetensors, and
            metrics.json with the retrieval of captions for pictures of held-out frames.
        steps: optimiser steps (AdamW, one-cycle learning rate).
        batch_size: image–caption pairs a step.
        learning_rate: peak of the cycle.
        seed: seed of initialisation, batches, augmentation and held-out pictures.
        held_out_images: number of held-out pictures, rounded down to whole galleries of ``GALLERY``.

    Returns:
        The loss curve: step, stage, loss.

    Raises:
        InputError: the world lacks a file or a column, its parts differ in length, or there are fewer
            held-out images than a gallery.
    """
    if held_out_images < GALLERY:
        raise InputError(f"CLIP: found {held_out_images} held-out images, wanted at least {GALLERY}")
    world = _load_world(world_folder)
    generator = _seeded("clip", seed)
    tokenizer = build_clip_tokenizer(CLIP_MODEL["text_cfg"]["context_length"])
    shape = CLIP_MODEL | {"text_cfg": CLIP_MODEL["text_cfg"] | {"vocab_size": len(tokenizer)}}
    model: Any = open_clip.CLIP(**shape)
    tokens = torch.tensor(
        tokenizer(world.captions["caption"].tolist(), padding="max_length", truncation=True)["input_ids"]
    )  # (N, L)
    contrastive = ClipLoss()

    def loss(batch: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            model.logit_scale.clamp_(0, MAX_LOGIT_SCALE)
        return contrastive(*model(_augmented(world.images[batch], generator), tokens[batch]))

    curve = _fit(model, loss, len(tokens), steps, batch_size, learning_rate, generator, "clip")
    preprocess = {"size": SIZE, "mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": "squash"}
    with atomic_path(out_folder) as partial:
        partial.mkdir()
        save_file(model.state_dict(), partial / "open_clip_model.safetensors")
        tokenizer.save_pretrained(partial)
        write_json(partial / "open_clip_config.json", {"model_cfg": shape, "preprocess_cfg": preprocess})
        drawings = _held_out(held_out_images // GALLERY * GALLERY, seed)
        write_json(partial / "metrics.json", _clip_quality(Clip.load(partial), drawings))
    return curve


def _load_world(folder: str | Path) -> _World:
    images, captions = load_training_set(folder)
    return _World(torch.from_numpy(images).permute(0, 3, 1, 2), captions)


def _seeded(name: str, seed: int) -> torch.Generator:
    """Seed torch for the initialisation, and a generator of its own for batches and augmentation."""
    torch.manual_seed(stable_seed("judges", name, "weights", seed))
    return torch.Generator().manual_seed(stable_seed("judges", name, "batches", seed))


def _augmented(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Pictures (B, 3, 64, 64) uint8 → (B, 3, 64, 64) normalised: blurred, shifted, recoloured and noised."""
    x = images.float() / 255
    # Each picture by its own draw: batch normalisation must see sharp and blurred pictures together.
    choice = torch.randint(len(BLUR_SIZES), (len(x),), generator=generator)
    for i, size in enumerate(BLUR_SIZES):
        if size < SIZE and (choice == i).any():
            x[choice == i] = _blurred(x[choice == i], size)
    left, top = torch.randint(0, 2 * SHIFT_PIXELS + 1, (2,), generator=generator).tolist()
    x = functional.pad(x, (SHIFT_PIXELS,) * 4, mode="replicate")[:, :, top : top + SIZE, left : left + SIZE]
    contrast = 1 + CONTRAST * (2 * torch.rand((len(x), 3, 1, 1), generator=generator) - 1)
    tint = TINT * (2 * torch.rand((len(x), 3, 1, 1), generator=generator) - 1)
    strength = NOISE * torch.rand((len(x), 1, 1, 1), generator=generator)
    x = (x - 0.5) * contrast + 0.5 + tint + strength * torch.randn(x.shape, generator=generator)
    return (x - MEAN[0]) / STD[0]


def _blurred(x: torch.Tensor, size: int) -> torch.Tensor:
    small = functional.interpolate(x, size=size, mode="bilinear", antialias=True, align_corners=False)
    return functional.interpolate(small, size=SIZE, mode="bilinear", align_corners=False)


def _fit(
    model: nn.Module,
    loss: Callable[[torch.Tensor], torch.Tensor],
    examples: int,
    steps: int,
    batch_size: int,
    learning_rate: float,
    generator: torch.Generator,
    stage: str,
) -> pd.DataFrame:
    """Minimise ``loss(indices of a batch)`` and leave the model in evaluation mode; gives the loss curve."""
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), learning_rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, learning_rate, total_steps=steps)
    curve = LossCurve(steps)
    for step in progress(range(steps), desc=f"training the {stage}", unit="step"):
        optimiser.zero_grad()
        value = loss(torch.randint(examples, (batch_size,), generator=generator))
        value.backward()
        optimiser.step()
        schedule.step()
        curve.add(step, {stage: value.item()})
    model.eval()
    return curve.table()


def _held_out(count: int, seed: int) -> list[_Drawing]:
    """Pictures of the evaluation frames: objects in turn, one in four on fire or painted, some toned."""
    rng = np.random.default_rng(stable_seed("judges", "held-out", seed))
    frames = frames_of("evaluation")
    drawings = []
    for number in range(count):
        frame, (fire, van_gogh, toned) = frames[rng.integers(len(frames))], (rng.random(3) < 0.25).tolist()
        sepia = toned and not van_gogh
        name = OBJECTS[number % len(OBJECTS)]
        style = STYLES[1] if van_gogh else STYLES[2] if sepia else STYLES[0]
        drawings.append(
            _Drawing(
                draw(scene_of(frame, name, fire, van_gogh, sepia), rng),
                caption(frame, name, fire, van_gogh, sepia=sepia),
                {"object": name, "style": style, "fire": FIRES[fire]},
            )
        )
    return drawings


def _classifier_quality(classifier: Classifier, drawings: list[_Drawing]) -> dict[str, Any]:
    """Accuracy in each group."""
    prediction = classifier.predict([drawing.image for drawing in drawings])
    quality: dict[str, Any] = {"held_out_images": len(drawings)}
    for group in GROUPS:
        truth = [drawing.labels[group] for drawing in drawings]
        quality[group] = float(np.mean(np.array(prediction.top1(group)) == np.array(truth)))
    return quality


def _clip_quality(clip: Clip, drawings: list[_Drawing]) -> dict[str, Any]:
    """Retrieval of a picture's own caption among 100, and cosines of captions that match and that do not."""
    said = clip.encode_texts([drawing.caption for drawing in drawings])  # (N, D)
    seen = clip.encode_images([drawing.image for drawing in drawings])  # (N, D)
    galleries = said.reshape(-1, GALLERY, said.shape[1])  # (N / 100, 100, D)
    cosines = seen.reshape(galleries.shape) @ galleries.transpose(0, 2, 1)  # (N / 100, 100, 100)
    return {
        "held_out_images": len(drawings),
        "gallery": GALLERY,
        "retrieval_at_1": float((cosines.argmax(axis=2) == np.arange(GALLERY)).mean()),
        "matched_cosine": float((seen * said).sum(axis=1).mean()),
        "mismatched_cosine": float(cosines[:, ~np.eye(GALLERY, dtype=bool)].mean()),
    }
