"""What docs/explanation/release.md states of the release, measured on tiny random backbones."""

import numpy as np
import pytest
import torch

from benchmarks.release_effects import (
    Unmasked,
    apart,
    largest_gradients,
    released_pairing,
    softmax_again,
    states_alone,
    states_along,
)
from ear.erasure.sequences import context_free_states
from ear.images.sampling import Guidance, sample_prompts
from tests.tiny import tiny_backbone

PROMPTS = ["a photo of a church on a hill at night", "a car", "there is a church in the snow"]


@pytest.fixture(scope="module")
def backbone():
    return tiny_backbone(dtype="float64")


def codes_of(backbone, rows):
    generator = torch.Generator().manual_seed(3)
    return torch.randint(backbone.codebook_size, (rows, backbone.num_image_tokens), generator=generator)


def test_only_context_gives_queries_and_keys_a_gradient(backbone):
    codes = codes_of(backbone, 1)
    prompt = backbone.encode(PROMPTS[:1], "chat")
    alone = largest_gradients(backbone, 2, lambda: states_alone(backbone, codes[0]))
    along = largest_gradients(backbone, 2, lambda: states_along(backbone, prompt, codes)[0])
    assert max(alone["q_proj"], alone["k_proj"]) < 1e-12 < min(alone["v_proj"], alone["o_proj"])
    assert min(along.values()) > 1e-6
    assert not any(parameter.requires_grad for parameter in backbone.model.parameters())


def test_tokens_read_alone_are_the_context_free_table(backbone):
    codes = codes_of(backbone, 1)[0]
    assert apart(states_alone(backbone, codes), context_free_states(backbone)[codes]) < 1e-12


def test_states_along_a_stream_do_not_depend_on_padding(backbone):
    codes = codes_of(backbone, len(PROMPTS))
    together = states_along(backbone, backbone.encode(PROMPTS, "chat"), codes)
    for row, prompt in enumerate(PROMPTS):
        alone = states_along(backbone, backbone.encode([prompt], "chat"), codes[row : row + 1])
        assert apart(alone[0], together[row]) < 1e-12
    assert together.shape[1] == backbone.num_image_tokens - 1


def test_an_image_depends_on_padding_that_is_not_masked(backbone):
    unmasked = Unmasked(backbone.model, backbone.processor)
    seeds, how = [1, 2, 3], ("chat", Guidance(2.0), 1.0)
    alone = torch.cat(
        [sample_prompts(backbone, PROMPTS[at : at + 1], seeds[at : at + 1], *how) for at in range(3)]
    )
    assert torch.equal(sample_prompts(backbone, PROMPTS, seeds, *how), alone)
    padded = sample_prompts(unmasked, PROMPTS, seeds, *how)
    longest = max(range(3), key=lambda row: len(PROMPTS[row].split()))
    changed = (padded != alone).any(dim=1)
    assert not changed[longest] and changed.sum() == 2


def test_the_release_scores_images_in_the_order_of_their_names():
    assert released_pairing([179765, 42, 1000]) == [1, 2, 0]


def test_a_second_softmax_flattens_scores_and_keeps_ranks():
    probabilities = np.random.default_rng(0).dirichlet(np.full(20, 0.1), size=50)
    flat = softmax_again(probabilities)
    in_order = np.take_along_axis(flat, probabilities.argsort(axis=1), axis=1)
    assert (np.diff(in_order, axis=1) >= 0).all()
    assert flat.sum(axis=1) == pytest.approx(1)
    assert flat.max() <= np.e / (np.e + 19) + 1e-12  # 0.125: of a certain label among twenty
    assert flat.min() >= 1 / (np.e + 19) - 1e-12
