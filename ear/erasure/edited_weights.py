"""The saved result of a fine-tuning: the replaced weights, and what they were made from.

Edited weights are a safetensors file. Its tensors are named by the module of the language model whose
weight they replace ("layers.0.self_attn.q_proj.weight") or, of a method with LoRA, change by low-rank factors
("layers.0.self_attn.q_proj.lora_A.weight"); its metadata hold, under the key "ear", the JSON of
:class:`EditedFacts`. Equal training gives equal bytes: no times, no places on a machine. A job's windows.csv
lists its edited weights, one for each window length.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ear.erasure.lora import LowRank, factor_dtype, paired
from ear.errors import InputError
from ear.models.backbone import Backbone
from ear.models.weights import check_dtypes, check_file, check_finite, loading
from ear.workflow.files import atomic_path, read_csv, sha256_file
from ear.workflow.texts import parse_json, validated

FORMAT = "ear-edited-weights/3"
KEY = "ear"
SUFFIX = ".weight"
WANTED = f"edited weights ({FORMAT}, safetensors)"
Weight = Tensor | LowRank
"""A weight in place of a module's own, or the change of it."""
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj")
WINDOW_COLUMNS = ["window", "own", "file", "sha256", "threshold", "skipped_share"]

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class BackboneFacts(BaseModel):
    """A frozen backbone: hub id or folder, commit of the hub repository, fingerprint of all weights."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    reference: str
    revision: str | None
    sha256: Sha256

    def __str__(self) -> str:
        return f"{self.reference} (sha256 {self.sha256[:12]}…)".strip()


class EditedFacts(BaseModel):
    """What edited weights were made from. Keys beyond these are kept.

    Attributes:
        format: name and version of the file format.
        backbone: the frozen model θ*, as it stood before training.
        concept: erased concept; several that were erased together are joined by "+".
        method: name of the method.
        fine_tuning_seed: seed of the fine-tuning; None where it is not known.
        settings: settings of the method: variant, layers, η, learning rate, …
        window: W, image tokens; None where the method has none or it is not known.
        threshold: μ; None where windows are not skipped or it is not known.
        versions: package → version that trained it.
        pairs_sha256: hash of the table of prompt pairs, or of several as ``ear.erasure.joint`` says; None
            where it is not known.
    """

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    format: Literal["ear-edited-weights/3"]
    backbone: BackboneFacts
    concept: str
    method: str
    fine_tuning_seed: int | None
    settings: dict[str, Any]
    window: int | None
    threshold: FiniteFloat | None
    versions: dict[str, str]
    pairs_sha256: Sha256 | None


def backbone_facts(backbone: Backbone) -> BackboneFacts:
    """What a backbone is, as its weights stand now. Of an absolute folder the last part alone is kept."""
    reference = Path(backbone.reference)
    return BackboneFacts(
        reference=reference.name if reference.is_absolute() else backbone.reference,
        revision=backbone.revision,
        sha256=backbone.fingerprint(),
    )


def trained_modules(backbone: Backbone, layers: int, linears: bool = False) -> dict[str, nn.Linear]:
    """Attention projections, or all linear layers, of the first K decoder layers, by their name."""
    if linears:
        starts = tuple(f"layers.{index}." for index in range(layers))
        every = backbone.language_model.named_modules()
        return {name: one for name, one in every if name.startswith(starts) and isinstance(one, nn.Linear)}
    names = [f"layers.{index}.self_attn.{name}" for index in range(layers) for name in PROJECTIONS]
    return {name: backbone.language_model.get_submodule(name) for name in names}  # type: ignore[misc]


def save_edited(
    path: str | Path,
    weights: Mapping[str, Tensor],
    frozen: Mapping[str, str | None],
    metadata: Mapping[str, Any],
) -> None:
    """Write edited weights, atomically.

    Args:
        path: a .safetensors file.
        weights: module name in the language model ("layers.0.self_attn.q_proj") → new weight, or with a
            factor's name behind it ("….q_proj.lora_A") → factor.
        frozen: the :class:`BackboneFacts` of θ*, taken before training.
        metadata: the other fields of :class:`EditedFacts`, and further ones that JSON can hold.

    Raises:
        InputError: a weight is not finite, or a field is missing or of the wrong kind.
    """
    tensors = {f"{name}{SUFFIX}": tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    check_finite(path, tensors)
    facts = validated({"format": FORMAT, "backbone": dict(frozen), **metadata}, EditedFacts, path)
    text = json.dumps(facts.model_dump(), sort_keys=True, allow_nan=False)
    with atomic_path(path) as partial:
        save_file(tensors, partial, metadata={KEY: text})


def load_edited(path: str | Path) -> tuple[dict[str, Weight], EditedFacts]:
    """Read edited weights: (weights by module name, what they were made from). Never runs code from the file.

    Raises:
        InputError: the file is missing, not safetensors, truncated, not a set of edited weights of this
            format, or holds values that are not finite.
    """
    check_file(path, WANTED, ".safetensors")
    with loading(path, WANTED), safe_open(path, framework="pt") as handle:
        tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
        text = (handle.metadata() or {}).get(KEY)
    if text is None:
        raise InputError(f"{path}: found no metadata {KEY!r}, wanted {WANTED}")
    where = f"{path}: metadata"
    facts = validated(parse_json(text, where, f"wanted {WANTED}"), EditedFacts, where)
    strange = sorted(name for name in tensors if not name.endswith(SUFFIX))
    if strange or not tensors:
        found = f"tensor {strange[0]!r}" if strange else "no tensors"
        raise InputError(f"{path}: found {found}, wanted weights named <module>{SUFFIX}")
    weights = {name.removesuffix(SUFFIX): tensor for name, tensor in tensors.items()}
    check_dtypes(path, {name: str(tensor.dtype) for name, tensor in tensors.items()})
    check_finite(path, tensors)
    lora = facts.settings.get("lora")
    return dict(weights if lora is None else paired(path, weights, lora)), facts


def flat(facts: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Names and values of nested facts: {"variant": {"context": …}} becomes "variant.context"."""
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def check_weights(source: str | Path, weights: Mapping[str, Weight], backbone: Backbone) -> None:
    """Check that weights could take the place of a backbone's own: modules, shapes and dtypes."""
    modules = dict(backbone.language_model.named_modules())
    for name, tensor in weights.items():
        module = modules.get(name)
        if not isinstance(module, nn.Linear):
            raise InputError(f"{source}: found module {name!r}, wanted a linear layer of the language model")
        dtype = module.weight.dtype
        for what, found, wanted in (
            ("shape", tuple(tensor.shape), tuple(module.weight.shape)),
            ("dtype", tensor.dtype, factor_dtype(dtype) if isinstance(tensor, LowRank) else dtype),
        ):
            if found != wanted:
                raise InputError(f"{source}: {name}{SUFFIX}: found {what} {found}, wanted {wanted}")


def load_edited_for(backbone: Backbone, path: str | Path) -> tuple[dict[str, Weight], EditedFacts]:
    """Read edited weights (:func:`load_edited`) that were made from a backbone.

    Raises:
        InputError: the file holds no whole edited weights, or was made from another backbone.
    """
    weights, facts = load_edited(path)
    check_weights(path, weights, backbone)
    found = backbone_facts(backbone)
    if found.sha256 != facts.backbone.sha256:
        raise InputError(
            f"{path}: found weights edited from backbone {facts.backbone}, wanted those of {found}: "
            "load the backbone that they were made from, or erase again with this one"
        )
    return weights, facts


@contextmanager
def edited(backbone: Backbone, weights: Mapping[str, Weight]) -> Iterator[None]:
    """The backbone has these weights, by module name, inside of the block, and its own after it."""
    modules = backbone.language_model.get_submodule
    # In the machine's own memory: with LoRA these are nearly all weights.
    replaced = {name: modules(name).get_parameter("weight").detach().to("cpu", copy=True) for name in weights}
    put_weights(backbone, weights)
    try:
        yield
    finally:
        put_weights(backbone, replaced)


@torch.no_grad()
def put_weights(backbone: Backbone, weights: Mapping[str, Weight]) -> None:
    """Copy weights into the language model's modules of those names, or add low-rank changes to them."""
    for name, new in weights.items():
        weight = backbone.language_model.get_submodule(name).get_parameter("weight")
        weight.copy_(new.added_to(weight) if isinstance(new, LowRank) else new)


@dataclass(frozen=True)
class Windows:
    """The edited weights of one (concept, method, seed).

    Attributes:
        own: the method's own window length; 0 for the original model, which has no edited weights.
        edited_weights: window length → file.
    """

    own: int
    edited_weights: Mapping[int, Path]

    def applied(self, backbone: Backbone, window: int) -> AbstractContextManager[None]:
        """The backbone has a window's edited weights inside of the block, and its own weights after it."""
        if not self.edited_weights:
            return nullcontext()
        return edited(backbone, load_edited_for(backbone, self.edited_weights[window])[0])


def read_windows(path: str | Path | None) -> Windows:
    """Read a windows.csv; None stands for the original model.

    Raises:
        InputError: a set of edited weights is missing or not the one that was listed.
    """
    if path is None:
        return Windows(own=0, edited_weights={})
    table = read_csv(path, WINDOW_COLUMNS)
    edited_weights = {}
    for window, name, wanted in zip(table["window"], table["file"], table["sha256"], strict=True):
        file = Path(path).parent / name
        found = sha256_file(file) if file.exists() else "no file"
        if found != wanted:
            raise InputError(
                f"{file}: found {found[:12]}, wanted the edited weights {wanted[:12]} that {path} lists: "
                "delete both and run the same command again"
            )
        edited_weights[int(window)] = file
    return Windows(own=int(table.loc[table["own"], "window"].iloc[0]), edited_weights=edited_weights)
