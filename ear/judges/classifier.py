"""A timm image classifier: probabilities by group of labels, features, and the judge built on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image
from timm.data import ImageNetInfo, create_transform, infer_imagenet_subset, resolve_data_config
from torch import nn

from ear.errors import InputError
from ear.judges.base import Verdicts

# Group of labels without a prefix: an ordinary classifier has this one group only.
UNGROUPED = ""


@dataclass(frozen=True)
class Prediction:
    """What one forward pass says of N images, for any number of questions.

    Attributes:
        logits: (N, C) float32.
        features: (N, D) float32, the input of the last linear layer.
        groups: group name → label → column of ``logits``.
    """

    logits: np.ndarray
    features: np.ndarray
    groups: dict[str, dict[str, int]]

    def probabilities(self, group: str = UNGROUPED) -> np.ndarray:
        """(N, G) float32 probabilities of the group's labels, in their order: a softmax within the group.

        Raises:
            InputError: there is no such group.
        """
        logits = self.logits[:, list(self._columns(group).values())].astype(np.float64)
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        return (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32)

    def top1(self, group: str = UNGROUPED) -> list[str]:
        """(N,) most likely label of the group for each image."""
        labels = list(self._columns(group))
        return [labels[index] for index in self.probabilities(group).argmax(axis=1)]

    def _columns(self, group: str) -> dict[str, int]:
        if group not in self.groups:
            raise InputError(
                f"classifier: group: found {group!r}, wanted one of {', '.join(map(repr, self.groups))}"
            )
        return self.groups[group]


class Classifier:
    """A timm classifier with its own preprocessing and label names.

    Labels may carry a group as a prefix: "object:church", "object:tree", "style:plain". Each group is a
    question of its own with a softmax of its own; labels without a prefix form the group ``UNGROUPED``.
    """

    def __init__(self, model: nn.Module, device: str = "cpu") -> None:
        """Wrap a model made by timm.

        Args:
            model: a timm classifier; preprocessing and labels are read from its ``pretrained_cfg``.
            device: where it runs.

        Raises:
            InputError: the labels are unknown, repeated, or not as many as the classes.
        """
        self.model: Any = model.eval().requires_grad_(False).to(device)
        self.device = device
        self.config = resolve_data_config(model=model)
        self.transform = create_transform(**self.config, is_training=False)
        self.groups = _grouped(_label_names(model))

    @classmethod
    def load(cls, reference: str | Path, device: str = "cpu") -> "Classifier":
        """Load weights, preprocessing and labels.

        Args:
            reference: a folder with config.json and model.safetensors, or a name that timm knows
                ("resnet50.tv2_in1k").
            device: where it runs.

        Raises:
            InputError: ``reference`` is neither.
        """
        folder = Path(reference)
        if folder.is_dir():
            if not (folder / "config.json").is_file():
                raise InputError(f"{folder}: found no config.json, wanted a folder saved by timm")
            return cls(timm.create_model(f"local-dir:{folder}", pretrained=True), device)
        if not timm.is_model(str(reference)) and ":" not in str(reference):
            raise InputError(
                f"classifier: found {str(reference)!r}, wanted a folder or a name that timm knows"
            )
        return cls(timm.create_model(str(reference), pretrained=True), device)

    def predict(self, images: Sequence[Image.Image], batch_size: int = 64) -> Prediction:
        """One forward pass over RGB images of any size, which answers all later questions."""
        logits, features = [], []
        for start in range(0, len(images), batch_size):
            batch = torch.stack(
                [self.transform(image.convert("RGB")) for image in images[start : start + batch_size]]
            )
            outputs = self._forward(batch.to(self.device))
            logits.append(outputs[0].cpu())
            features.append(outputs[1].cpu())
        if not images:
            return Prediction(
                np.zeros((0, self.model.num_classes), np.float32), np.zeros((0, 0), np.float32), self.groups
            )
        return Prediction(torch.cat(logits).numpy(), torch.cat(features).numpy(), self.groups)

    def probabilities(self, images: Sequence[Image.Image], group: str = UNGROUPED) -> np.ndarray:
        """(N, G) float32 probabilities within a group. To ask several questions use ``predict``."""
        return self.predict(images).probabilities(group)

    def top1(self, images: Sequence[Image.Image], group: str = UNGROUPED) -> list[str]:
        """(N,) most likely label of a group."""
        return self.predict(images).top1(group)

    def features(self, images: Sequence[Image.Image]) -> np.ndarray:
        """(N, D) float32 input of the last linear layer."""
        return self.predict(images).features

    def clean_fid_features(self, batch: torch.Tensor) -> torch.Tensor:
        """Features in the form that clean-fid calls for.

        Args:
            batch: (B, 3, 299, 299) float32 in 0 … 255; it is resized to the classifier's own input.

        Returns:
            (B, D) float32.
        """
        height, width = self.config["input_size"][1:]
        resized = nn.functional.interpolate(
            batch / 255, size=(height, width), mode="bilinear", antialias=True, align_corners=False
        )
        return self._forward((resized - self._mean) / self._std)[1]

    @cached_property
    def _mean(self) -> torch.Tensor:
        return torch.tensor(self.config["mean"], device=self.device).view(3, 1, 1)

    @cached_property
    def _std(self) -> torch.Tensor:
        return torch.tensor(self.config["std"], device=self.device).view(3, 1, 1)

    @torch.inference_mode()
    def _forward(self, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        maps = self.model.forward_features(batch)
        return self.model.forward_head(maps).float(), self.model.forward_head(maps, pre_logits=True).float()


@dataclass(frozen=True)
class ConceptQuestion:
    """Is ``label`` among the ``top_k`` most likely labels of ``group``?"""

    group: str
    label: str
    top_k: int = 1

    @property
    def protocol(self) -> str:
        """Name and version of this rule."""
        return f"classifier-top{self.top_k}/1"

    def answer(self, prediction: Prediction) -> Verdicts:
        """Verdicts from a prediction; the score is the label's probability within the group.

        Raises:
            InputError: the classifier lacks the group or the label, or ``top_k`` is not 1 … number of labels.
        """
        probabilities = prediction.probabilities(self.group)  # (N, G)
        labels = list(prediction.groups[self.group])
        if self.label not in labels:
            raise InputError(
                f"classifier: group {self.group!r}: found label {self.label!r}, wanted one of {_some(labels)}"
            )
        if not 1 <= self.top_k <= len(labels):
            raise InputError(
                f"classifier: group {self.group!r}: found top_k {self.top_k}, wanted 1 to {len(labels)}"
            )
        column = labels.index(self.label)
        logits = prediction.logits[:, list(prediction.groups[self.group].values())]
        rank = (logits > logits[:, [column]]).sum(axis=1)  # by logits: probabilities may round to equal
        return Verdicts(shown=rank < self.top_k, score=probabilities[:, column])


@dataclass(frozen=True)
class ConceptJudge:
    """The judge that puts a ``ConceptQuestion`` to a classifier."""

    classifier: Classifier
    question: ConceptQuestion

    @property
    def protocol(self) -> str:
        """Name and version of the rule."""
        return self.question.protocol

    def judge(self, images: Sequence[Image.Image]) -> Verdicts:
        """Judge RGB images of any size."""
        return self.question.answer(self.classifier.predict(images))


def _label_names(model: Any) -> list[str]:
    """Label names from the model's own config, or the first word of each ImageNet class description."""
    names = model.pretrained_cfg.get("label_names")
    if names is None and (subset := infer_imagenet_subset(model)):
        info, classes = ImageNetInfo(subset), range(model.num_classes)
        words = [info.index_to_description(index).split(",")[0] for index in classes]
        # A few words name two classes ("crane"); those carry their WordNet id.
        names = [
            word if words.count(word) == 1 else f"{word} ({info.index_to_label_name(index)})"
            for index, word in zip(classes, words, strict=True)
        ]
    if names is None:
        raise InputError("classifier: found no label_names in its config, wanted one for each class")
    names = [str(name) for name in names]
    if len(names) != model.num_classes:
        raise InputError(
            f"classifier: found {len(names)} label names, wanted {model.num_classes}, one for each class"
        )
    return names


def _grouped(names: Sequence[str]) -> dict[str, dict[str, int]]:
    groups: dict[str, dict[str, int]] = {}
    for column, name in enumerate(names):
        group, _, label = name.rpartition(":")
        if label in groups.setdefault(group, {}):
            raise InputError(f"classifier: found label {name!r} twice, wanted each label once")
        groups[group][label] = column
    return groups


def _some(labels: Sequence[str], count: int = 12) -> str:
    return ", ".join(labels[:count]) + (f", … ({len(labels)} in all)" if len(labels) > count else "")
