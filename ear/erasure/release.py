"""The authors' file of fine-tuned weights: read, written, found in a download, converted to ours and back.

``python -m ear.erasure.release import|export --help`` tells how. The file is torch.save's, of
{module name: {"weight": tensor}}, names as in the Llama decoder: "layers.0.self_attn.q_proj" (source:
`FInrTuner.py` of the release). It does not say what backbone it belongs to: an import ties it to one.
"""

import argparse
import glob
import pickle
import re
import sys
import warnings
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from ear.erasure.edited_weights import (
    WINDOW_COLUMNS,
    Weight,
    backbone_facts,
    check_weights,
    load_edited,
    save_edited,
)
from ear.errors import InputError, one_line
from ear.models.backbone import DTYPES, Backbone
from ear.models.families import load_backbone
from ear.models.weights import PICKLE_STARTS, check_dtypes, check_file, check_finite, listed
from ear.workflow.files import atomic_path, sha256_file, write_csv

PREFIXES = ("", "language_model.model.", "model.language_model.")
"""In front of a module's name: none in the release, DeepSeek's checkpoints', transformers' checkpoints'."""

LAST_WEIGHTS = ("ft_model_ear_church.pt", "ft_model_ear_nudity.pt", "ft_model_ear_van_gogh.pt")

_NAME = re.compile(rf"({'|'.join(map(re.escape, PREFIXES))})(layers\.\d+\.self_attn\.[qkvo]_proj)")
_WANTED = "layers.<i>.self_attn.{q,k,v,o}_proj"
_FILE = 'wanted a file of torch.save with {module: {"weight": tensor}}'


def read_authors_weights(path: str | Path) -> dict[str, Tensor]:
    """Read a file of the authors' format. Never runs code from it.

    Returns:
        Module name without prefix → weight, on the CPU, in the file's dtype.

    Raises:
        InputError: the file is missing, truncated, holds code, or is of another structure.
    """
    check_file(path, _FILE.removeprefix("wanted "), ".pt")
    try:
        with warnings.catch_warnings(action="ignore"):  # on a bare pickle torch warns before it refuses
            content = torch.load(path, weights_only=True, map_location="cpu")
    except pickle.UnpicklingError:
        raise InputError(
            f"{path}: found a pickle with more than tensors in it, of which nothing was run, {_FILE}"
        ) from None
    except Exception as error:  # a damaged file can end torch's reader in any way
        raise InputError(f"{path}: found no whole file ({one_line(error)}), {_FILE}") from None
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: found a {type(content).__name__}, {_FILE}")
    weights: dict[str, Tensor] = {}
    for module, tensors in content.items():
        if isinstance(tensors, Mapping) and not tensors:
            continue  # rotary_emb, which older transformers have inside of the attention
        match = _NAME.fullmatch(str(module))
        if match is None:
            prefixes = ", ".join(filter(None, PREFIXES))
            raise InputError(
                f"{path}: found module {module!r}, wanted {_WANTED}, alone or after one of {prefixes}"
            )
        if match[2] in weights:
            raise InputError(f"{path}: found {match[2]} under two prefixes, wanted it once")
        if not isinstance(tensors, Mapping) or list(tensors) != ["weight"]:
            kind = f"keys {', '.join(tensors)}" if isinstance(tensors, Mapping) else type(tensors).__name__
            raise InputError(f"{path}: {match[2]}: found {kind}, {_FILE}")
        if not isinstance(tensors["weight"], Tensor):
            kind = type(tensors["weight"]).__name__
            raise InputError(f"{path}: {match[2]}: found a weight of type {kind}, {_FILE}")
        weights[match[2]] = tensors["weight"].detach()
    if not weights:
        raise InputError(f"{path}: found no tensors, {_FILE}")
    check_dtypes(path, {name: str(tensor.dtype) for name, tensor in weights.items()})
    check_finite(path, weights)
    return weights


def whole_weights(weights: Mapping[str, Weight]) -> dict[str, Tensor]:
    """Edited weights that take the place of a module's own: all of them, or none of a method with LoRA."""
    return {name: weight for name, weight in weights.items() if isinstance(weight, Tensor)}


def write_authors_weights(path: str | Path, weights: Mapping[str, Tensor]) -> None:
    """Write weights by module name as the authors' file, atomically; equal weights give equal bytes.

    Names go without a prefix: the release's loader passes over any that it does not know.
    """
    # A clone each: torch.save writes all of the storage that a view is part of.
    content = {name: {"weight": tensor.detach().cpu().clone()} for name, tensor in weights.items()}
    with atomic_path(path) as partial, partial.open("wb") as handle:
        torch.save(content, handle)  # given a path, it would write the path's name into the file


def import_authors_weights(
    path: str | Path, backbone: Backbone, facts: Mapping[str, Any], out: str | Path
) -> None:
    """Convert a file of the authors' format to edited weights, tied to a backbone and in its dtype.

    Args:
        path: the authors' file.
        backbone: the frozen model that the weights belong to.
        facts: what is known of the training: ``concept``, ``method`` and any other field of their metadata.
        out: the edited weights, a .safetensors file.

    Raises:
        InputError: the file is not of the format or does not fit the backbone.
    """
    found = read_authors_weights(path)
    weights = {name: tensor.to(backbone.model.dtype) for name, tensor in found.items()}
    check_weights(path, weights, backbone)
    metadata: dict[str, Any] = dict.fromkeys(("fine_tuning_seed", "window", "threshold", "pairs_sha256"))
    metadata["imported_from"] = {"file": Path(path).name, "sha256": sha256_file(path)}
    frozen = backbone_facts(backbone).model_dump()
    save_edited(out, weights, frozen, {**metadata, "settings": {}, "versions": {}, **facts})


def import_published(
    folder: str | Path,
    pattern: str,
    backbone: Backbone,
    window: int,
    facts: Mapping[str, Any],
    out_folder: str | Path,
) -> None:
    """Convert one of the authors' files to edited weights, and list the windows that rendering reads.

    Writes weights.safetensors, in the backbone's dtype, and, last, windows.csv.

    Args:
        folder: where the download is.
        pattern: of the file (:func:`find_weights`).
        backbone: the frozen model that the weights belong to.
        window: W that the paper names for the concept; the files do not hold it.
        facts: as in :func:`import_authors_weights`.
        out_folder: where the files go.
    """
    edited = Path(out_folder) / "weights.safetensors"
    source = find_weights(folder, pattern)
    import_authors_weights(source, backbone, {**facts, "window": window}, edited)
    row = {"window": window, "own": True, "file": edited.name, "sha256": sha256_file(edited)}
    write_csv(edited.with_name("windows.csv"), pd.DataFrame([row], columns=WINDOW_COLUMNS))


def find_weights(folder: str | Path, pattern: str) -> Path:
    """The one file of torch.save in a folder, at any depth, whose path fits a pattern.

    Where several fit and one of them has a name that the release gives to its last weights, that one is
    taken: it writes those of training's middle beside it (`ft_model_ear_church_d5_i286.pt`).

    Args:
        folder: its symbolic links are followed, hidden files are left out.
        pattern: a shell pattern ("*church*") for the path inside of the folder, compared without case; ``*``
            stands for slashes too.

    Raises:
        InputError: none fits, or several do.
    """
    folder = Path(folder)
    saved = [name for name in glob.glob("**", root_dir=folder, recursive=True) if _is_saved(folder / name)]
    fitting = [name for name in saved if fnmatchcase(name.lower(), pattern.lower())]
    if len(fitting) > 1:
        fitting = [name for name in fitting if Path(name).name in LAST_WEIGHTS] or fitting
    if len(fitting) == 1:
        return folder / fitting[0]
    found = f"{len(fitting)} files of torch.save that fit: " if fitting else "none among "
    names = listed(fitting or saved) or "no files of torch.save"
    raise InputError(f"{folder}: pattern {pattern!r}: found {found}{names}, wanted one that fits")


def _is_saved(path: Path) -> bool:
    """Whether a file begins as torch.save's do."""
    if not path.is_file():
        return False
    with path.open("rb") as handle:
        return handle.read(4).startswith(PICKLE_STARTS)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code, 1 after bad input."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "import":
            backbone = load_backbone(options.backbone, options.dtype, "cpu", options.revision)
            facts = {"concept": options.concept, "method": options.method}
            import_authors_weights(options.weights, backbone, facts, options.edited)
            print(f"{options.edited}: edited weights of {backbone_facts(backbone)}")
        else:
            found, edited = load_edited(options.edited)
            if not (weights := whole_weights(found)):
                wanted = "whole weights, which the authors' format holds"
                raise InputError(f"{options.edited}: found low-rank factors, wanted {wanted}")
            write_authors_weights(options.weights, weights)
            print(f"{options.weights}: {len(weights)} modules, made from {edited.backbone}")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ear.erasure.release",
        description="Convert fine-tuned weights between the EAR authors' format and edited weights.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="import|export")
    importing = commands.add_parser("import", help="the authors' file → edited weights, tied to a backbone")
    importing.add_argument("weights", help="the authors' file (.pt); code in it is never run")
    importing.add_argument("edited", help="edited weights to write (.safetensors)")
    importing.add_argument("--backbone", required=True, help="folder or hub id of the frozen Janus model")
    importing.add_argument("--revision", help="commit of the hub repository")
    importing.add_argument(
        "--dtype", choices=DTYPES, default="bfloat16", help="of the backbone (default: %(default)s)"
    )
    importing.add_argument("--concept", required=True, help="what the weights erase")
    importing.add_argument("--method", default="released", help="how they were made (default: %(default)s)")
    exporting = commands.add_parser("export", help="edited weights → the authors' file")
    exporting.add_argument("edited", help="edited weights to read (.safetensors)")
    exporting.add_argument("weights", help="the authors' file to write (.pt)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
