"""A transformers image classifier: the judge of style (the artist classifier of Diffusion-MU-Attack)."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification

from ear.errors import InputError
from ear.judges.base import BATCH
from ear.judges.ranking import UNGROUPED, Prediction
from ear.models.weights import check_file, check_finite, check_folder, check_report, loading

WANTED = "a transformers image classifier"
EXTRACTOR = "FeatureExtractor"  # how image processors were called until 2022


class ArtistClassifier:
    """A transformers image classifier with its own preprocessing; its labels form one group.

    The score of a label is the softmax of the logits. The release takes a softmax of those probabilities once
    more, which flattens its scores and leaves the ranks as they are.
    """

    def __init__(self, model: Any, processor: Any, device: str = "cpu") -> None:
        """Wrap a model and its image processor; the labels are the config's ``id2label``."""
        self.model = model.eval().requires_grad_(False).to(device)
        self.processor = processor
        self.device = device
        columns = {str(label): int(column) for column, label in model.config.id2label.items()}
        if len(columns) != model.config.num_labels:
            raise InputError(
                f"artist classifier: id2label: found {len(columns)} different labels, "
                f"wanted {model.config.num_labels}, one for each class"
            )
        self.groups = {UNGROUPED: columns}

    @classmethod
    def load(cls, folder: str | Path, device: str = "cpu") -> "ArtistClassifier":
        """Load a folder with config.json, preprocessor_config.json and the weights.

        Args:
            folder: saved by transformers.
            device: where it runs.

        Raises:
            InputError: the folder lacks a file, is not whole or holds another kind of model.
        """
        folder = Path(folder)
        for name in ("config.json", "preprocessor_config.json"):
            check_file(folder / name, WANTED)
        check_folder(folder, WANTED)
        with loading(folder, WANTED):
            model, report = AutoModelForImageClassification.from_pretrained(
                folder, local_files_only=True, output_loading_info=True, ignore_mismatched_sizes=True
            )
        check_report(folder, report, WANTED)
        check_finite(folder, model.state_dict())
        return cls(model, _processor(folder), device)

    @torch.inference_mode()
    def predict(self, images: Sequence[Image.Image], batch_size: int = BATCH) -> Prediction:
        """Logits of RGB images of any size."""
        logits = [np.zeros((0, self.model.config.num_labels), np.float32)]
        for start in range(0, len(images), batch_size):
            batch = [image.convert("RGB") for image in images[start : start + batch_size]]
            inputs = self.processor(images=batch, return_tensors="pt").to(self.device)
            logits.append(self.model(**inputs).logits.float().cpu().numpy())
        return Prediction(np.concatenate(logits), self.groups)


def _processor(folder: Path) -> Any:
    """The image processor, under its name of today: transformers refuses that of a feature extractor."""
    file = folder / "preprocessor_config.json"
    with loading(file, WANTED):
        settings = json.loads(file.read_text(encoding="utf-8"))
        named = settings.pop("feature_extractor_type", None) or ""
        named = str(settings.get("image_processor_type") or named)
        if named.endswith(EXTRACTOR):
            settings["image_processor_type"] = named.removesuffix(EXTRACTOR) + "ImageProcessor"
        with TemporaryDirectory() as renamed:
            shutil.copyfile(folder / "config.json", Path(renamed) / "config.json")
            (Path(renamed) / file.name).write_text(json.dumps(settings), encoding="utf-8")
            # Pillow resizes as in the release; torchvision, the default, differs in the last bits.
            return AutoImageProcessor.from_pretrained(renamed, local_files_only=True, backend="pil")
