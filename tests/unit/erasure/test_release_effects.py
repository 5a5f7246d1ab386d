"""What docs/explanation/release.md states of the release, measured on tiny random backbones."""

import pytest
import torch

from benchmarks.release_effects import Unmasked, released_pairing, states_along
from ear.images.sampling import Guidance, sample_prompts
from tests.tiny import tiny_backbone

PROMPTS = ["a photo of a church on a hill at night", "a car", "there is a church in the snow"]


@pytest.fixture(scope="module")
def backbone():
    return tiny_backbone(dtype="float64")


def test_states_along_a_sequence_do_not_depend_on_padding(backbone):
    generator = torch.Generator().manual_seed(3)
    codes = torch.randint(backbone.codebook_size, (3, backbone.num_image_tokens), generator=generator)
    together = states_along(backbone, backbone.encode(PROMPTS, "chat"), codes)
    for row, prompt in enumerate(PROMPTS):
        alone = states_along(backbone, backbone.encode([prompt], "chat"), codes[row : row + 1])
        torch.testing.assert_close(alone[0], together[row], rtol=0, atol=1e-12)
    assert together.shape[1] == backbone.num_image_tokens - 1


def test_an_image_depends_on_padding_that_is_not_masked(backbone):
    unmasked = Unmasked(backbone.model, backbone.processor)
    how = [1, 2, 3], "chat", Guidance(2.0), 1.0
    changed = (sample_prompts(unmasked, PROMPTS, *how) != sample_prompts(backbone, PROMPTS, *how)).any(dim=1)
    assert changed.tolist() == [False, True, True]  # the longest prompt has no padding


def test_the_release_scores_images_in_the_order_of_their_names():
    assert released_pairing([179765, 42, 1000]) == [1, 2, 0]
