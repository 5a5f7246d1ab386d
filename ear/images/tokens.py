"""Image tokens of the frozen model: saved with its images, and read by whoever needs them again.

``tokens.safetensors`` holds one tensor, ``tokens`` (N, T), in the smallest integers that hold the codebook:
one row an image, in the order of the manifests. Its metadata, JSON under the key ``tokens``, say what the
tokens were sampled from (``sampled_from``), and the prompt and seed of each row (``images``).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from ear.errors import InputError
from ear.images.sampling import Guidance
from ear.models.backbone import Backbone
from ear.models.weights import check_file, loading
from ear.workflow.files import atomic_path

WANTED = "image tokens of the original model"
REMEDY = "delete the file and run the same command again"
INTEGERS = (torch.uint8, torch.int16, torch.int32)
Image = tuple[str, int]
"""(prompt, seed)"""


def sampled_from(backbone: Backbone, guidance: Guidance, temperature: float) -> str:
    """All that an image's tokens depend on besides its prompt and seed."""
    return f"{backbone.source()} {guidance} {temperature}"


@dataclass(frozen=True)
class ImageTokens:
    """Tokens of images that are already rendered.

    Attributes:
        files: where they were read from.
        rows: (prompt, seed) → (T,).
    """

    files: Sequence[str | Path]
    rows: Mapping[Image, Tensor]

    def of(self, prompts: Iterable[str], seeds: Iterable[int]) -> Tensor:
        """Tokens of N images, (N, T) int64.

        Raises:
            InputError: an image is not there.
        """
        found = []
        for image in zip(prompts, seeds, strict=True):
            if image not in self.rows:
                files = ", ".join(map(str, self.files)) or "no file"
                raise InputError(
                    f"{files}: found no tokens of {image[0]!r} with seed {image[1]}, wanted them: {REMEDY}"
                )
            found.append(self.rows[image])
        return torch.stack(found).long()


def read_tokens(
    files: Sequence[str | Path], backbone: Backbone, guidance: Guidance, temperature: float
) -> ImageTokens:
    """Read files of image tokens, while the backbone's weights are still the original's.

    Raises:
        InputError: a file is missing or not whole, was sampled from other weights or settings, or holds
            anything but tokens of the codebook.
    """
    source = sampled_from(backbone, guidance, temperature) if files else ""
    shape = backbone.num_image_tokens, backbone.codebook_size
    rows: dict[Image, Tensor] = {}
    for path in files:
        rows |= _read(path, source, *shape)
    return ImageTokens(files, rows)


class SavedTokens:
    """The file of image tokens that a job writes, and a hidden file in which they wait until all are there.

    The hidden one is written anew with each batch, so a killed job goes on; it stays, because Snakemake
    removes the other before a job runs again.
    """

    def __init__(self, path: str | Path, backbone: Backbone, guidance: Guidance, temperature: float) -> None:
        self._path = Path(path)
        self._hidden = self._path.with_name(f".{self._path.name}")
        self._source = sampled_from(backbone, guidance, temperature)
        self._shape = backbone.num_image_tokens, backbone.codebook_size
        try:
            self._rows = _read(self._hidden, self._source, *self._shape)
        except InputError:  # none yet, or of other weights, or damaged: sampled again
            self._rows = {}

    def __contains__(self, image: Image) -> bool:
        return image in self._rows

    def add(self, images: Sequence[Image], tokens: Tensor) -> None:
        """Save (N, T) tokens of N images."""
        self._rows |= dict(zip(images, tokens.to("cpu", self._dtype), strict=True))
        self._write(self._hidden, self._rows)

    def finish(self, images: Iterable[Image]) -> None:
        """Write the file, one row an image; all of them have been added."""
        self._write(self._path, {image: self._rows[image] for image in images})

    @property
    def _dtype(self) -> torch.dtype:
        return next(one for one in INTEGERS if self._shape[1] - 1 <= torch.iinfo(one).max)

    def _write(self, path: Path, rows: Mapping[Image, Tensor]) -> None:
        tokens = torch.stack([*rows.values()]) if rows else torch.zeros(0, self._shape[0], dtype=self._dtype)
        facts = {"sampled_from": self._source, "images": [*rows]}  # under one key: their order is not fixed
        with atomic_path(path) as partial:
            save_file({"tokens": tokens}, partial, metadata={"tokens": json.dumps(facts)})


def _read(path: str | Path, source: str, steps: int, codebook: int) -> dict[Image, Tensor]:
    check_file(path, WANTED, ".safetensors")
    with loading(path, WANTED), safe_open(path, framework="pt") as handle:
        tokens, facts = handle.get_tensor("tokens"), json.loads(handle.metadata()["tokens"])
        found, images = facts["sampled_from"], facts["images"]
    if found != source:
        raise InputError(f"{path}: found {_short(found)}, wanted {_short(source)}: {REMEDY}")
    if tokens.dtype not in INTEGERS or tokens.shape != (len(images), steps):
        kind = f"{tokens.dtype} of shape {tuple(tokens.shape)}".removeprefix("torch.")
        raise InputError(f"{path}: found {kind}, wanted integers of shape {(len(images), steps)}")
    if len(tokens) and not 0 <= tokens.min() <= tokens.max() < codebook:
        raise InputError(
            f"{path}: found tokens from {tokens.min()} to {tokens.max()}, wanted 0 to {codebook - 1}"
        )
    return {(prompt, seed): row for (prompt, seed), row in zip(images, tokens, strict=True)}


def _short(source: str) -> str:
    """Weights by the start of their hash, then the settings."""
    weights, _, settings = source.partition(" ")
    return f"tokens of weights {weights[:12]} with {settings}"
