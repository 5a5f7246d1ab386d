"""Files of weights: what one is before a library reads it, and whether what was loaded is whole.

Every loader asks here, so that a checkpoint that is not what its name says ends in one line, and never in a
model with random, cast or broken weights: libraries fill what they miss and go on. Without torch, since
assets are fetched without it too.
"""

import json
import math
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from ear.errors import InputError, one_line
from ear.workflow.texts import read_json

if TYPE_CHECKING:
    from torch import Tensor

PICKLE_STARTS = (b"PK\x03\x04", b"\x80")  # torch.save's zip archive; a bare pickle
WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
FLOATS = ("F64", "F32", "F16", "BF16", "torch.float64", "torch.float32", "torch.float16", "torch.bfloat16")
COUNTERS = ("num_batches_tracked", "position_ids")
"""Ends of names of whole numbers beside the weights: a count of batches, the positions 0, 1, 2, …"""
NOT_LOADED = ("position_ids", "rotary_emb.inv_freq")
"""Ends of names that older checkpoints hold and today's models compute for themselves."""

_LFS = b"version https://git-lfs.github.com/spec/"
_HTML = (b"<!doctype html", b"<html", b"<head", b"<!--")
_SAVED = (".bin", ".pt", ".pth", ".ckpt")
_NEVER_EMPTY = (".safetensors", ".onnx", ".json", ".csv", ".zip", *_SAVED)
_START = 1024  # bytes that tell what a file is
_NAMED = 3  # tensors that an error names; it counts the others


def fault(path: str | Path, suffix: str | None = None) -> str | None:
    """What a file is where it cannot be what the end of its name says; None where nothing speaks against it.

    ``suffix`` (".safetensors") stands for the end of the name where files may have any.
    """
    path = Path(path)
    suffix = suffix or path.suffix.lower()
    with path.open("rb") as handle:
        start = handle.read(_START)
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(_LFS):
        return "a Git LFS pointer (run `git lfs pull` where it is from)"
    if text.startswith(_HTML) and suffix not in (".html", ".htm"):
        return "an HTML page, as servers send instead of a file"
    if not start and suffix in _NEVER_EMPTY:
        return "an empty file"
    zipped = zipfile.is_zipfile(path)
    try:
        if suffix == ".safetensors":
            with safe_open(path, framework="numpy"):
                return None
        if suffix == ".json":
            json.loads(path.read_bytes())
    except (SafetensorError, ValueError, RecursionError) as error:
        return f"no whole {suffix[1:]} file ({one_line(error)})"
    if suffix in _SAVED and not zipped and not start.startswith(PICKLE_STARTS[1]):
        return "no whole file of torch.save"
    return "no whole zip archive" if suffix == ".zip" and not zipped else None


def check_file(path: str | Path, wanted: str, suffix: str | None = None) -> None:
    """Check that a file is there and is what the end of its name, or ``suffix``, says.

    Raises:
        InputError: it is missing, cannot be read, or is something else than ``wanted`` ("edited weights").
    """
    try:
        found = fault(path, suffix)
    except FileNotFoundError:
        raise InputError(f"{path}: not found, wanted {wanted}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}), wanted {wanted}") from None
    if found:
        raise InputError(f"{path}: found {found}, wanted {wanted}")


def check_folder(folder: str | Path, wanted: str, names: Sequence[str] = WEIGHT_FILES) -> list[Path]:
    """Check the files of a saved model before a library reads them: JSON, weights, and their dtypes.

    Args:
        folder: of the model.
        wanted: what it should hold, for errors: "a Janus model".
        names: files of weights, the one that is preferred first; each may be in shards.

    Returns:
        The files of its weights.

    Raises:
        InputError: a file is missing or is something else, or a tensor is quantised.
    """
    folder = Path(folder)
    for path in sorted(folder.glob("*.json")):
        check_file(path, f"that of {wanted}")
    files = _weight_files(folder, wanted, names)
    for path in files:
        check_file(path, f"weights of {wanted}")
        check_dtypes(path, dtypes(path))
    return files


def _weight_files(folder: Path, wanted: str, names: Sequence[str]) -> list[Path]:
    """The files that hold a model's weights: one, or the shards that an index lists."""
    for name in names:
        if (folder / name).exists():
            return [folder / name]
        index = folder / f"{name}.index.json"
        if index.exists():
            try:
                shards = read_json(index)["weight_map"].values()
                return [folder / shard for shard in sorted(set(shards))]
            except (ValueError, KeyError, TypeError, AttributeError):
                raise InputError(f"{index}: found no weight_map, wanted the index of {wanted}") from None
    files = " or ".join(names)
    raise InputError(f"{folder}: found no weights, wanted {files}, whole or in shards, of {wanted}")


def dtypes(path: Path) -> dict[str, str]:
    """The tensors of a whole file → dtypes, in the words of safetensors or of torch. No data are read."""
    if path.suffix == ".safetensors":
        with safe_open(path, framework="numpy") as handle:
            return {name: handle.get_slice(name).get_dtype() for name in handle.keys()}  # noqa: SIM118
    import torch

    with loading(path, "tensors alone, saved by torch"):
        content = torch.load(path, weights_only=True, map_location="meta")
        return {name: str(tensor.dtype) for name, tensor in content.items()}


def check_dtypes(source: str | Path, found: Mapping[str, str]) -> None:
    """Check that weights are numbers of floating point; libraries cast quantised ones without their scales.

    Raises:
        InputError: one of the tensors found (→ dtype, in the words of safetensors or of torch) is not.
    """
    strange = [name for name, dtype in found.items() if dtype not in FLOATS and not name.endswith(COUNTERS)]
    if strange:
        kind = found[strange[0]].removeprefix("torch.")
        raise InputError(
            f"{source}: {listed(strange)}: found {kind}, wanted float32, float16 or bfloat16: "
            "a quantised checkpoint gives other results"
        )


def check_report(source: str | Path, report: Mapping[str, Any], wanted: str) -> None:
    """Check what transformers or diffusers say of a loading (``output_loading_info``).

    Raises:
        InputError: the file lacks tensors, or holds others, or of another shape.
    """
    unknown = [name for name in report["unexpected_keys"] if not name.endswith(NOT_LOADED)]
    check_names(source, missing=report["missing_keys"], unknown=unknown, wanted=wanted)
    for name, found, of_config in sorted(report["mismatched_keys"]):
        shapes = f"found shape {tuple(found)}, wanted {tuple(of_config)} as in config.json"
        raise InputError(f"{source}: {name}: {shapes}: {wanted}")


def check_names(source: str | Path, missing: Sequence[str], unknown: Sequence[str], wanted: str) -> None:
    """Say which tensors of a model a checkpoint lacks, and which it holds that the model does not know.

    Raises:
        InputError: either is not empty.
    """
    if missing:
        others = f", but {listed(unknown)}" if unknown else ""
        raise InputError(f"{source}: found no weights {listed(missing)}{others}, wanted {wanted}")
    if unknown:
        raise InputError(f"{source}: found unknown weights {listed(unknown)}, wanted {wanted}")


def check_finite(source: str | Path, tensors: Mapping[str, "Tensor"]) -> None:
    """Check that no tensor of floating point holds NaN or infinity: one pass each, without a copy.

    Raises:
        InputError: one does.
    """
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or not tensor.numel():
            continue
        # Both ends of a tensor with a NaN are NaN.
        if not all(math.isfinite(float(end)) for end in tensor.detach().aminmax()):
            bad = int((~tensor.isfinite()).sum())
            raise InputError(
                f"{source}: {name}: found {bad} of {tensor.numel()} values NaN or infinite, "
                "wanted finite values"
            )


@contextmanager
def loading(source: str | Path, wanted: str) -> Iterator[None]:
    """Let a library read a checkpoint: whatever it finds wrong, in classes of its own, becomes one line.

    Raises:
        InputError: the library raised something else than that memory ran out.
    """
    import torch

    try:
        yield
    except (InputError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise InputError(f"{source}: cannot be loaded ({one_line(error)}), wanted {wanted}") from error


def listed(names: Sequence[str]) -> str:
    """The first of some names, and how many there are beside them."""
    ordered = sorted(names)
    more = f" and {len(ordered) - _NAMED} more" if len(ordered) > _NAMED else ""
    return f"{', '.join(ordered[:_NAMED])}{more}"
