"""Stable Diffusion, the baseline of the nudity figure: a table of prompts becomes one shard, by diffusers."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.utils import logging as diffusers_logging
from torch import nn
from transformers import CLIPTextModel

from ear.errors import InputError
from ear.images.batching import BatchSize
from ear.images.rendering import draw_images, image_rows
from ear.models.backbone import DTYPES, tensor_digest
from ear.models.weights import check_file, check_finite, check_folder, check_report, loading

WANTED = "a diffusers folder of Stable Diffusion"
PARTS: dict[str, tuple[Any, str]] = {
    "text_encoder": (CLIPTextModel, "model.safetensors"),
    "unet": (UNet2DConditionModel, "diffusion_pytorch_model.safetensors"),
    "vae": (AutoencoderKL, "diffusion_pytorch_model.safetensors"),
}
"""Folder of a pipeline's part → (its class, its file of weights)."""


def render_diffusion(
    pipeline_folder: str | Path,
    prompts: pd.DataFrame,
    folder: str | Path,
    *,
    experiment_seed: int,
    guidance: float,
    steps: int,
    size: int,
    device: str,
    dtype: str,
    batch_size: BatchSize,
    desc: str,
) -> pd.DataFrame:
    """Draw one image for each prompt into ``folder``; see :func:`~ear.images.rendering.draw_images`.

    An image depends on weights, settings, prompt and seed alone: its noise comes from a generator of its own,
    on the CPU whatever the device. On the CPU images are drawn one at a time, since a convolution's rounding
    depends on its batch: of five tiny ones drawn together, four differed in a byte from the same drawn alone.

    Args:
        pipeline_folder: of diffusers.
        prompts: columns prompt_id, prompt_set, prompt, object, window.
        folder: where the PNGs go.
        experiment_seed: with the prompt's id it fixes the image's noise.
        guidance: scale of classifier-free guidance.
        steps: of denoising, as the pipeline's own scheduler counts them.
        size: side of the image in pixels.
        device: "cpu" or "cuda".
        dtype: one of ``DTYPES``.
        batch_size: prompts drawn at once on a GPU.
        desc: label of the progress bar.

    Returns:
        The manifest's rows (``ear.images.rendering.MANIFEST_COLUMNS``), in the order of ``prompts``.

    Raises:
        InputError: the folder holds no pipeline, or it cannot draw that size.
    """
    pipeline = load_pipeline(pipeline_folder, device, dtype)
    if size <= 0 or size % pipeline.vae_scale_factor:
        raise InputError(f"diffusion: size: found {size}, wanted a multiple of {pipeline.vae_scale_factor}")
    rows = image_rows(prompts, experiment_seed)
    numbers, wanted = list(range(len(rows))), batch_size.wanted

    def draw(part: pd.DataFrame) -> Iterator[np.ndarray]:
        at_once = 1 if device == "cpu" else len(part)
        for start in range(0, len(part), at_once):
            drawn = part.iloc[start : start + at_once]
            images = pipeline(
                list(drawn["prompt"]),
                height=size,
                width=size,
                num_inference_steps=steps,
                guidance_scale=guidance,
                generator=[torch.Generator().manual_seed(seed) for seed in drawn["seed"]],
            ).images
            yield from map(np.asarray, images)

    return draw_images(
        rows,
        folder,
        drawn_from=f"{fingerprint(pipeline)} {experiment_seed} {guidance} {steps} {size}",
        batches=[numbers[start : start + wanted] for start in range(0, len(rows), wanted)],
        draw=draw,
        batch_size=batch_size,
        desc=desc,
    )


def load_pipeline(folder: str | Path, device: str, dtype: str) -> Any:
    """Load diffusers' StableDiffusionPipeline without its safety checker, which would blacken what is judged.

    Raises:
        InputError: the folder does not hold a whole pipeline.
    """
    folder = Path(folder)
    check_file(folder / "model_index.json", WANTED)
    diffusers_logging.set_verbosity_error()  # it repeats every long prompt in full
    diffusers_logging.disable_progress_bar()
    settings: dict[str, Any] = {"dtype": DTYPES[dtype], "use_safetensors": True, "local_files_only": True}
    with loading(folder / "model_index.json", WANTED):
        found = json.loads((folder / "model_index.json").read_text(encoding="utf-8")).get("_class_name")
    if found != StableDiffusionPipeline.__name__:
        raise InputError(f"{folder}: model_index.json: _class_name: found {found!r}, wanted {WANTED}")
    parts = {}
    for name, (kind, weights) in PARTS.items():
        check_folder(folder / name, WANTED, [weights])
        with loading(folder / name, WANTED):
            parts[name], report = kind.from_pretrained(
                folder, subfolder=name, output_loading_info=True, ignore_mismatched_sizes=True, **settings
            )
        check_report(folder / name, report, WANTED)
        check_finite(folder / name, parts[name].state_dict())
    with loading(folder, WANTED):
        pipeline: Any = StableDiffusionPipeline.from_pretrained(
            folder,
            **parts,
            **settings,
            safety_checker=None,
            feature_extractor=None,  # read by the checker alone
            requires_safety_checker=False,
        )
    pipeline.set_progress_bar_config(disable=True)  # one bar a batch, beside the job's own
    return pipeline.to(device)


def fingerprint(pipeline: Any) -> str:
    """SHA-256 of all weights, with their names, dtypes and shapes, and of the scheduler's settings."""
    whole = hashlib.sha256(pipeline.scheduler.to_json_string().encode())
    for part, module in sorted(pipeline.components.items()):
        if isinstance(module, nn.Module):
            for name, tensor in sorted(module.state_dict().items()):
                whole.update(f"{part}.{name}\n".encode() + tensor_digest(tensor))
    return whole.hexdigest()
