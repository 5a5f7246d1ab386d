"""The naive loops that speed is measured against do the same work."""

from dataclasses import replace

import pytest

from benchmarks.erasure import NAIVE
from ear.erasure.edited_weights import trained_modules
from ear.erasure.sequences import sample_sequences
from ear.erasure.trainer import Trainer
from ear.erasure.variants import VARIANTS, Settings
from tests.tiny import tiny_backbone
from tests.unit.erasure.test_erasure import PAIRS


@pytest.mark.parametrize(("name", "loop"), [(name, loop) for name in NAIVE for loop in NAIVE[name].values()])
def test_the_naive_loop_ends_with_our_weights(name, loop):
    variant = replace(VARIANTS[name], threshold="off", order="file")
    settings = Settings(variant, 2, 0.5, 1e-3, "adam", 1, None, 64)
    ours, naive, frozen = (tiny_backbone(dtype="float64") for _ in range(3))
    sequences = sample_sequences(ours, PAIRS, variant.context, variant.encoding, 7, 2.0, 1.0, batch_size=9)
    Trainer(ours, PAIRS, sequences, settings, seed=1).run(2, desc="test")
    loop(naive, frozen, PAIRS, settings, 2, 2.0, 1.0, 7)
    for name, module in trained_modules(ours, 2).items():
        assert (module.weight - naive.language_model.get_submodule(name).weight).abs().max() <= 1e-9
