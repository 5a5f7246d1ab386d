"""A canary: the first tokens that a checkpoint draws, beside those that it is known to draw.

It tells whether checkpoint, tokenizer and sampling loop are those of others, before hours are spent on them.
It warns and stops nothing: on another GPU, library or precision rounding may turn a token, and all after it.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ear.images.sampling import Guidance, random_numbers, sample
from ear.models.backbone import Backbone, Tokens
from ear.workflow.files import write_json

logger = logging.getLogger(__name__)


def compare(backbone: Backbone, known: Mapping[str, Any], path: str | Path) -> dict[str, Any]:
    """Draw a prompt greedily, without a chat template, and compare the first tokens with the known ones.

    Args:
        backbone: the frozen model.
        known: keys of ``ear.models.catalogue.Canary``.
        path: of the record, JSON.

    Returns:
        The record: prompt tokens and image tokens, found and wanted; ``agree``, how many of the first tokens
        are the same.
    """
    wanted = list(known["tokens"])
    raw = backbone.encode([known["prompt"]], "raw")
    begin = torch.full_like(raw.ids[:, :1], backbone.tokenizer.boi_token_id)
    prompt = Tokens(torch.cat([raw.ids, begin], 1), torch.cat([raw.mask, torch.ones_like(begin)], 1))
    steps = min(len(wanted), backbone.num_image_tokens)
    found = sample(backbone, prompt, random_numbers([0], steps), Guidance(known["guidance"]), 0.0)[0].tolist()
    agree = next((step for step in range(steps) if found[step] != wanted[step]), steps)
    device = torch.cuda.get_device_name() if backbone.device.type == "cuda" else backbone.device.type
    record = {
        "source": known["source"],
        "prompt": known["prompt"],
        "guidance": known["guidance"],
        "prompt_tokens": {"found": prompt.length, "wanted": known["prompt_tokens"]},
        "tokens": {"found": found, "wanted": wanted},
        "agree": agree,
        "dtype": str(backbone.model.dtype).removeprefix("torch."),
        "device": device,
    }
    if prompt.length != known["prompt_tokens"]:
        logger.warning(
            "canary: found %d prompt tokens, wanted %d as in %s: check the tokenizer",
            prompt.length,
            known["prompt_tokens"],
            known["source"],
        )
    if agree < len(wanted):
        logger.warning(
            "canary: the first %d of %d image tokens agree with %s; the next is %s, wanted %d: if few agree, "
            "check the checkpoint, the tokenizer and the versions; if many, rounding is the likely cause",
            agree,
            len(wanted),
            known["source"],
            found[agree] if agree < len(found) else "missing",
            wanted[agree],
        )
    write_json(path, record)
    return record
