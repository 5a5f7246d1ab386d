"""Files of weights: what one is before a library reads it, and whether what was loaded is whole.

Every loader asks here, so that a checkpoint that is not what its name says ends in one line, and never in a
model with random, cast or broken weights: libraries fill what they miss and go on. Without torch, since
assets are fetched without it too.
"""

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

    Args:
        path: the file, or a link to it.
        suffix: the end of the name that counts (".safetensors"); the file's own without it.
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
    if suffix == ".safetensors":
        try:
            with safe_open(path, framework="numpy"):
                return None
        except SafetensorError as error:
            # The length of a header, a number of eight bytes, may begin like a pickle, and ends in zeros.
            if start.startswith(PICKLE_STARTS) and start[4:8] != bytes(4):
                return "a pickle, which may hold code and is not opened"
            return f"no whole safetensors file ({one_line(error)})"
    if suffix in _SAVED:
        if not start.startswith(PICKLE_STARTS):
            return "no whole file of torch.save"
        if start.startswith(PICKLE_STARTS[0]) and not zipfile.is_zipfile(path):
            return "no whole file of torch.save: cut off or damaged"
        return None
    if suffix == ".zip":
        return None if zipfile.is_zipfile(path) else "no whole zip archive"
    return _json_fault(path, text) if suffix == ".json" else None


def _json_fault(path: Path, start: bytes) -> str | None:
    """By its ends alone: some are large. A bare word or number is JSON too, but no asset's."""
    with path.open("rb") as handle:
        handle.seek(max(0, path.stat().st_size - _START))
        end = handle.read().rstrip()
    ends = {b"{": b"}", b"[": b"]"}.get(start[:1])
    if ends is None:
        return "no JSON"
    return None if end.endswith(ends) else "JSON that is cut off"


def check_file(path: str | Path, wanted: str, suffix: str | None = None) -> None:
    """Check that a file is there and is what the end of its name says.

    Args:
        path: the file.
        wanted: what it should be, for the error: "edited weights".
        suffix: see :func:`fault`.

    Raises:
        InputError: it is missing, cannot be read, or is something else.
    """
    path = Path(path)
    try:
        found = fault(path, suffix)
    except FileNotFoundError:
        raise InputError(f"{path}: not found, wanted {wanted}") from None
    except OSError as error:
        reason = error.strerror
        raise InputError(f"{path}: found no file that can be read ({reason}), wanted {wanted}") from None
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
    for path in sorted(Path(folder).glob("*.json")):
        check_file(path, f"that of {wanted}")
    files = weight_files(folder, wanted, names)
    for path in files:
        check_file(path, f"weights of {wanted}")
        check_dtypes(path, dtypes(path))
    return files


def weight_files(folder: str | Path, wanted: str, names: Sequence[str] = WEIGHT_FILES) -> list[Path]:
    """The files that hold a model's weights: one, or the shards that an index lists.

    Raises:
        InputError: there are none, or the index is not one.
    """
    folder = Path(folder)
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
    return {name: dtype for name, (dtype, _) in _tensors(path).items()}


def elements(path: Path) -> int:
    """Numbers in a whole file of weights. No data are read."""
    return sum(count for _, count in _tensors(path).values())


def _tensors(path: Path) -> dict[str, tuple[str, int]]:
    """The tensors of a whole file → dtype and number of elements."""
    if path.suffix == ".safetensors":
        with safe_open(path, framework="numpy") as handle:
            slices = {name: handle.get_slice(name) for name in handle.keys()}  # noqa: SIM118 - no mapping
            return {name: (one.get_dtype(), math.prod(one.get_shape())) for name, one in slices.items()}
    import torch

    with loading(path, "tensors alone, saved by torch"):
        content = torch.load(path, weights_only=True, map_location="meta")
        return {name: (str(tensor.dtype), tensor.numel()) for name, tensor in content.items()}


def check_dtypes(source: str | Path, found: Mapping[str, str]) -> None:
    """Check that weights are numbers of floating point; libraries cast quantised ones without their scales.

    Args:
        source: where they are from, for the error.
        found: tensor → dtype, in the words of safetensors or of torch.

    Raises:
        InputError: one is quantised, or whole numbers.
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
    mismatched = [entry if isinstance(entry, str) else entry[0] for entry in report["mismatched_keys"]]
    unknown = [name for name in report["unexpected_keys"] if not name.endswith(NOT_LOADED)]
    check_names(source, missing=report["missing_keys"], unknown=unknown, wanted=wanted)
    if mismatched:
        shapes = next((entry[1:3] for entry in report["mismatched_keys"] if not isinstance(entry, str)), ())
        told = [str(tuple(shape)) for shape in shapes]
        found = f"found shape {told[0]}, wanted {told[1]}" if told else "found other shapes"
        raise InputError(f"{source}: {listed(mismatched)}: {found}, as config.json has it for {wanted}")
    if problems := report.get("error_msgs"):
        raise InputError(f"{source}: {one_line(problems[0])}, wanted {wanted}")


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
    """Check that no tensor holds NaN or infinity: one pass each, where the tensor is, without a copy.

    Args:
        source: where they are from, for the error.
        tensors: name → tensor; those of whole numbers are passed over.

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

    Args:
        source: the file or folder.
        wanted: what it should be.

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
