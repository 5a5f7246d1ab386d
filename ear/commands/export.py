"""Export: a backbone with edited weights in it, as a folder that transformers alone loads and draws with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import GenerationConfig

from ear.commands.model_card import AUTHORS_FILE, CARD, model_card
from ear.erasure.edited_weights import apply_edited, load_edited, put_weights
from ear.erasure.release import write_authors_weights
from ear.errors import InputError
from ear.models.janus import Backbone
from ear.workflow.files import atomic_path, sha256_file


def export_model(
    folder: str | Path,
    backbone: Backbone,
    edited: str | Path,
    metrics: str | Path,
    subject: Mapping[str, Any],
) -> None:
    """Write an erased model; its folder appears whole.

    It holds all weights in the backbone's dtype, configs, processor, tokenizer, the replaced weights in the
    authors' format, and the model card. The backbone is left as it was found.

    Args:
        folder: of the model; what is there is replaced.
        backbone: the frozen model that the edited weights were made from.
        edited: a weights.safetensors.
        metrics: tables/metrics.csv, where the card's numbers come from.
        subject: what was erased, and how the card's sample code makes an image (``model_card``).

    Raises:
        InputError: the edited weights do not belong to the backbone, a file is missing or damaged, or
            transformers cannot draw with the guidance.
    """
    if subject["guidance"] <= 1:
        found = f"sampling.guidance: found {subject['guidance']}"
        raise InputError(f"{found}, wanted more than 1: transformers renders images with guidance only")
    weights, facts = load_edited(edited)
    card = model_card(facts, list(weights), sha256_file(edited), metrics, subject)
    replaced = apply_edited(backbone, edited)
    try:
        with atomic_path(folder) as partial:
            backbone.model.save_pretrained(partial)
            backbone.processor.save_pretrained(partial)
            _generation_config(backbone, subject["guidance"]).save_pretrained(partial)
            write_authors_weights(partial / AUTHORS_FILE, weights)
            (partial / CARD).write_text(card, encoding="utf-8")
    finally:
        put_weights(backbone, replaced)


def _generation_config(backbone: Backbone, guidance: float) -> GenerationConfig:
    """The backbone's, with what ``generate(generation_mode="image")`` looks up there."""
    tokenizer = backbone.processor.tokenizer
    settings = backbone.model.generation_config.to_diff_dict()
    # One derived from a model's config says so in a private key, and generation_kwargs would not be loaded.
    settings = {key: value for key, value in settings.items() if not key.startswith("_")}
    settings |= {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "guidance_scale": guidance,
        "generation_kwargs": {
            **settings.get("generation_kwargs", {}),
            "boi_token_id": tokenizer.convert_tokens_to_ids(tokenizer.boi_token),
        },
    }
    return GenerationConfig(**settings)
