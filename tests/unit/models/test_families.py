"""Every family against transformers' ``generate``, and against naive loops that share nothing with it."""

from copy import deepcopy
from dataclasses import replace
from functools import cache, partial

import numpy
import pandas as pd
import pytest
import torch

from ear.erasure.sequences import cuts, load_sequences, made_from, sample_sequences, save_sequences
from ear.erasure.trainer import Trainer
from ear.erasure.variants import MIXED, VARIANTS
from ear.errors import InputError
from ear.evaluation.attacks.search import case_losses, open_prompts, token_gradients
from ear.images.batching import BatchSize
from ear.images.rendering import render_prompts
from ear.images.sampling import Guidance, random_numbers, sample_prompts
from ear.images.tokens import SavedTokens, read_tokens
from tests import oracles
from tests.oracles_families import told
from tests.tiny import tiny_backbone
from tests.tiny_emu3 import tiny_emu3
from tests.tiny_liquid import tiny_liquid
from tests.unit.erasure.test_erasure import chosen

LONG = "a photo of a red church on a hill at night in the style of van gogh"
"""Longer than all that is drawn here."""
FACTORIES = {
    "janus": tiny_backbone,
    "liquid": tiny_liquid,
    "emu3": tiny_emu3,
    "emu3-tall": partial(tiny_emu3, grid=(4, 3), frames=4, negative_prompt=LONG),
}
"""Name → a tiny random backbone; drawn by ``generate`` are those whose oracle has a ``generated``."""
GENERATED = [name for name in FACTORIES if name.startswith("emu3")]
families = pytest.mark.parametrize("name", FACTORIES)

PROMPTS = [
    "a church",
    "a red house",
    "a tree at night",
    "a photo of a church",
    "a photo of a tree",
    "a photo of a red house",
    "a church on a hill at night",
    "a photo of a red church on a hill at night",
]
PAIRS = [
    ("a", "a photo of a church on a hill at night", "a photo of a red house on a hill", "a red tree"),
    ("b", "a church", "a tree at night", "a photo of a house at night"),
]


@cache
def backbone(name, dtype="float64"):
    """Not to be changed."""
    return FACTORIES[name](dtype=dtype)


def drawn(one, prompts, temperature=0.7, scale=3.0, seeds=None):
    seeds = range(len(prompts)) if seeds is None else seeds
    return sample_prompts(one, prompts, list(seeds), "chat", Guidance(scale), temperature)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", GENERATED)
def test_greedy_drawing_equals_generate(name, dtype):
    one = backbone(name, dtype)
    found = drawn(one, PROMPTS, temperature=0)
    assert torch.equal(found, told(one).generated(PROMPTS, 3.0))
    assert len({len(one.encode([prompt], "chat").ids[0]) for prompt in PROMPTS}) >= 7
    assert len(found.unique(dim=0)) >= 7, "a dull model: most prompts draw alike"


@pytest.mark.parametrize("name", ["emu3", "emu3-tall"])
def test_prompts_of_any_length_leave_room_for_forced_tokens(name):
    """The cache grows in blocks, which hide one that is too narrow for most lengths."""
    one = backbone(name)
    for length in range(1, 17):
        prompts = [" ".join(["tree"] * length)]
        assert drawn(one, prompts, temperature=0).shape == (1, one.num_image_tokens)


@pytest.mark.parametrize(
    ("negative", "given"), [("a tree", 0), (LONG, 2), (LONG, 3), ("a tree", 4), (LONG, 5), (LONG, 8)]
)
@families
def test_sampled_codes_equal_the_naive_loop(name, negative, given):
    """Prefixes end before, at and after the ends of rows of three and of four."""
    one, prompts = backbone(name), [PROMPTS[0], PROMPTS[5], PROMPTS[7]]
    generator = torch.Generator().manual_seed(given)
    prefix = torch.randint(one.codebook_size, (len(prompts), given), generator=generator)
    guidance = Guidance(3.0, negative, 0.5)
    found = sample_prompts(one, prompts, [4, 5, 6], "chat", guidance, 0.7, prefix=prefix if given else None)
    for row, prompt in enumerate(prompts):
        numbers = random_numbers([4 + row], one.num_image_tokens)[0]
        options = {"prefix": prefix[row].tolist(), "negative": negative, "strength": 0.5}
        wanted = oracles.sample_one(one, prompt, numbers, 3.0, 0.7, **options)
        assert found[row].tolist() == wanted


@pytest.mark.parametrize(
    ("method", "window", "changes"),
    [
        ("paper", 4, {"micro_batch": 64}),
        ("ear", 3, {"micro_batch": 2, "eta": 0.5, "threshold": 1.0}),
        ("ear", 4, {"rows": "conditional", "optimiser": "sgd"}),
        ("wga", 5, {"micro_batch": 3, "tail": "keep"}),
        ("single-step", 1, {"layers": 1}),
        ("obliviate", 12, {"micro_batch": 5}),
        ("gradient-ascent", 7, {"micro_batch": 4, "passes": 2}),
        ("prefix-redirect", 12, {"micro_batch": 4}),
        ("prefix-redirect", 4, {"micro_batch": 3, "cuts": 2, "context": "mixed"}),
    ],
)
@pytest.mark.parametrize("name", [*GENERATED, "liquid"])
def test_edited_weights_equal_the_naive_loop(name, method, window, changes):
    """Rows end before, at and after the bounds of windows and micro-batches."""
    one = deepcopy(backbone(name))
    settings = chosen(replace(VARIANTS[method], order="file"), **{"learning_rate": 1e-2, **changes})
    variant = settings.variant
    sequences = sample_sequences(one, PAIRS, variant.context, variant.encoding, 7, 2.0, 1.0, batch_size=5)
    trainer = Trainer(one, PAIRS, sequences, settings, seed=1)
    log = trainer.run(window, desc="test")
    found, before = trainer.weights(), trainer._frozen
    trainer.restore()
    if variant.context in MIXED:
        steps = one.num_image_tokens
        sequences["cuts"] = torch.stack([cuts(pair_id, variant.cuts, steps) for pair_id, *_ in PAIRS])
    threshold = settings.threshold and settings.threshold.value
    wanted, history = oracles.train(one, PAIRS, sequences, settings, window, threshold)
    assert log["skipped"].tolist() == [skipped for _, skipped in history]
    assert log["loss"].tolist() == pytest.approx([loss for loss, _ in history], rel=1e-11, abs=1e-12)
    for (module, weight), naive in zip(found.items(), wanted, strict=True):
        assert (weight - naive).abs().max() <= 1e-12
        assert (weight - before[module]).abs().max() > 1e-6


PIXELS = [name for name in GENERATED if hasattr(told(backbone(name)), "pictures")]


@pytest.mark.parametrize("name", PIXELS)
def test_pictures_are_those_of_transformers(name):
    """It cuts fractions off where we round."""
    one = backbone(name)
    codes = drawn(one, PROMPTS[:3])
    found, wanted = list(one.pixels(codes)), told(one).pictures(codes)
    for mine, theirs in zip(found, wanted, strict=True):
        assert mine.shape == (*one.image_size, 3) and mine.std() > 10
        assert numpy.abs(mine.astype(int) - theirs).max() <= 1
    assert one.image_size[0] != one.image_size[1]


@families
def test_likelihoods_and_gradients_of_attacks_equal_a_naive_pass(name):
    one = backbone(name)
    family, codes = told(one), drawn(one, PROMPTS[:2], seeds=[8, 9])
    words = torch.tensor(one.tokenizer.convert_tokens_to_ids(["tree", "red", "night"]))
    cases = [
        (opened, words[:2], codes[row])
        for row, opened in enumerate(open_prompts(one, [PROMPTS[0], PROMPTS[7]]))
    ]
    losses, gradients = case_losses(one, cases), token_gradients(one, cases, words)
    words_known = one.model.get_input_embeddings().num_embeddings
    matrix = family.embed(list(range(words_known)))  # Gemma's are scaled
    for row, (opened, appended, image) in enumerate(cases):
        one_hot = torch.nn.functional.one_hot(appended, len(matrix)).double().requires_grad_()
        text = torch.cat([matrix[opened.head], one_hot @ matrix, matrix[opened.tail]])
        states = oracles.states_behind(one, text, image[:-1].tolist())[len(text) - 1 :]
        loss = torch.nn.functional.cross_entropy(family.head(states), image)
        (wanted,) = torch.autograd.grad(loss, one_hot)
        assert losses[row].item() == pytest.approx(loss.item(), rel=1e-6)
        torch.testing.assert_close(gradients[row], wanted[:, words].float(), atol=1e-6, rtol=1e-4)


@families
def test_an_image_is_the_same_in_any_batch_and_order(name):
    one, prompts = backbone(name, "float32"), PROMPTS[3:]
    together = drawn(one, prompts)
    backwards = drawn(one, prompts[::-1], seeds=range(len(prompts) - 1, -1, -1))
    alone = torch.cat([drawn(one, [prompt], seeds=[row]) for row, prompt in enumerate(prompts)])
    assert torch.equal(together, backwards.flip(0)) and torch.equal(together, alone)


CHANGED = {
    "emu3": [{"negative_prompt": "a dog"}, {"grid": (2, 6)}, {"grid": (4, 3)}],
}
"""Name → drawing settings of which each gives other images."""


@pytest.mark.parametrize(("name", "change"), [(name, one) for name in CHANGED for one in CHANGED[name]])
def test_another_drawing_setting_redraws(name, change, tmp_path):
    one = FACTORIES[name]()
    own = {"negative_prompt": one.negative_prompt, "grid": one.grid}
    other = type(one)(one.model, one.processor, **{**own, **change})
    guidance, columns = Guidance(3.0), ["prompt_id", "prompt_set", "prompt", "object", "window"]
    rows = pd.DataFrame([["a", "unsafe", PROMPTS[0], "church", 0]], columns=columns)

    def rendered(by, folder):
        saved = SavedTokens(folder / "tokens.safetensors", by, guidance, 1.0)
        found = render_prompts(by, rows, folder, 3, guidance, 1.0, BatchSize(2), "test", saved=saved)
        saved.finish(zip(found["prompt"], found["seed"], strict=True))
        return found["sha256"].tolist()

    assert rendered(one, tmp_path) == rendered(one, tmp_path)
    save_sequences(tmp_path / "pairs", {"unsafe": drawn(one, PROMPTS[:2])}, made_from(one, PAIRS))
    with pytest.raises(InputError, match=r"found tokens of weights .* wanted tokens of weights"):
        read_tokens([tmp_path / "tokens.safetensors"], other, guidance, 1.0)
    with pytest.raises(InputError, match="found sequences of other weights or pairs"):
        load_sequences(tmp_path / "pairs", made_from(other, PAIRS), "aligned")
    (tmp_path / "new").mkdir()
    old, found = rendered(one, tmp_path), rendered(other, tmp_path)
    assert found == rendered(other, tmp_path / "new") != old
