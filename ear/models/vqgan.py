"""Chameleon's VQGAN, Liquid's image tokenizer, from its checkpoint into diffusers' format.

    python -m ear.models.vqgan vqgan.ckpt <folder of the Liquid model>

The checkpoint is a pickle, in the format of taming-transformers. It is read as tensors alone, so that no code
in it can run, and written to ``image_tokenizer/`` in the model's folder, where Liquid looks for it. The
weights are Meta's, under the Chameleon Research License: for research, not for commercial use.
"""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import VQModel
from torch import Tensor

from ear.errors import InputError
from ear.models.image_tokenizers import FOLDER
from ear.models.weights import check_file, check_finite, check_names, loading
from ear.workflow.files import atomic_path

CHANNELS = (128, 128, 256, 256, 512)
SHAPE = {"latent_channels": 256, "num_vq_embeddings": 8192, "layers_per_block": 2, "sample_size": 512}
WANTED = "Chameleon's VQGAN, vqgan.ckpt"
_ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}
_LOSS = "loss."  # beginning of the names of the discriminator's weights, which only its training needs


def convert(checkpoint: str | Path, model_folder: str | Path) -> None:
    """Write ``image_tokenizer/`` into the folder of a language model.

    Args:
        checkpoint: the file that torch saved.
        model_folder: of the language model.

    Raises:
        InputError: the checkpoint is not that VQGAN, or holds anything but tensors.
    """
    check_file(checkpoint, WANTED)
    with loading(checkpoint, f"{WANTED}: tensors alone, saved by torch"):
        content = torch.load(checkpoint, weights_only=True, map_location="cpu")
    vq = vqgan(content.get("state_dict", content), checkpoint, channels=CHANNELS, **SHAPE)
    with atomic_path(Path(model_folder) / FOLDER) as partial:
        vq.save_pretrained(partial)


def vqgan(weights: Mapping[str, Tensor], source: str | Path, channels: tuple[int, ...], **shape: Any) -> Any:
    """diffusers' model of some weights of taming-transformers' VQGAN, without attention but in its middle.

    Args:
        weights: name → tensor.
        source: where they are from, for errors.
        channels: of each resolution, the highest first.
        shape: further arguments of diffusers' VQModel.

    Raises:
        InputError: tensors are missing, unknown, not finite or of another shape.
    """
    levels = len(channels)
    blocks = {
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
    }
    vq: Any = VQModel(block_out_channels=channels, **blocks, **shape)
    own = vq.state_dict()
    renamed = {
        renamed_key(name, levels): tensor for name, tensor in weights.items() if not name.startswith(_LOSS)
    }
    missing, unknown = own.keys() - renamed.keys(), renamed.keys() - own.keys()
    check_names(source, missing=sorted(missing), unknown=sorted(unknown), wanted=WANTED)
    for name, tensor in renamed.items():
        # The projections of attention are convolutions of one pixel there, and linear here.
        plain = tensor[..., 0, 0] if tensor.ndim == 4 and own[name].ndim == 2 else tensor
        if plain.shape != own[name].shape:
            shapes = f"found shape {tuple(plain.shape)}, wanted {tuple(own[name].shape)}"
            raise InputError(f"{source}: {name}: {shapes}: {WANTED}")
        renamed[name] = plain.float()
    check_finite(source, renamed)
    vq.load_state_dict(renamed)
    return vq.eval()


def renamed_key(name: str, levels: int) -> str:
    """A name of taming-transformers' in diffusers' words; the decoder there counts its levels upside down."""
    if found := re.fullmatch(r"(encoder|decoder)\.mid\.attn_1\.(\w+)\.(weight|bias)", name):
        half, part, kind = found.groups()
        return f"{half}.mid_block.attentions.0.{_ATTENTION.get(part, part)}.{kind}"
    if found := re.fullmatch(r"decoder\.up\.(\d+)\.(.*)", name):
        name = f"decoder.up_blocks.{levels - 1 - int(found[1])}.{found[2]}"
    for theirs, ours in (
        (r"^encoder\.down\.", "encoder.down_blocks."),
        (r"\.block\.", ".resnets."),
        (r"\.(down|up)sample\.conv\.", r".\1samplers.0.conv."),
        (r"\.mid\.block_1\.", ".mid_block.resnets.0."),
        (r"\.mid\.block_2\.", ".mid_block.resnets.1."),
        (r"\.nin_shortcut\.", ".conv_shortcut."),
        (r"^(encoder|decoder)\.norm_out\.", r"\1.conv_norm_out."),
    ):
        name = re.sub(theirs, ours, name)
    return name


if __name__ == "__main__":
    convert(*sys.argv[1:3])
