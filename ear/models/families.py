"""Families of models: the class that drives a checkpoint, by the ``model_type`` of its config.json."""

from importlib import import_module
from pathlib import Path
from typing import Any

from transformers import PreTrainedConfig

from ear.errors import InputError
from ear.models.backbone import DTYPES, Backbone
from ear.models.weights import check_file, check_finite

LIQUID = ("ear.models.liquid", "Liquid")
FAMILIES = {
    "janus": ("ear.models.janus", "Janus"),
    "emu3": ("ear.models.emu3", "Emu3"),
    "gemma": LIQUID,
    "llama": LIQUID,
}
"""Model type → module and class. A plain language model is a Liquid: an image tokenizer lies beside it."""
DEEPSEEK = "multi_modality"  # model type of DeepSeek's own format
WANTED = (
    f"a {' or '.join(sorted({name for _, name in FAMILIES.values()}))} model in transformers' format, "
    "such as deepseek-community/Janus-Pro-1B"
)


def load_backbone(
    reference: str,
    dtype: str,
    device: str,
    revision: str | None = None,
    rounded: bool = True,
    top_k: int | None = None,
    **drawing: Any,
) -> Backbone:
    """Load a checkpoint of transformers' format; its type is checked before weights are allocated.

    Args:
        reference: a folder made by ``save_pretrained``, or a hub id ("deepseek-community/Janus-Pro-7B").
        dtype: "float32", "float64" or "bfloat16".
        device: "cpu" or "cuda".
        revision: commit of the hub repository; none for a folder.
        rounded: see :class:`~ear.models.backbone.Backbone`, as for ``top_k``.
        drawing: drawing settings, of the family's ``drawing_keys``; None stands for the family's own value.

    Raises:
        InputError: there is no whole model of a known family at ``reference``, its tokenizer is not one of
            the family, or a drawing setting is not.
    """
    if Path(reference).is_dir():
        check_file(Path(reference) / "config.json", f"that of {WANTED}")
    try:
        settings, _ = PreTrainedConfig.get_config_dict(reference, revision=revision)
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{reference}: found no config.json ({reason}), wanted a folder or hub id of {WANTED}"
        ) from error
    if (kind := settings.get("model_type")) not in FAMILIES or "quantization_config" in settings:
        found = f"quantised {kind!r}" if kind in FAMILIES else repr(kind)
        whose = ", DeepSeek's own format" if kind == DEEPSEEK else ""
        known = " or ".join(map(repr, FAMILIES))
        raise InputError(
            f"{reference}: config.json: model_type: found {found}{whose}, wanted {known}: {WANTED}"
        )
    module, name = FAMILIES[kind]
    family: type[Backbone] = getattr(import_module(module), name)
    own = {key: value for key, value in drawing.items() if value is not None}
    for key in own.keys() - {*family.drawing_keys}:
        raise InputError(
            f"{reference}: {key}: found {own[key]!r}, wanted none: {kind} models have no such setting"
        )
    backbone = family.load(reference, settings, DTYPES[dtype], revision, rounded=rounded, **own)
    backbone.top_k = top_k
    backbone.model.to(device)
    check_finite(reference, backbone.model.state_dict())
    backbone.check_tokenizer()
    return backbone
