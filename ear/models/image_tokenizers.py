"""Image tokenizers that lie beside a language model: pictures to codes, and back."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import VQModel
from PIL import Image
from torch import Tensor, nn
from transformers import JanusVQVAE

from ear.errors import InputError
from ear.models.weights import check_folder, check_report, loading
from ear.workflow.texts import read_json

FOLDER = "image_tokenizer"
WANTED = "an image tokenizer, of transformers' JanusVQVAE or diffusers' VQModel"
WEIGHTS = ("model.safetensors", "diffusion_pytorch_model.safetensors")


class ImageTokenizer(nn.Module):
    """One interface for image tokenizers of several libraries.

    Args:
        vq: the library's model: JanusVQVAE or VQModel.

    Attributes:
        num_image_tokens: T, codes of a picture.
        codebook_size: V.
        side: of its square pictures, in pixels.
    """

    def __init__(self, vq: Any) -> None:
        super().__init__()
        self.vq: Any = vq
        config = vq.config
        if isinstance(vq, JanusVQVAE):
            self._grid = config.num_patches
            self.codebook_size = config.num_embeddings
            self.side = self._grid * 2 ** (len(config.channel_multiplier) - 1)
        else:
            self.codebook_size = config.num_vq_embeddings
            self.side = config.sample_size
            self._grid = self.side // 2 ** (len(config.block_out_channels) - 1)
        self.num_image_tokens = self._grid**2

    @classmethod
    def load(cls, reference: str | Path, dtype: torch.dtype) -> "ImageTokenizer":
        """Load the one of a checkpoint, onto the CPU.

        Raises:
            InputError: it is missing or not whole.
        """
        folder = Path(reference) / FOLDER
        if not (folder / "config.json").is_file():
            raise InputError(
                f"{reference}: found no {FOLDER}/config.json, wanted {WANTED}: a language model draws only "
                "with one beside it"
            )
        check_folder(folder, WANTED, WEIGHTS)
        settings = read_json(folder / "config.json")
        of_janus = settings.get("model_type") == JanusVQVAE.config_class.model_type
        if not of_janus and settings.get("_class_name") != VQModel.__name__:
            found = settings.get("model_type") or settings.get("_class_name")
            raise InputError(f"{folder}/config.json: found {found!r}, wanted {WANTED}")
        library: Any = JanusVQVAE if of_janus else VQModel
        options = {"dtype": dtype} if of_janus else {"torch_dtype": dtype, "low_cpu_mem_usage": False}
        with loading(folder, WANTED):
            vq, report = library.from_pretrained(
                folder, output_loading_info=True, ignore_mismatched_sizes=True, **options
            )
        check_report(folder, report, WANTED)
        return cls(vq)

    def save(self, folder: str | Path) -> None:
        """Write what :meth:`load` reads."""
        self.vq.save_pretrained(folder)

    @torch.no_grad()
    def codes(self, pictures: Sequence[Image.Image]) -> Tensor:
        """Codes of RGB pictures of the right size: (B, T) int64."""
        pixels = torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures]))
        pixels = pixels.to(self.vq.device).permute(0, 3, 1, 2) / 127.5 - 1
        return self.encoded(pixels.to(self.vq.dtype))

    def encoded(self, pixels: Tensor) -> Tensor:
        """Codes of pixels: (B, 3, H, W) in −1 … 1 → (B, T) int64."""
        if isinstance(self.vq, JanusVQVAE):
            codes = self.vq.encode(pixels).image_tokens
        else:
            _, _, (_, _, codes) = self.vq.quantize(self.vq.encode(pixels).latents)
        return codes.view(len(pixels), -1)

    def decoded(self, codes: Tensor) -> Tensor:
        """Pictures of codes: (B, T) → (B, H, W, 3) floats, −1 to 1."""
        if isinstance(self.vq, JanusVQVAE):
            pixels = self.vq.decode(codes)
        else:
            rows = self.vq.quantize.embedding(codes).view(len(codes), self._grid, self._grid, -1)
            pixels = self.vq.decode(rows.permute(0, 3, 1, 2), force_not_quantize=True).sample
        return pixels.permute(0, 2, 3, 1)
