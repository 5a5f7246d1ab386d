from itertools import product

import numpy as np
import pytest

from ear.workflow.seeding import stable_seed


def test_the_value_is_the_same_on_every_machine():
    # From a shell: the first 63 bits of `printf 'int:42\x1fstr:church/target/0007\x1fint:0' | sha256sum`.
    assert stable_seed(42, "church/target/0007", 0) == 6084707208242197295


def test_seeds_of_an_experiment_are_distinct_and_fit_63_bits():
    parts = product(range(3), [f"church/target/{i:04}" for i in range(500)], range(4))
    seeds = [stable_seed(*part) for part in parts]
    assert len(set(seeds)) == len(seeds) == 6000
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert max(seeds) > 2**62


def test_borders_and_kinds_of_parts_count_and_the_kind_of_whole_number_does_not():
    assert len({stable_seed(*part) for part in [("a", 1), ("a1",), ("a", "1"), (1, "a"), ("a", 1, 0)]}) == 5
    assert stable_seed(np.int64(7), np.str_("a")) == stable_seed(7, "a")
    with pytest.raises(TypeError):
        stable_seed(1.0)
