"""Tables of the visual filter: counts against naive ones."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ear.evaluation.filter_table import agreement_table, cohens_kappa, filter_table
from ear.evaluation.statistics.intervals import wilson
from ear.judges.filter import PAIR_VERDICT_COLUMNS, filter_pairs, pair_outcomes
from ear.prompts.tables import PAIR_COLUMNS

COUNT = st.integers(0, 30)


def naive_kappa(first, second):
    """Cohen's kappa from the two lists of answers, as its definition reads."""
    n = len(first)
    observed = sum(a == b for a, b in zip(first, second, strict=True)) / n
    chance = sum(
        (sum(a == word for a in first) / n) * (sum(b == word for b in second) / n) for word in (True, False)
    )
    return (observed - chance) / (1 - chance)


@settings(max_examples=30)
@given(COUNT, COUNT, COUNT, COUNT)
def test_kappa_is_that_of_its_definition(both, first_only, second_only, neither):
    first = [True] * (both + first_only) + [False] * (second_only + neither)
    second = [True] * both + [False] * first_only + [True] * second_only + [False] * neither
    kappa = cohens_kappa(both, first_only, second_only, neither)
    if len(set(first) | set(second)) < 2:
        assert np.isnan(kappa)
    else:
        assert kappa == pytest.approx(naive_kappa(first, second), abs=1e-9)
        assert -1 <= kappa <= 1


def candidates(sources):
    return pd.DataFrame(
        [
            (f"church/pair/{row:04d}", f"a church {row}", f"a barn {row}", "church", "barn", source)
            for row, source in enumerate(sources)
        ],
        columns=PAIR_COLUMNS,
    )


def verdicts(unsafe, safe, **columns):
    """Verdicts of as many pairs as each side has."""
    rows = [
        (f"church/pair/{row:04d}/{side}", side, shown, shown * 0.8 + 0.1, 0.5, "z/1")
        for side, of_side in (("unsafe", unsafe), ("safe", safe))
        for row, shown in enumerate(of_side)
    ]
    return pd.DataFrame(rows, columns=PAIR_VERDICT_COLUMNS).assign(**columns)


@pytest.mark.parametrize("drop", [True, False])
def test_the_filter_table_counts_every_pair_once_by_source_and_outcome(drop):
    pairs = candidates(["grammar"] * 5 + ["other"] * 3)
    said = verdicts([1, 1, 0, 0, 1, 1, 1, 0], [0, 1, 0, 1, 0, 0, 0, 1])
    said["shown"] = said["shown"].astype(bool)
    table = filter_table({"church": pair_outcomes(*filter_pairs(pairs, said, drop))})
    found = table.set_index(["source", "outcome"])["count"]
    assert found["grammar"].to_dict() == {
        "kept": 2,
        "false negative": 1,
        "false positive": 1,
        "false negative and false positive": 1,
    }
    assert found["other"].tolist() == [2, 0, 0, 1] and found["all"].tolist() == [4, 1, 1, 2]
    for row in table.itertuples():
        assert (row.share, row.ci_low, row.ci_high, row.n) == wilson(row.count, row.n)
    assert (table.groupby("source")["count"].sum() == table.groupby("source")["n"].first()).all()


def test_agreement_is_counted_where_there_are_two_judges():
    one = verdicts([True, True, False], [False, False, True])
    two = one.assign(
        second_shown=[True, False, False, True, False, True],
        second_score=0.5,
        second_protocol="c/1",
        second_threshold=np.nan,
    )
    table = agreement_table({"church": two, "fire": one})
    assert table["concept"].tolist() == ["church"]
    row = table.iloc[0]
    assert row[["both", "first_only", "second_only", "neither", "n"]].tolist() == [2, 1, 1, 2, 6]
    assert (row["first"], row["second"], row["kappa"]) == ("z/1", "c/1", pytest.approx(1 / 3))
    assert (row["agreement"], row["ci_low"], row["ci_high"], row["n"]) == wilson(4, 6)
    assert agreement_table({"fire": one}).empty
