"""The authors' file of fine-tuned weights: read, written, and made an adapter and back.

``python -m ear.erasure.authors import|export --help`` tells how. The file is torch.save's, of
{module name: {"weight": tensor}}, names as in the Llama decoder: "layers.0.self_attn.q_proj" (source:
`FInrTuner.py` of the release, ``FineTunedModel.state_dict``).

Such a file says nothing of the backbone that it belongs to: an import ties it to the one it is given.
"""

import argparse
import pickle
import re
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ear.erasure.adapter import (
    backbone_facts,
    check_weights,
    load_adapter,
    save_adapter,
)
from ear.errors import InputError, one_line
from ear.files import atomic_path, sha256_file
from ear.janus import DTYPES, Backbone
from ear.weights import check_dtypes, check_file, check_finite

PREFIXES = ("", "language_model.model.", "model.language_model.")
"""In front of a module's name: none in the release, DeepSeek's checkpoints', transformers' checkpoints'."""

_NAME = re.compile(rf"({'|'.join(map(re.escape, PREFIXES))})(layers\.\d+\.self_attn\.[qkvo]_proj)")
_WANTED = "layers.<i>.self_attn.{q,k,v,o}_proj"


def read_authors_weights(path: str | Path) -> dict[str, Tensor]:
    """Read a file of the authors' format. Never runs code from it.

    Modules without tensors are left out: older transformers have such ones (rotary_emb) inside of the
    attention, and the release saves all that is there.

    Returns:
        Module name without prefix → weight, on the CPU, in the file's dtype.

    Raises:
        InputError: the file is missing, truncated, holds code, or is of another structure.
    """
    wanted = 'wanted a file of torch.save with {module: {"weight": tensor}}'
    check_file(path, wanted.removeprefix("wanted "), ".pt")
    try:
        with warnings.catch_warnings(action="ignore"):  # on a bare pickle torch warns before it refuses
            content = torch.load(path, weights_only=True, map_location="cpu")
    except pickle.UnpicklingError:
        raise InputError(
            f"{path}: found a pickle with more than tensors in it, of which nothing was run, {wanted}"
        ) from None
    except Exception as error:  # a damaged file can end torch's reader in any way
        raise InputError(f"{path}: found no whole file ({one_line(error)}), {wanted}") from None
    if not isinstance(content, Mapping) or not content:
        found = "nothing in it" if isinstance(content, Mapping) else f"a {type(content).__name__}"
        raise InputError(f"{path}: found {found}, {wanted}")
    weights: dict[str, Tensor] = {}
    for module, tensors in content.items():
        if isinstance(tensors, Mapping) and not tensors:
            continue
        match = _NAME.fullmatch(str(module))
        if match is None:
            prefixes = ", ".join(filter(None, PREFIXES))
            raise InputError(
                f"{path}: found module {module!r}, wanted {_WANTED}, alone or after one of {prefixes}"
            )
        if match[2] in weights:
            raise InputError(f"{path}: found {match[2]} under two prefixes, wanted it once")
        weights[match[2]] = _weight(path, match[2], tensors)
    if not weights:
        raise InputError(f"{path}: found no tensors, {wanted}")
    check_dtypes(path, {name: str(tensor.dtype) for name, tensor in weights.items()})
    check_finite(path, weights)
    return weights


def _weight(path: str | Path, module: str, tensors: object) -> Tensor:
    if not isinstance(tensors, Mapping) or list(tensors) != ["weight"]:
        found = (
            f"keys {', '.join(map(str, tensors))}"
            if isinstance(tensors, Mapping)
            else f"a {type(tensors).__name__}"
        )
        raise InputError(f'{path}: {module}: found {found}, wanted {{"weight": tensor}}')
    tensor = tensors["weight"]
    if not isinstance(tensor, Tensor):
        raise InputError(f"{path}: {module}.weight: found a {type(tensor).__name__}, wanted a tensor")
    return tensor.detach()


def write_authors_weights(path: str | Path, weights: Mapping[str, Tensor]) -> None:
    """Write weights by module name as the authors' file, atomically; equal weights give equal bytes.

    Names go without a prefix: the release's loader passes over any that it does not know.
    """
    # A clone each: torch.save writes all of the storage that a view is part of.
    content = {name: {"weight": tensor.detach().cpu().clone()} for name, tensor in weights.items()}
    with atomic_path(path) as partial, partial.open("wb") as handle:
        torch.save(content, handle)  # given a path, it would write the path's name into the file


def import_authors_weights(
    path: str | Path, backbone: Backbone, facts: Mapping[str, Any], out: str | Path, convert: bool = False
) -> None:
    """Make an adapter of a file of the authors' format, tied to a backbone.

    Args:
        path: the authors' file.
        backbone: the frozen model that the weights belong to.
        facts: what is known of the training: ``concept`` and ``method``, and any other field of an adapter's
            metadata.
        out: the adapter, a .safetensors file.
        convert: convert the weights to the backbone's dtype; else another dtype is refused.

    Raises:
        InputError: the file is not of the format or does not fit the backbone.
    """
    weights = read_authors_weights(path)
    if convert:
        weights = {name: tensor.to(backbone.model.dtype) for name, tensor in weights.items()}
    check_weights(path, weights, backbone)
    unknown: dict[str, Any] = {
        "fine_tuning_seed": None,
        "settings": {},
        "window": None,
        "threshold": None,
        "versions": {},
        "pairs_sha256": None,
    }
    origin = {"imported_from": {"file": Path(path).name, "sha256": sha256_file(path)}}
    save_adapter(out, weights, backbone_facts(backbone).model_dump(), {**unknown, **origin, **facts})


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code, 1 after bad input."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "import":
            backbone = Backbone.load(options.backbone, options.dtype, "cpu", options.revision)
            facts = {"concept": options.concept, "method": options.method}
            import_authors_weights(options.weights, backbone, facts, options.adapter, options.convert)
            print(f"{options.adapter}: an adapter of {backbone_facts(backbone)}")
        else:
            weights, adapter = load_adapter(options.adapter)
            write_authors_weights(options.weights, weights)
            print(f"{options.weights}: {len(weights)} modules, made from {adapter.backbone}")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ear.erasure.authors",
        description="Fine-tuned weights between the EAR authors' file format and this project's adapters.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="import|export")
    importing = commands.add_parser(
        "import",
        help="the authors' file → adapter",
        description="Make an adapter of the authors' file, tied to a backbone.",
    )
    importing.add_argument("weights", help="the authors' file (.pt); code in it is never run")
    importing.add_argument("adapter", help="adapter to write (.safetensors)")
    importing.add_argument(
        "--backbone", required=True, help="frozen model: a transformers folder or hub id of a Janus model"
    )
    importing.add_argument("--revision", help="commit of the hub repository")
    importing.add_argument(
        "--dtype",
        choices=DTYPES,
        default="bfloat16",
        help="dtype of the backbone, as experiments load it (default: %(default)s)",
    )
    importing.add_argument("--concept", required=True, help="what the weights erase")
    importing.add_argument("--method", default="released", help="how they were made (default: %(default)s)")
    importing.add_argument(
        "--convert", action="store_true", help="convert weights of another dtype instead of refusing them"
    )
    exporting = commands.add_parser(
        "export", help="adapter → the authors' file", description="Write an adapter as the authors' file."
    )
    exporting.add_argument("adapter", help="adapter to read (.safetensors)")
    exporting.add_argument("weights", help="the authors' file to write (.pt)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
