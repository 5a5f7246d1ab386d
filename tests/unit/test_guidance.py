"""Guidance away from a negative prompt, against a naive loop."""

import pytest
import torch

from ear.errors import InputError
from ear.sampling import Guidance, guided, sample_prompts, uniforms
from tests import oracles
from tests.tiny import tiny_backbone
from tests.unit.test_sampling import PROMPTS

AWAY = "a church on fire in the style of Van Gogh"  # longer than some prompts and shorter than others
LONG = "we look at a photo of a red church on a hill at sunset, on fire, in the style of Van Gogh, at night"
SEEDS = list(range(len(PROMPTS)))


@pytest.fixture(scope="module")
def backbone():
    return tiny_backbone(dtype="float64")


@pytest.mark.parametrize("encoding", ["chat", "raw"])
@pytest.mark.parametrize("negative", ["church", AWAY, LONG])
@pytest.mark.parametrize("temperature", [0, 0.7])
def test_every_token_equals_the_naive_sampler(backbone, encoding, negative, temperature):
    guidance = Guidance(2.0, negative, strength=1.5)
    ours = sample_prompts(backbone, PROMPTS, SEEDS, encoding, guidance, temperature)
    for row, prompt in enumerate(PROMPTS):
        uniform = uniforms([SEEDS[row]], backbone.num_image_tokens)[0]
        naive = oracles.sample_one_away(backbone, prompt, negative, uniform, 2.0, 1.5, temperature, encoding)
        assert ours[row].tolist() == naive


def test_without_strength_a_negative_prompt_is_not_read(backbone):
    plain = sample_prompts(backbone, PROMPTS, SEEDS, "chat", Guidance(2.0), 0.7)
    named = sample_prompts(backbone, PROMPTS, SEEDS, "chat", Guidance(2.0, AWAY, strength=0.0), 0.7)
    pushed = sample_prompts(backbone, PROMPTS, SEEDS, "chat", Guidance(2.0, AWAY, strength=1.0), 0.7)
    assert torch.equal(plain, named)
    assert (plain != pushed).any(dim=1).all()


def test_an_image_does_not_depend_on_what_shares_its_batch(backbone):
    guidance = Guidance(2.0, AWAY, strength=1.0)
    together = sample_prompts(backbone, PROMPTS, SEEDS, "chat", guidance, 0.7)
    for row in SEEDS:
        alone = sample_prompts(backbone, [PROMPTS[row]], [row], "chat", guidance, 0.7)
        assert torch.equal(alone[0], together[row])


def test_the_logits_are_those_of_the_formula():
    logits = torch.tensor([[1.0, 4.0], [2.0, 2.0], [5.0, 0.0]])
    assert guided(logits, Guidance(3.0, "x", 2.0)).tolist() == [[2 + 3 * -1 - 2 * 3, 2 + 3 * 2 - 2 * -2]]
    assert guided(logits[:2], Guidance(3.0)).tolist() == [[-1.0, 8.0]]


@pytest.mark.parametrize(("negative", "strength"), [(None, 1.0), ("", 1.0), ("fire", -1.0)])
def test_a_strength_without_a_prompt_and_a_pull_are_refused(negative, strength):
    with pytest.raises(InputError, match="guidance: found strength"):
        Guidance(2.0, negative, strength)
