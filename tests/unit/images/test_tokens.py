"""Image tokens: what rendering saves is what it sampled, and nothing else is taken for it."""

import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from ear.errors import InputError
from ear.images.sampling import Guidance, sample_prompts
from ear.images.tokens import SavedTokens, read_tokens
from ear.workflow.files import sha256_file
from tests.tiny import tiny_backbone
from tests.unit.images.test_render import PLAIN, PROMPTS, render, watched

TEMPERATURE = 1.0


@pytest.fixture(scope="module")
def backbone():
    return tiny_backbone()


def rendered(backbone, path, prompts=PROMPTS):
    """The manifest of images whose tokens are saved."""
    saved = SavedTokens(path, backbone, PLAIN, TEMPERATURE)
    rows = render(backbone, path.parent / "shard0", prompts, saved=saved)
    saved.finish(images_of(rows))
    return rows


def images_of(rows):
    return list(zip(rows["prompt"], rows["seed"], strict=True))


@pytest.mark.parametrize(("codes", "dtype"), [(32, torch.uint8), (300, torch.int16)])
def test_the_tokens_of_a_manifest_are_those_of_its_images(tmp_path, codes, dtype):
    backbone = tiny_backbone(codes=codes)
    rows = rendered(backbone, tmp_path / "tokens.safetensors")
    wanted = sample_prompts(backbone, list(rows["prompt"]), list(rows["seed"]), "chat", PLAIN, TEMPERATURE)
    with safe_open(tmp_path / "tokens.safetensors", framework="pt") as handle:
        assert handle.get_tensor("tokens").dtype == dtype
        assert torch.equal(handle.get_tensor("tokens").long(), wanted)
    tokens = read_tokens([tmp_path / "tokens.safetensors"], backbone, PLAIN, TEMPERATURE)
    some = rows.iloc[[7, 2]]
    assert torch.equal(tokens.of(some["prompt"], some["seed"]), wanted[[7, 2]])


def test_images_are_sampled_again_where_either_is_missing_and_nothing_else(backbone, tmp_path, monkeypatch):
    path = tmp_path / "tokens.safetensors"
    rows = rendered(backbone, path)
    before = sha256_file(path)
    path.unlink()  # as Snakemake does before it runs a rule again
    sampled = watched(monkeypatch)
    assert rendered(backbone, path).equals(rows)
    assert sampled == [] and sha256_file(path) == before
    (tmp_path / ".tokens.safetensors").write_bytes(b"half")
    assert rendered(backbone, path).equals(rows)
    assert sorted(sampled) == sorted(rows["prompt"]) and sha256_file(path) == before
    sampled.clear()
    more = pd.concat([PROMPTS, PROMPTS[:1].assign(prompt_id="church/target/0010", prompt="a car")])
    assert rendered(backbone, path, more)["sha256"].tolist()[: len(rows)] == rows["sha256"].tolist()
    assert "a car" in sampled and len(sampled) <= 3  # its batch


@pytest.mark.parametrize(
    ("tensor", "line"),
    [
        (torch.full((1, 9), 32, dtype=torch.uint8), "found tokens from 32 to 32, wanted 0 to 31"),
        (torch.zeros(1, 9), "found float32 of shape (1, 9), wanted integers of shape (1, 9)"),
        (torch.zeros(1, 8).byte(), "found uint8 of shape (1, 8), wanted integers of shape (1, 9)"),
    ],
)
def test_what_are_no_tokens_of_the_model_is_one_line(backbone, tmp_path, tensor, line):
    path = tmp_path / "tokens.safetensors"
    rendered(backbone, path, PROMPTS[:1])
    with safe_open(path, framework="pt") as handle:
        metadata = handle.metadata()
    save_file({"tokens": tensor}, path, metadata=metadata)
    with pytest.raises(InputError) as caught:
        read_tokens([path], backbone, PLAIN, TEMPERATURE)
    assert str(caught.value) == f"{path}: {line}"


def test_tokens_of_anything_else_are_one_line(backbone, tmp_path):
    path = tmp_path / "tokens.safetensors"
    with pytest.raises(InputError, match="not found, wanted image tokens of the original model"):
        read_tokens([path], backbone, PLAIN, TEMPERATURE)
    rows = rendered(backbone, path, PROMPTS[:2])
    for others in ((tiny_backbone(1), PLAIN, 1.0), (backbone, Guidance(2.0), 1.0), (backbone, PLAIN, 0.5)):
        with pytest.raises(
            InputError, match=r"found tokens of weights .*, wanted tokens of weights .*: delete"
        ):
            read_tokens([path], *others)
    tokens = read_tokens([path], backbone, PLAIN, TEMPERATURE)
    with pytest.raises(InputError, match=r"tokens.safetensors: found no tokens of 'a car' with seed 5"):
        tokens.of(["a car"], [5])
    with pytest.raises(InputError, match=f"found no tokens of '{rows['prompt'][0]}' with seed 5"):
        tokens.of(rows["prompt"][:1], [5])
    save_file({"tokens": torch.zeros(1, 9, dtype=torch.uint8)}, path)
    with pytest.raises(InputError, match="cannot be loaded"):
        read_tokens([path], backbone, PLAIN, TEMPERATURE)
