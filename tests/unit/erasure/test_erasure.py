"""Fine-tuning against a naive step-by-step loop, in float64."""

from dataclasses import replace

import pandas as pd
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ear.erasure.sequences import cuts, pairs_of, prompts_of, sample_sequences
from ear.erasure.trainer import Trainer, window_bounds
from ear.erasure.variants import MIXED, VARIANTS, Settings, Threshold, Variant
from ear.errors import InputError
from tests import oracles
from tests.tiny import tiny_backbone

PAIRS = [
    (
        "a",
        "a photo of a church on a hill at night",
        "a photo of a red house on a hill at night",
        "a barn at night",
    ),
    (
        "b",
        "there is a church in the snow",
        "there is a car in the snow",
        "there is a very old barn in the snow",
    ),
    ("c", "a view of a blue tree by the sea on fire", "a view of a blue tree by the sea", "a tree in sepia"),
]
"""Pairs with anchors, which context "anchored" alone reads."""


def chosen(variant: Variant, threshold: float | Threshold | None = None, **changes) -> Settings:
    """Settings of a variant; other choices of the variant or of the experiment by name."""
    if threshold is None:
        variant = replace(variant, threshold="off")
    elif not isinstance(threshold, Threshold):
        threshold = Threshold(value=threshold, quantile=None, factor=1.0)
    bound = {key: changes.pop(key) for key in list(changes) if hasattr(variant, key)}
    free = {"layers": 2, "eta": 1.0, "learning_rate": 1e-3, "optimiser": "adam", "passes": 1}
    free |= {"micro_batch": 64, **changes}
    return Settings(replace(variant, **bound), threshold=threshold, **free)


def sequences_of(backbone, overrides, pairs=PAIRS, guidance=2.0, temperature=1.0):
    variant = overrides.variant
    return sample_sequences(
        backbone, pairs, variant.context, variant.encoding, 7, guidance, temperature, batch_size=40
    )


def trained(overrides, window, **shape):
    """Weights and history of our trainer and of the naive loop, from the same sequences."""
    backbone = tiny_backbone(**shape, dtype="float64")
    sequences = sequences_of(backbone, overrides)
    trainer = Trainer(backbone, PAIRS, sequences, overrides, seed=1)
    log = trainer.run(window, desc="test")
    ours = list(trainer.weights().values())
    trainer.restore()
    order = [[pair[0] for pair in PAIRS].index(pair_id) for pair_id, _ in trainer.order][: len(PAIRS)]
    if overrides.variant.context in MIXED:
        count, steps = overrides.variant.cuts, backbone.num_image_tokens
        sequences["cuts"] = torch.stack([cuts(pair_id, count, steps) for pair_id, *_ in PAIRS])
    naive, history = oracles.train(
        backbone,
        [PAIRS[row] for row in order],
        {name: sequence[order] for name, sequence in sequences.items()},
        overrides,
        window,
        overrides.threshold and overrides.threshold.value,
    )
    return ours, log, naive, history


def assert_equal_runs(ours, log, naive, history):
    assert [skipped for _, skipped in history] == log["skipped"].tolist()
    assert log["loss"].tolist() == pytest.approx([loss for loss, _ in history], rel=1e-9, abs=1e-9)
    for mine, theirs in zip(ours, naive, strict=True):
        assert (mine - theirs).abs().max() <= 1e-9


@pytest.mark.parametrize(
    "name", ["released", "paper", "ear", "obliviate", "gradient-ascent", "prefix-redirect"]
)
@settings(max_examples=4, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(data=st.data())
def test_weights_equal_the_naive_loop(name, data):
    def draw(label, *values):
        return data.draw(st.sampled_from(values), label=label)

    mixed = {}
    if name == "prefix-redirect":
        mixed = {
            "cuts": draw("cuts", 1, 4),
            "retain": draw("λ", 0.0, 2.0),
            "context": draw("context", *MIXED),
        }
    baseline = name in ("obliviate", "gradient-ascent", "prefix-redirect")
    grid = draw("grid", 2, 3)
    overrides = chosen(
        VARIANTS[name],
        threshold=draw("μ", None, 0.3, 2.0, 30.0),
        layers=draw("layers", 1, 2, 3),
        eta=draw("eta", 0.0, 0.5, 2.0),
        optimiser=draw("optimiser", "adam", "adamw", "sgd"),
        passes=draw("passes", 1, 2),
        micro_batch=draw("micro_batch", 1, 2, 3, 64),
        rows="conditional" if baseline else draw("rows", "both", "conditional"),
        encoding=draw("encoding", "raw", "chat"),
        tail=draw("tail", "drop", "keep"),
        max_grad_norm=draw("max_grad_norm", None, 0.1),
        **mixed,
    )
    if overrides.threshold:
        on = draw("threshold", "window-sum", "window-mean", "token")
        overrides = replace(overrides, variant=replace(overrides.variant, threshold=on))
    window = data.draw(st.integers(1, grid**2), label="window")
    heads = draw("heads", 2, 4)
    shape = {
        "seed": data.draw(st.integers(0, 50), label="seed"),
        "grid": grid,
        "hidden": draw("hidden", 16, 32),
        "heads": heads,
        "key_value_heads": draw("key_value_heads", heads, heads // 2),
    }
    assert_equal_runs(*trained(overrides, window, **shape))


@settings(max_examples=30)
@given(st.text(), st.integers(1, 9), st.integers(2, 64))
def test_a_pairs_cuts_are_its_own_and_lie_in_the_first_half(pair_id, count, steps):
    drawn = cuts(pair_id, count, steps).tolist()
    assert drawn == cuts(pair_id, count, steps).tolist()
    assert drawn[0] == 0 and all(1 <= cut <= steps / 2 for cut in drawn[1:])
    assert drawn == sorted(drawn) and len(drawn) == count


def test_anchors_take_the_place_of_every_name_in_turns(caplog):
    """Where an unsafe prompt holds no name, or the concept has no anchor, the safe prompt is the anchor."""
    rows = [
        ("a", "a church by two CHURCHES", "a house"),
        ("b", "a minster on a hill", "a hill"),
        ("c", "a spire", "a tree"),
        ("d", "the church", "the tree"),
    ]
    table = pd.DataFrame(rows, columns=["pair_id", "unsafe_prompt", "safe_prompt"])
    names, phrases = ["church", "minster"], ["barn", "castle"]
    anchors = ["a barn by two barn", "a castle on a hill", "a tree", "the castle"]
    found = pairs_of(table, "anchored", names, phrases)
    assert found == [(*row, anchor) for row, anchor in zip(rows, anchors, strict=True)]
    assert caplog.messages == [
        "1 of 4 unsafe prompts hold none of 'church', 'minster': their safe prompts are their anchors"
    ]
    assert pairs_of(table, "anchored", names) == [(*row, row[2]) for row in rows]
    assert pairs_of(table, "mixed", names, phrases) == rows and len(caplog.messages) == 1
    assert prompts_of(found[0]) == {
        "unsafe": rows[0][1],
        "safe": "a house",
        "safe-2": "a house",
        "anchor": anchors[0],
    }


def test_the_frozen_model_never_reads_the_beginning_that_shows_the_concept():
    """The teacher stays as it is, whatever the unsafe sequence is; what a step reads does not."""
    backbone = tiny_backbone(dtype="float64")
    overrides = chosen(VARIANTS["prefix-redirect"])
    sequences = sequences_of(backbone, overrides)
    other = sequences | {"unsafe": sequences["unsafe"].roll(1, dims=1)}
    one, two = (Trainer(backbone, PAIRS, part, overrides, seed=1).examples[0] for part in (sequences, other))
    for mine, theirs in zip(one.teacher, two.teacher, strict=True):
        assert torch.equal(mine, theirs)
    assert not torch.equal(one.sequence, two.sequence)
    assert one.shares[-2:].tolist() == [[4.0] * 9] * 2
    assert one.initial_losses[0] > 0  # of the unsafe prompt, before any image token


def test_a_micro_batch_bounds_what_a_pass_keeps_for_its_gradient():
    """Bytes that autograd saves at once grow with the micro-batch and not with W."""

    def peak(window, micro_batch):
        backbone = tiny_backbone(grid=8, layers=2)
        overrides = chosen(VARIANTS["ear"], micro_batch=micro_batch)
        trainer = Trainer(
            backbone, PAIRS[:1], sequences_of(backbone, overrides, PAIRS[:1]), overrides, seed=1
        )
        weights = {parameter.data_ptr() for parameter in backbone.model.parameters()}
        held, peaks = 0, []

        def forget(size):
            nonlocal held
            held -= size

        def pack(tensor):
            nonlocal held
            if tensor.data_ptr() in weights:
                return tensor
            held += tensor.nbytes
            peaks.append(held)
            holder = Holder(tensor)
            holder.gone = lambda size=tensor.nbytes: forget(size)
            return holder

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda held: getattr(held, "tensor", held)):
            trainer.run(window, desc="test")
        return max(peaks)

    assert peak(64, 8) < 0.5 * peak(64, 64)
    assert peak(64, 8) < 1.5 * peak(16, 8)


class Holder:
    """A saved tensor that tells when autograd lets go of it."""

    gone = staticmethod(lambda: None)

    def __init__(self, tensor):
        self.tensor = tensor

    def __del__(self):
        self.gone()


@pytest.mark.parametrize("on", ["window-sum", "window-mean", "token"])
def test_threshold_skips_what_does_not_exceed_its_quantile(on):
    backbone = tiny_backbone()
    overrides = chosen(
        replace(VARIANTS["ear"], threshold=on),
        Threshold(value=None, quantile=0.6, factor=1.0),
        learning_rate=1e-4,
    )
    trainer = Trainer(backbone, PAIRS, sequences_of(backbone, overrides), overrides, seed=1)
    log = trainer.run(3, desc="test")
    assert log["grad_norm"].isna().tolist() == log["skipped"].tolist()
    assert log["skipped"].tolist() == (log["kept"] == 0).tolist()
    if on == "token":
        assert ((log["kept"] > 0) & (log["kept"] < 1)).any()
    else:
        assert 0 < log["skipped"].sum() < len(log)
        measured = log["loss"] / (3 if on == "window-mean" else 1)
        assert (log["skipped"] == (measured <= log["threshold"])).all()


def test_the_tail_is_discarded_or_kept():
    assert window_bounds(9, 4, "drop") == [(0, 4), (4, 8)]
    assert window_bounds(9, 4, "keep") == [(0, 4), (4, 8), (8, 9)]
    assert window_bounds(8, 4, "keep") == [(0, 4), (4, 8)]


def test_released_reads_no_context():
    """Without context, attention has no choice to make after the first step: q and k get no gradient."""
    backbone = tiny_backbone(dtype="float64")
    overrides = chosen(VARIANTS["released"], layers=1)
    trainer = Trainer(backbone, PAIRS, sequences_of(backbone, overrides), overrides, seed=1)
    attention = backbone.language_model.layers[0].self_attn
    for name in "qkvo":
        getattr(attention, f"{name}_proj").weight.requires_grad_(True)
    trainer.reader.accumulate(trainer.examples[0], 1, 5, torch.ones_like)
    assert attention.q_proj.weight.grad is None
    assert attention.k_proj.weight.grad is None
    assert attention.v_proj.weight.grad.abs().max() > 0


def test_a_diverged_training_ends_in_one_line():
    backbone = tiny_backbone()
    overrides = chosen(VARIANTS["ear"], learning_rate=1e30)
    trainer = Trainer(backbone, PAIRS, sequences_of(backbone, overrides), overrides, seed=1)
    with pytest.raises(InputError, match=r"window \d+: found a loss of (nan|inf).*lower its learning rate"):
        trainer.run(3, desc="test")


def test_pairs_are_shuffled_by_the_seed_only_where_the_variant_says_so():
    backbone = tiny_backbone()
    orders = {}
    for name in ("released", "ear"):
        overrides = chosen(VARIANTS[name], layers=1)
        sequences = sequences_of(backbone, overrides)
        trainers = (Trainer(backbone, PAIRS, sequences, overrides, seed=seed) for seed in range(4))
        orders[name] = {tuple(pair_id for pair_id, _ in trainer.order) for trainer in trainers}
    assert orders["released"] == {("a", "b", "c")}
    assert len(orders["ear"]) > 1


@pytest.mark.parametrize("name", ["released", "ear", "obliviate", "prefix-redirect"])
def test_bfloat16_stays_the_dtype_of_the_weights(name):
    backbone = tiny_backbone(dtype="bfloat16", layers=2)
    overrides = chosen(VARIANTS[name], window=3, micro_batch=2)
    trainer = Trainer(backbone, PAIRS[:1], sequences_of(backbone, overrides, PAIRS[:1]), overrides, seed=1)
    before = trainer.weights()
    assert trainer.run(3, desc="test")["loss"].notna().all()
    for module, weight in trainer.weights().items():
        assert weight.dtype == torch.bfloat16
        assert not torch.equal(weight, before[module])
