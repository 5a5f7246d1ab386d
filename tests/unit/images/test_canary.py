"""The canary: what transformers itself draws is what it compares with, and a difference warns and is recorded."""

import json
import logging

import pytest
import torch

from ear.images.canary import compare
from ear.models.catalogue import Canary
from tests.tiny import tiny_backbone

PROMPT = "a photo of a church"


@pytest.fixture(scope="module")
def backbone():
    return tiny_backbone()


@pytest.fixture(scope="module")
def known(backbone):
    """What transformers' own test does: the processor alone, without a chat template, and greedy tokens."""
    inputs = backbone.processor(text=[PROMPT], padding=True, generation_mode="image", return_tensors="pt")
    with torch.no_grad():
        drawn = backbone.model.generate(
            **inputs, generation_mode="image", do_sample=False, guidance_scale=5.0
        )
    return Canary(
        prompt=PROMPT,
        prompt_tokens=inputs["input_ids"].shape[1],
        guidance=5.0,
        tokens=drawn[0, :6].tolist(),
        source="transformers",
    ).model_dump()


def test_what_transformers_draws_agrees_without_a_word(backbone, known, tmp_path, caplog):
    record = compare(backbone, known, tmp_path / "canary.json")
    assert record["agree"] == 6 and len(set(known["tokens"])) > 2
    assert record["tokens"]["found"] == known["tokens"]
    assert json.loads((tmp_path / "canary.json").read_text()) == record
    assert not caplog.records


def test_another_token_warns_and_says_how_far_they_agree(backbone, known, tmp_path, caplog):
    tokens = [*known["tokens"][:4], known["tokens"][4] + 1, known["tokens"][5]]
    with caplog.at_level(logging.WARNING):
        record = compare(backbone, known | {"tokens": tokens}, tmp_path / "canary.json")
    assert record["agree"] == 4
    (warning,) = caplog.messages
    assert "the first 4 of 6 image tokens agree with transformers" in warning
    assert f"the next is {known['tokens'][4]}, wanted {tokens[4]}" in warning


def test_another_number_of_prompt_tokens_warns(backbone, known, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        compare(backbone, known | {"prompt_tokens": 17}, tmp_path / "canary.json")
    assert "found 7 prompt tokens, wanted 17" in caplog.messages[0]
