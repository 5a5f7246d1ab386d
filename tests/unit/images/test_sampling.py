"""Sampling against a naive loop and against transformers' own generation."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ear.erasure.sequences import SEEDED_BY, sample_sequences
from ear.errors import InputError
from ear.images.sampling import Guidance, choose, guided, random_numbers, sample_prompts
from ear.workflow.seeding import stable_seed
from tests import oracles
from tests.tiny import tiny_backbone

PROMPTS = [
    "a church",
    "a photo of a red church on a hill at sunset in the style of Van Gogh",
    "there is a boat by the sea",
    "at night in a city, a car on fire",
    "a blue tree in the desert",
]


AWAY = "a church on fire in the style of Van Gogh"  # longer than some prompts and shorter than others
LONG = "we look at a photo of a red church on a hill at sunset, on fire, in the style of Van Gogh, at night"
SEEDS = list(range(len(PROMPTS)))


@pytest.fixture(scope="module")
def backbone():
    return tiny_backbone(dtype="float64")


@pytest.mark.parametrize(
    ("guidance", "encoding", "temperature"),
    [
        (Guidance(1.0), "raw", 0.7),
        (Guidance(5.0), "chat", 0),
        (Guidance(5.0), "chat", 0.7),
        (Guidance(2.0, AWAY, 1.5), "raw", 0),
        (Guidance(2.0, LONG, 1.5), "chat", 0.7),
    ],
)
def test_every_token_equals_the_naive_sampler(backbone, guidance, encoding, temperature):
    ours = sample_prompts(backbone, PROMPTS, SEEDS, encoding, guidance, temperature)
    for row, prompt in enumerate(PROMPTS):
        uniform = random_numbers([SEEDS[row]], backbone.num_image_tokens)[0]
        away = {"negative": guidance.negative, "strength": guidance.strength}
        wanted = oracles.sample_one(backbone, prompt, uniform, guidance.scale, temperature, encoding, **away)
        assert ours[row].tolist() == wanted
    assert temperature == 0 or len({tuple(row) for row in ours.tolist()}) == len(PROMPTS)  # no dull model


def test_the_logits_are_those_of_the_formula():
    logits = torch.tensor([[1.0, 4.0], [2.0, 2.0], [5.0, 0.0]])
    assert guided(logits, Guidance(3.0, "x", 2.0)).tolist() == [[2 + 3 * -1 - 2 * 3, 2 + 3 * 2 - 2 * -2]]
    assert guided(logits[:2], Guidance(3.0)).tolist() == [[-1.0, 8.0]]


@pytest.mark.parametrize(("negative", "strength"), [(None, 1.0), ("", 1.0), ("fire", -1.0)])
def test_a_strength_without_a_prompt_and_a_pull_are_refused(negative, strength):
    with pytest.raises(InputError, match="guidance: found strength"):
        Guidance(2.0, negative, strength)


@pytest.mark.parametrize("beginning", [1, 4, 9])
def test_tokens_after_a_prefix_equal_the_naive_sampler(backbone, beginning):
    generator = torch.Generator().manual_seed(5)
    prefix = torch.randint(backbone.codebook_size, (len(PROMPTS), beginning), generator=generator)
    ours = sample_prompts(backbone, PROMPTS, SEEDS, "chat", Guidance(1.5), temperature=0.7, prefix=prefix)
    for row, prompt in enumerate(PROMPTS):
        uniform = random_numbers([SEEDS[row]], backbone.num_image_tokens)[0]
        wanted = oracles.sample_one(backbone, prompt, uniform, 1.5, 0.7, prefix=prefix[row].tolist())
        assert ours[row].tolist() == wanted


def test_context_free_sequences_equal_the_naive_sampler(backbone):
    pairs = [("p", PROMPTS[0], PROMPTS[2]), ("q", PROMPTS[1], PROMPTS[4])]
    sequences = sample_sequences(backbone, pairs, "none", "raw", 3, 2.0, 1.0, batch_size=4)
    for name, sequence in sequences.items():
        for row, (pair_id, unsafe, safe) in enumerate(pairs):
            uniform = random_numbers([stable_seed(3, pair_id, SEEDED_BY[name])], backbone.num_image_tokens)[0]
            prompt = unsafe if name == "unsafe" else safe
            assert sequence[row].tolist() == oracles.sample_one_without_context(
                backbone, prompt, unsafe, uniform, 2.0, 1.0
            )


@settings(max_examples=30, deadline=None)
@given(
    logits=st.lists(st.floats(-20, 20), min_size=1, max_size=40),
    temperature=st.floats(0.2, 3),
    uniform=st.floats(0, 1, exclude_max=True),
    top_k=st.none() | st.integers(1, 45),
)
def test_choose_inverts_the_distribution(logits, temperature, uniform, top_k):
    row = torch.tensor(logits, dtype=torch.float64)
    token = int(choose(row[None], temperature, torch.tensor([uniform], dtype=torch.float64), top_k))
    weights = np.exp((row.numpy() - max(logits)) / temperature)
    least = sorted(logits, reverse=True)[: top_k or len(logits)][-1]
    assert row[token] >= least
    cumulative = np.cumsum(np.where(row.numpy() >= least, weights, 0))
    cumulative /= cumulative[-1]
    below = cumulative[token - 1] if token else 0.0
    assert below - 1e-12 <= uniform <= cumulative[token] + 1e-12


def test_uniforms_belong_to_the_image():
    both = random_numbers([5, 9], 7)
    assert torch.equal(both[1], random_numbers([9], 7)[0])
    assert not torch.equal(both[0], both[1])
    assert random_numbers([5], 3)[0].tolist() == both[0, :3].tolist()
