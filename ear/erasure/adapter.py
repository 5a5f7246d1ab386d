"""The saved result of a fine-tuning: the replaced weights, and what they were made from."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ear.errors import InputError
from ear.files import atomic_path
from ear.janus import Backbone

FORMAT = "ear-adapter/1"


def fingerprint(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 of tensors with their names, dtypes and shapes."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def save_adapter(
    path: str | Path,
    weights: Mapping[str, Tensor],
    replaced: Mapping[str, Tensor],
    metadata: Mapping[str, Any],
) -> None:
    """Write an adapter, atomically.

    Args:
        path: a .safetensors file.
        weights: module name in the language model ("layers.0.self_attn.q_proj") → new weight.
        replaced: the same modules' weights in the frozen backbone; their fingerprint ties the adapter to it.
        metadata: further facts (concept, method, settings, versions), anything JSON can hold.
    """
    facts = {"format": FORMAT, "backbone_sha256": fingerprint(replaced), **metadata}
    with atomic_path(path) as partial:
        save_file(
            {f"{name}.weight": tensor.cpu().contiguous() for name, tensor in weights.items()},
            partial,
            metadata={"ear": json.dumps(facts, sort_keys=True)},
        )


def load_adapter(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read an adapter: (weights by module name, metadata).

    Raises:
        InputError: the file is missing, not safetensors, truncated, or not an adapter.
    """
    try:
        with safe_open(path, framework="pt") as handle:
            weights = {name.removesuffix(".weight"): handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
            metadata = json.loads((handle.metadata() or {}).get("ear", "{}"))
    except FileNotFoundError:
        raise InputError(f"{path}: not found, wanted an adapter.safetensors") from None
    except SafetensorError as error:
        raise InputError(f"{path}: not a whole safetensors file ({error})") from None
    if metadata.get("format") != FORMAT:
        raise InputError(f"{path}: found format {metadata.get('format')!r}, wanted {FORMAT!r}")
    return weights, metadata


@torch.no_grad()
def apply_adapter(backbone: Backbone, path: str | Path) -> dict[str, Tensor]:
    """Put an adapter's weights into a backbone.

    Returns:
        The weights it replaced, by module name: pass them to :func:`put_weights` to go back.

    Raises:
        InputError: the adapter was made from other weights than the backbone's.
    """
    weights, metadata = load_adapter(path)
    modules = dict(backbone.language_model.named_modules())
    unknown = sorted(set(weights) - set(modules))
    if unknown:
        raise InputError(f"{path}: module {unknown[0]} is not in the backbone; it was made for another model")
    replaced = {name: modules[name].weight.detach().clone() for name in weights}
    if fingerprint(replaced) != metadata["backbone_sha256"]:
        raise InputError(
            f"{path}: made from backbone {metadata['backbone_sha256'][:12]}, "
            f"found backbone {fingerprint(replaced)[:12]}"
        )
    put_weights(backbone, weights)
    return replaced


@torch.no_grad()
def put_weights(backbone: Backbone, weights: Mapping[str, Tensor]) -> None:
    """Copy weights into the language model's modules of those names."""
    for name, tensor in weights.items():
        cast(nn.Linear, backbone.language_model.get_submodule(name)).weight.copy_(tensor)
