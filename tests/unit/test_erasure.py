"""Fine-tuning against a naive step-by-step loop, in float64."""

from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ear.erasure.presets import VARIANTS, Variant
from ear.erasure.streams import sample_streams
from ear.erasure.trainer import Trainer, window_bounds
from ear.prompts.grammar import Grammar
from ear.world.captions import STYLE_PHRASE
from tests import oracles
from tests.tiny import tiny_backbone

PAIRS = [
    ("a", "a photo of a church on a hill at night", "a photo of a red house on a hill at night"),
    ("b", "there is a church in the snow", "there is a car in the snow"),
    ("c", "a view of a blue tree by the sea on fire", "a view of a blue tree by the sea"),
]


def trained(variant, window, threshold, grid=3, eta=1.0, layers=2, seed=0):
    """Weights and history of our trainer and of the naive loop, from the same streams."""
    backbone = tiny_backbone(seed, grid=grid, dtype="float64")
    streams = sample_streams(
        backbone, PAIRS, variant.context, variant.encoding, 7, guidance=2.0, temperature=1.0, batch_size=4
    )
    trainer = Trainer(backbone, PAIRS, streams, variant, layers, eta, 1e-3, seed=1)
    log = trainer.run(window, threshold, desc="test")
    ours = list(trainer.weights().values())
    trainer.restore()
    order = [[pair[0] for pair in PAIRS].index(pair_id) for pair_id in trainer.pair_ids]
    naive, history = oracles.train(
        backbone,
        [PAIRS[row] for row in order],
        {name: stream[order] for name, stream in streams.items()},
        variant.context,
        variant.encoding,
        layers,
        eta,
        1e-3,
        window,
        threshold,
    )
    return ours, log, naive, history


@pytest.mark.parametrize("name", ["released", "paper", "ear"])
@settings(max_examples=6, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(data=st.data())
def test_weights_equal_the_naive_loop(name, data):
    grid = data.draw(st.integers(2, 3), label="grid")
    window = data.draw(st.integers(1, grid**2), label="window")
    eta = data.draw(st.sampled_from([0.0, 0.5, 1.0]), label="eta")
    threshold = data.draw(st.sampled_from([None, 2.0, 30.0]), label="threshold")
    layers = data.draw(st.integers(1, 3), label="layers")
    seed = data.draw(st.integers(0, 50), label="seed")
    ours, log, naive, history = trained(VARIANTS[name], window, threshold, grid, eta, layers, seed)
    assert [skipped for _, skipped in history] == log["skipped"].tolist()
    assert log["loss"].tolist() == pytest.approx([loss for loss, _ in history], rel=1e-9, abs=1e-12)
    for mine, theirs in zip(ours, naive, strict=True):
        assert (mine - theirs).abs().max() <= 1e-9


def test_threshold_skips_some_windows_and_keeps_others():
    backbone = tiny_backbone()
    variant = VARIANTS["ear"]
    streams = sample_streams(
        backbone, PAIRS, "aligned", "chat", 7, guidance=2.0, temperature=1.0, batch_size=4
    )
    trainer = Trainer(backbone, PAIRS, streams, variant, 2, 1.0, 1e-4, seed=1)
    log = trainer.run(3, trainer.quantile_threshold(3, 0.4), desc="test")
    assert 0 < log["skipped"].sum() < len(log)
    assert (log["skipped"] == (log["loss"] <= log["threshold"])).all()
    assert log["grad_norm"].isna().tolist() == log["skipped"].tolist()


def test_all_windows_skipped_leaves_the_weights():
    ours, log, _, _ = trained(VARIANTS["ear"], 3, threshold=1e9)
    frozen = tiny_backbone(dtype="float64")
    assert log["skipped"].all()
    assert torch.equal(ours[0], frozen.language_model.layers[0].self_attn.q_proj.weight)


def test_unfinished_window_is_discarded():
    assert window_bounds(9, 4) == [(0, 4), (4, 8)]
    assert window_bounds(576, 100)[-1] == (400, 500)


def test_released_reads_no_context():
    """Without context, attention has no choice to make after the first step: q and k get no gradient."""
    variant = Variant(context="none", encoding="raw", threshold=False, order="file")
    backbone = tiny_backbone(dtype="float64")
    streams = sample_streams(backbone, PAIRS, "none", "raw", 7, guidance=2.0, temperature=1.0, batch_size=4)
    trainer = Trainer(backbone, PAIRS, streams, variant, 1, 1.0, 1e-3, seed=1)
    example = trainer.examples[0]
    attention = backbone.language_model.layers[0].self_attn
    for name in "qkvo":
        getattr(attention, f"{name}_proj").weight.requires_grad_(True)
    _, later = trainer.reader.states(example.prompt, example.stream, 1, 5)
    later.square().sum().backward()
    assert attention.q_proj.weight.grad.abs().max() == 0
    assert attention.k_proj.weight.grad.abs().max() == 0
    assert attention.v_proj.weight.grad.abs().max() > 0


def test_pairs_are_shuffled_by_the_seed_only_where_the_variant_says_so():
    backbone = tiny_backbone()
    orders = {}
    for name in ("released", "ear"):
        variant = VARIANTS[name]
        streams = sample_streams(
            backbone, PAIRS, variant.context, variant.encoding, 7, 2.0, 1.0, batch_size=9
        )
        orders[name] = {
            tuple(Trainer(backbone, PAIRS, streams, variant, 1, 1.0, 1e-3, seed=s).pair_ids) for s in range(8)
        }
    assert orders["released"] == {("a", "b", "c")}
    assert len(orders["ear"]) > 1


def test_under_the_mini_experiments_threshold_some_windows_are_skipped_and_most_are_not():
    mini = yaml.safe_load((Path(__file__).parents[2] / "config.yaml").read_text())["erasure"]
    table = Grammar("van-gogh", "style", STYLE_PHRASE, seed=42).pairs(40)
    pairs = list(table[["pair_id", "unsafe_prompt", "safe_prompt"]].itertuples(index=False, name=None))
    backbone = tiny_backbone()
    streams = sample_streams(
        backbone, pairs, "aligned", "chat", 7, guidance=1.5, temperature=0.5, batch_size=40
    )
    trainer = Trainer(backbone, pairs, streams, VARIANTS["ear"], 3, mini["eta"], 1e-3, seed=1)
    threshold = mini["threshold"]["factor"] * trainer.quantile_threshold(3, mini["threshold"]["quantile"])
    log = trainer.run(3, threshold, desc="test")
    assert 0 < log["skipped"].mean() < 0.5
