"""Several concepts in one set of edited weights: the same, bit for bit, as a plain training on the alternating pairs."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ear.erasure.edited_weights import load_edited
from ear.erasure.joint import hash_of_pairs, joined, training_order, without_others
from ear.erasure.run import erase
from ear.erasure.sequences import sample_sequences
from ear.erasure.trainer import Trainer
from ear.erasure.variants import VARIANTS, Settings, Threshold
from ear.errors import InputError
from tests.tiny import tiny_backbone

CHURCH = [
    ("church/0", "a photo of a church on a hill at night", "a photo of a red house on a hill at night"),
    ("church/1", "there is a church in the snow", "there is a car in the snow"),
    ("church/2", "look at a church in a city", "look at a tree in a city"),
]
FIRE = [("fire/0", "a view of a blue tree by the sea on fire", "a view of a blue tree by the sea")]


def naive_order(tables):
    """One of each table in turn, as people deal cards."""
    left, dealt = [list(table) for table in tables], []
    while any(left):
        for table in left:
            if table:
                dealt.append(table.pop(0))
    return dealt


SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=5)


def tables_of(sizes, seed):
    """Each concept's rows in the order of a training alone."""
    alone = [training_order([size], "seed" if seed else "file", seed) for size in sizes]
    starts = np.cumsum([0, *sizes])
    return [[int(start) + row for row in rows] for start, rows in zip(starts, alone, strict=False)]


@settings(max_examples=30)
@given(SIZES, st.integers(0, 2**40), st.integers(1, 3))
def test_pairs_alternate_or_each_concept_is_trained_whole_before_the_next(sizes, seed, passes):
    order, tables = "seed" if seed else "file", tables_of(sizes, seed)
    assert training_order([sizes[0]], "file", seed) == list(range(sizes[0]))
    assert training_order(sizes, order, seed, passes) == naive_order(tables) * passes
    sequential = [row for table in tables for _ in range(passes) for row in table]
    assert training_order(sizes, order, seed, passes, sequential=True) == sequential


def settings_of(name, window, order, threshold=None, passes=1):
    variant = replace(VARIANTS[name], window=window, order=order)
    if threshold is None:
        variant = replace(variant, threshold="off")
    return Settings(variant, 2, 0.7, 1e-3, "adam", passes, threshold, 64)


def sequences_of(backbone, pairs, variant):
    return sample_sequences(backbone, pairs, variant.context, variant.encoding, 7, 2.0, 1.0, batch_size=40)


@pytest.mark.parametrize("sequential", [False, True])
@pytest.mark.parametrize("name", ["released", "ear"])
def test_joint_training_is_plain_training_on_the_pairs_in_their_order_bit_for_bit(name, sequential):
    """Teachers of all concepts are θ*'s: what is trained last does not see what came before it."""
    threshold = None if sequential else Threshold(value=None, quantile=0.4, factor=0.9)
    overrides = settings_of(name, 4, "file", threshold, passes=2)
    backbone = tiny_backbone()
    pairs, sequences = joined(
        [(table, sequences_of(backbone, table, overrides.variant)) for table in (CHURCH, FIRE)]
    )
    joint = Trainer(
        backbone, pairs, sequences, replace(overrides, sequential=sequential), seed=1, sizes=[3, 1]
    )
    log = joint.run(4, desc="together")
    weights = joint.weights()
    joint.restore()
    naive, passes = [CHURCH[0], FIRE[0], CHURCH[1], CHURCH[2]], 2
    if sequential:
        naive, passes = [*CHURCH, *CHURCH, *FIRE, *FIRE], 1
    overrides = replace(overrides, passes=passes)
    plain = Trainer(backbone, naive, sequences_of(backbone, naive, overrides.variant), overrides, seed=1)
    assert plain.run(4, desc="plain").equals(log)
    for name, weight in plain.weights().items():
        assert torch.equal(weight, weights[name])


def test_joint_weights_name_all_concepts_and_all_pairs(tmp_path):
    overrides, backbone = settings_of("ear", 9, "seed"), tiny_backbone(layers=2)
    parts = [(table, sequences_of(backbone, table, overrides.variant)) for table in (CHURCH[:1], FIRE)]
    one, two = "a" * 64, "b" * 64
    facts = {"concept": "church+fire", "method": "ear-joint", "fine_tuning_seed": 0}
    facts |= {"pairs_sha256": hash_of_pairs([one, two])}
    erase(tmp_path, backbone, *joined(parts), overrides, [9], 1, facts, sizes=[1, 1])
    _, found = load_edited(tmp_path / "weights.safetensors")
    assert (found.concept, found.pairs_sha256) == ("church+fire", hash_of_pairs([one, two]))
    assert hash_of_pairs([one]) == one
    assert len({hash_of_pairs(tables) for tables in ([one, two], [two, one], [one, one], [one])}) == 4


def test_pairs_that_teach_another_concept_are_left_out_with_their_sequences():
    pairs = [
        ("van-gogh/0", "a church in the style of Van Gogh", "a Church"),
        ("van-gogh/1", "a boat in the style of Van Gogh", "a boat"),
        ("van-gogh/2", "a tree in the style of Van Gogh", "a tree"),
    ]
    sequences = {"unsafe": torch.arange(6).reshape(3, 2)}
    kept, theirs = without_others(pairs, sequences, ["church", "on fire"])
    assert kept == pairs[1:] and theirs["unsafe"].tolist() == [[2, 3], [4, 5]]
    assert without_others([(*pairs[1], "a boat on fire")], sequences, ["church"])[0]
    with pytest.raises(InputError, match="found none of 1 whose safe prompt and anchor avoid 'on fire'"):
        without_others([(*pairs[1], "a boat on fire")], {"unsafe": sequences["unsafe"][:1]}, ["on fire"])
    with pytest.raises(InputError, match="found none of 1 whose safe prompt and anchor avoid 'church'"):
        without_others(pairs[:1], {"unsafe": sequences["unsafe"][:1]}, ["church"])
