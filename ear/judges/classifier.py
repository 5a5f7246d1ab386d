"""A timm image classifier: logits of its labels, and features."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from PIL import Image
from timm.data import create_transform, infer_imagenet_subset, resolve_data_config
from torch import nn

from ear.errors import InputError
from ear.judges.imagenet import imagenet_labels
from ear.judges.ranking import Ranker, grouped
from ear.models.weights import check_file, check_finite, check_folder, loading

WANTED = "a classifier in a folder saved by timm"


class Classifier(Ranker):
    """A timm classifier with its own preprocessing and label names, both read from its ``pretrained_cfg``.

    Labels may carry a group as a prefix: "object:church", "object:tree", "style:plain"; those without one
    form the group ``UNGROUPED``.
    """

    def __init__(self, model: nn.Module, device: str = "cpu") -> None:
        """Wrap a model made by timm.

        Raises:
            InputError: the labels are unknown, repeated, or not as many as the classes.
        """
        super().__init__(model, grouped(_label_names(model)), device)
        self.config = resolve_data_config(model=model)
        self.transform = create_transform(**self.config, is_training=False)

    @classmethod
    def load(cls, folder: str | Path, device: str = "cpu") -> "Classifier":
        """Load weights, preprocessing and labels of a folder with config.json and model.safetensors.

        Raises:
            InputError: a file is missing, or the model is not whole.
        """
        folder = Path(folder)
        check_file(folder / "config.json", WANTED)
        check_folder(folder, WANTED)
        with loading(folder, WANTED):
            model = timm.create_model(f"local-dir:{folder}", pretrained=True)
        check_finite(folder, model.state_dict())
        return cls(model, device)

    @torch.inference_mode()
    def _logits(self, images: Sequence[Image.Image]) -> torch.Tensor:
        batch = torch.stack([self.transform(image) for image in images]).to(self.device)
        logits: torch.Tensor = self.model.forward_head(self.model.forward_features(batch))
        return logits

    @torch.inference_mode()
    def clean_fid_features(self, batch: torch.Tensor) -> torch.Tensor:
        """Features in the form that clean-fid calls for.

        Args:
            batch: (B, 3, 299, 299) float32 in 0 … 255; it is resized to the classifier's own input.

        Returns:
            (B, D) float32, the input of the last linear layer.
        """
        height, width = self.config["input_size"][1:]
        resized = nn.functional.interpolate(
            batch / 255, size=(height, width), mode="bilinear", antialias=True, align_corners=False
        )
        mean, std = (
            torch.tensor(self.config[name], device=self.device).view(3, 1, 1) for name in ("mean", "std")
        )
        maps = self.model.forward_features((resized - mean) / std)
        return self.model.forward_head(maps, pre_logits=True).float()


def _label_names(model: Any) -> list[str]:
    """Label names from the model's own config, or those of ImageNet."""
    names = model.pretrained_cfg.get("label_names")
    if names is None and infer_imagenet_subset(model) == "imagenet-1k":
        names = imagenet_labels()
    if names is None:
        raise InputError("classifier: found no label_names in its config, wanted one for each class")
    if len(names) != model.num_classes:
        raise InputError(
            f"classifier: found {len(names)} label names, wanted {model.num_classes}, one for each class"
        )
    return [str(name) for name in names]
