"""A transformers image classifier: the artist classifier of Diffusion-MU-Attack, or another one."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification

from ear.errors import InputError
from ear.judges.ranking import UNGROUPED, Ranker
from ear.models.weights import check_file, check_finite, check_folder, check_report, loading

WANTED = "a transformers image classifier"
EXTRACTOR = "FeatureExtractor"  # how image processors were called until 2022


class ArtistClassifier(Ranker):
    """A transformers image classifier with its own preprocessing; its labels form one group.

    The score of a label is the softmax of the logits. The release takes a softmax of those probabilities once
    more, which flattens its scores and leaves the ranks as they are.
    """

    def __init__(self, model: Any, processor: Any, device: str = "cpu") -> None:
        """Wrap a model and its image processor; the labels are the config's ``id2label``."""
        columns = {str(label): int(column) for column, label in model.config.id2label.items()}
        if len(columns) != model.config.num_labels:
            raise InputError(
                f"artist classifier: id2label: found {len(columns)} different labels, "
                f"wanted {model.config.num_labels}, one for each class"
            )
        super().__init__(model, {UNGROUPED: columns}, device)
        self.processor = processor

    @classmethod
    def load(cls, folder: str | Path, device: str = "cpu") -> "ArtistClassifier":
        """Load a folder saved by transformers: config.json, preprocessor_config.json and the weights.

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
        return cls(model, image_processor(folder, WANTED), device)

    @torch.inference_mode()
    def _logits(self, images: Sequence[Image.Image]) -> torch.Tensor:
        inputs = self.processor(images=images, return_tensors="pt").to(self.device)
        logits: torch.Tensor = self.model(**inputs).logits
        return logits


def image_processor(folder: Path, wanted: str) -> Any:
    """The image processor, under its name of today: transformers refuses that of a feature extractor."""
    file = folder / "preprocessor_config.json"
    with loading(file, wanted):
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
