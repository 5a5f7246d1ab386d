"""Export: a backbone with edited weights in it, as a folder that transformers alone loads and draws with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor
from transformers import GenerationConfig

from ear.commands.model_card import ADAPTER, AUTHORS_FILE, CARD, model_card
from ear.erasure.edited_weights import Weight, backbone_facts, edited, load_edited_for
from ear.erasure.lora import A, B, LowRank
from ear.erasure.release import whole_weights, write_authors_weights
from ear.errors import InputError
from ear.models.backbone import Backbone
from ear.workflow.files import atomic_path, sha256_file, write_json

NO_TARGETS = "dummy-target-modules"
"""PEFT's name for no module at all: an adapter without factors, of whole weights alone."""


def export_model(
    folder: str | Path,
    backbone: Backbone,
    weights_file: str | Path,
    metrics: str | Path,
    subject: Mapping[str, Any],
) -> None:
    """Write an erased model (:func:`write_model`) with a card of all that was measured.

    Args:
        folder: of the model.
        backbone: the frozen model that the edited weights were made from.
        weights_file: a weights.safetensors.
        metrics: tables/metrics.csv, where the card's numbers come from.
        subject: what was erased, and how the card's sample code makes an image (``model_card``).

    Raises:
        InputError: the edited weights do not belong to the backbone, a file is missing or damaged, or
            transformers cannot draw with the guidance.
    """
    weights, facts = load_edited_for(backbone, weights_file)
    of_card = {"family": backbone.family, **subject}
    card = model_card(facts, list(weights), sha256_file(weights_file), metrics, of_card)
    write_model(folder, backbone, weights, subject["guidance"], card)


def write_model(
    folder: str | Path, backbone: Backbone, weights: Mapping[str, Weight], guidance: float, card: str
) -> None:
    """Write a model with edited weights in it; its folder appears whole, in place of what is there.

    It holds all weights in the backbone's dtype, configs, processor, tokenizer, the change as a PEFT adapter,
    whole weights in the authors' format too, and the model card. The backbone is left as it was found.

    Raises:
        InputError: transformers cannot draw with the guidance.
    """
    if guidance <= 1:
        raise InputError(
            f"guidance: found {guidance}, wanted more than 1: transformers renders images with guidance only"
        )
    reference = backbone_facts(backbone).reference
    with edited(backbone, weights), atomic_path(folder) as partial:
        backbone.save(partial)
        _generation_config(backbone, guidance).save_pretrained(partial)
        write_adapter(partial / ADAPTER, backbone, weights, reference)
        if whole := whole_weights(weights):
            write_authors_weights(partial / AUTHORS_FILE, whole)
        (partial / CARD).write_text(card, encoding="utf-8")


def write_adapter(folder: Path, backbone: Backbone, weights: Mapping[str, Weight], reference: str) -> None:
    """Write weights by module name as an adapter that PEFT's ``from_pretrained`` puts on the frozen model.

    Low-rank factors are a LoRA. Whole weights are PEFT's ``modules_to_save``, which take the modules' place.
    """
    parts = backbone.model.named_modules()
    language_model = next(name for name, module in parts if module is backbone.language_model)
    config: dict[str, Any] = {"peft_type": "LORA", "base_model_name_or_path": reference}
    tensors: dict[str, Tensor] = {}
    for name, new in weights.items():
        module = f"base_model.model.{language_model}.{name}"
        if isinstance(new, LowRank):
            config |= {"r": len(new.a), "lora_alpha": new.alpha}
            tensors |= {f"{module}.{A}.weight": new.a, f"{module}.{B}.weight": new.b}
        else:
            tensors[f"{module}.weight"] = new.detach().cpu().contiguous()
    changed = [f"{language_model}.{name}" for name in weights]
    if "r" in config:
        config["target_modules"] = changed
    else:
        config |= {"target_modules": NO_TARGETS, "modules_to_save": changed}
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    write_json(folder / "adapter_config.json", config)


def _generation_config(backbone: Backbone, guidance: float) -> GenerationConfig:
    """The backbone's, with what ``generate(generation_mode="image")`` looks up there."""
    tokenizer = backbone.tokenizer
    settings = backbone.model.generation_config.to_diff_dict()
    # One derived from a model's config says so in a private key, and generation_kwargs would not be loaded.
    settings = {key: value for key, value in settings.items() if not key.startswith("_")}
    settings |= {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "guidance_scale": guidance,
    }
    if backbone.family == "janus":
        begin = tokenizer.convert_tokens_to_ids(tokenizer.boi_token)
        settings["generation_kwargs"] = settings.get("generation_kwargs", {}) | {"boi_token_id": begin}
    return GenerationConfig(**settings)
