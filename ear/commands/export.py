"""Export: a backbone with edited weights in it, as a folder that transformers alone loads and draws with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import GenerationConfig

from ear.commands.model_card import AUTHORS_FILE, CARD, model_card
from ear.erasure.edited_weights import edited, load_edited_for
from ear.erasure.release import write_authors_weights
from ear.errors import InputError
from ear.models.backbone import Backbone
from ear.workflow.files import atomic_path, sha256_file


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
    folder: str | Path, backbone: Backbone, weights: Mapping[str, Tensor], guidance: float, card: str
) -> None:
    """Write a model with edited weights in it; its folder appears whole, in place of what is there.

    It holds all weights in the backbone's dtype, configs, processor, tokenizer, the replaced weights in the
    authors' format, and the model card. The backbone is left as it was found.

    Raises:
        InputError: transformers cannot draw with the guidance.
    """
    if guidance <= 1:
        raise InputError(
            f"guidance: found {guidance}, wanted more than 1: transformers renders images with guidance only"
        )
    with edited(backbone, weights), atomic_path(folder) as partial:
        backbone.save(partial)
        _generation_config(backbone, guidance).save_pretrained(partial)
        write_authors_weights(partial / AUTHORS_FILE, weights)
        (partial / CARD).write_text(card, encoding="utf-8")


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
