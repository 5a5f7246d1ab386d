"""An open_clip model: how well an image fits a text."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from PIL import Image

from ear.judges.base import in_batches
from ear.models.weights import check_file, check_finite, check_folder, loading

WANTED, WEIGHTS = "an open_clip folder", "open_clip_model.safetensors"


class Clip:
    """An open_clip model with its own preprocessing and tokenizer."""

    def __init__(self, model: Any, transform: Any, tokenizer: Any, device: str = "cpu") -> None:
        """Wrap what open_clip made: the model, its evaluation transform and its tokenizer."""
        self.model = model.eval().requires_grad_(False).to(device)
        self.transform = transform
        self.tokenizer = tokenizer
        self.device = device

    @classmethod
    def load(cls, folder: str | Path, device: str = "cpu") -> "Clip":
        """Load weights, preprocessing and tokenizer of a folder saved by open_clip.

        Raises:
            InputError: a file is missing, or the model is not whole.
        """
        folder = Path(folder)
        check_file(folder / "open_clip_config.json", WANTED)
        check_folder(folder, WANTED, [WEIGHTS])
        with loading(folder, WANTED):
            model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}", device=device)
            tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
        check_finite(folder, model.state_dict())
        return cls(model, transform, tokenizer, device)

    @torch.inference_mode()
    def encode_images(self, images: Sequence[Image.Image]) -> np.ndarray:
        """(N, D) float32 unit embeddings of RGB images of any size, one or more."""
        parts = []
        for some in in_batches(images):
            batch = torch.stack([self.transform(image.convert("RGB")) for image in some]).to(self.device)
            parts.append(self.model.encode_image(batch, normalize=True).float().cpu())
        return torch.cat(parts).numpy()

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(N, D) float32 unit embeddings of texts, one or more, cut at the model's context length."""
        parts = []
        for some in in_batches(texts):
            tokens = self.tokenizer(list(some)).to(self.device)  # (B, L)
            parts.append(self.model.encode_text(tokens, normalize=True).float().cpu())
        return torch.cat(parts).numpy()

    def cosines(self, images: Sequence[Image.Image], texts: Sequence[str]) -> np.ndarray:
        """(N,) float32 cosine of each image with its own text, in [-1, 1]."""
        return np.einsum("nd,nd->n", self.encode_images(images), self.encode_texts(texts))
