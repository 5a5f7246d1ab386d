"""The authors' file of fine-tuned weights: read, written, found in a download, converted to ours and back.

``python -m ear.erasure.release import|export --help`` tells how. The file is torch.save's, of
{module name: {"weight": tensor}}, names as in the Llama decoder: "layers.0.self_attn.q_proj" (source:
`FInrTuner.py` of the release, ``FineTunedModel.state_dict``).

Such a file says nothing of the backbone that it belongs to: an import ties it to the one it is given.
"""

import argparse
import os
import pickle
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from ear.erasure.edited_weights import (
    WINDOW_COLUMNS,
    backbone_facts,
    check_weights,
    load_edited,
    save_edited,
)
from ear.errors import InputError, one_line
from ear.models.janus import DTYPES, Backbone
from ear.models.weights import PICKLE_STARTS, check_dtypes, check_file, check_finite
from ear.workflow.files import atomic_path, sha256_file, write_csv

PREFIXES = ("", "language_model.model.", "model.language_model.")
"""In front of a module's name: none in the release, DeepSeek's checkpoints', transformers' checkpoints'."""

LAST_WEIGHTS = ("ft_model_ear_church.pt", "ft_model_ear_nudity.pt", "ft_model_ear_van_gogh.pt")
LISTED = 8  # files that an error names; it counts the others

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
    found: object = tensors
    if isinstance(tensors, Mapping) and list(tensors) == ["weight"]:
        found = tensors["weight"]
        if isinstance(found, Tensor):
            return found.detach()
    kind = f"keys {', '.join(map(str, found))}" if isinstance(found, Mapping) else f"a {type(found).__name__}"
    raise InputError(f'{path}: {module}: found {kind}, wanted {{"weight": tensor}}')


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
        facts: what is known of the training: ``concept`` and ``method``, and any other field of a set of
            metadata of edited weights.
        out: the edited weights, a .safetensors file.

    Raises:
        InputError: the file is not of the format or does not fit the backbone.
    """
    found = read_authors_weights(path)
    weights = {name: tensor.to(backbone.model.dtype) for name, tensor in found.items()}
    check_weights(path, weights, backbone)
    unknown: dict[str, Any] = dict.fromkeys(("fine_tuning_seed", "window", "threshold", "pairs_sha256"))
    origin = {"imported_from": {"file": Path(path).name, "sha256": sha256_file(path)}}
    known = {"settings": {}, "versions": {}, **origin, **facts}
    save_edited(out, weights, backbone_facts(backbone).model_dump(), unknown | known)


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
        pattern: pattern of the file, as :func:`find_weights` takes it.
        backbone: the frozen model that the weights belong to.
        window: W that the paper names for the concept; the files do not hold it.
        facts: what their metadata should say: ``concept`` and ``method`` at least.
        out_folder: where the files go.

    Raises:
        InputError: the pattern fits no file or several, or the file is not of the authors' format or does not
            fit the backbone.
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
        folder: its symbolic links are followed.
        pattern: a shell pattern ("*church*") for the path inside of the folder, compared without case; ``*``
            stands for slashes too.

    Raises:
        InputError: none fits, or several do.
    """
    saved = sorted(_saved_files(Path(folder)))
    fitting = [name for name in saved if fnmatchcase(name.lower(), pattern.lower())]
    if len(fitting) > 1:
        fitting = [name for name in fitting if name.rsplit("/", 1)[-1] in LAST_WEIGHTS] or fitting
    if len(fitting) == 1:
        return Path(folder) / fitting[0]
    found = f"{len(fitting)} files of torch.save that fit: " if fitting else "none among "
    raise InputError(
        f"{folder}: pattern {pattern!r}: found {found}{_listed(fitting or saved)}, wanted one that fits"
    )


def _saved_files(folder: Path) -> Iterator[str]:
    """Files that begin as torch.save's do, relative to the folder; hidden ones are left out."""
    for place, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(place, name) for name in names if not name.startswith(".")):
            if path.is_file():
                with path.open("rb") as handle:
                    if handle.read(4).startswith(PICKLE_STARTS):
                        yield path.relative_to(folder).as_posix()


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"{', '.join(names[:LISTED])}{more}" if names else "no files of torch.save"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code, 1 after bad input."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "import":
            backbone = Backbone.load(options.backbone, options.dtype, "cpu", options.revision)
            facts = {"concept": options.concept, "method": options.method}
            import_authors_weights(options.weights, backbone, facts, options.edited)
            print(f"{options.edited}: edited weights of {backbone_facts(backbone)}")
        else:
            weights, edited = load_edited(options.edited)
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
    importing = commands.add_parser(
        "import",
        help="the authors' file → edited weights",
        description="Convert the authors' file to edited weights, tied to a backbone.",
    )
    importing.add_argument("weights", help="the authors' file (.pt); code in it is never run")
    importing.add_argument("edited", help="edited weights to write (.safetensors)")
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
    exporting = commands.add_parser(
        "export",
        help="edited weights → the authors' file",
        description="Convert edited weights to the authors' file.",
    )
    exporting.add_argument("edited", help="edited weights to read (.safetensors)")
    exporting.add_argument("weights", help="the authors' file to write (.pt)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
