import re

import numpy as np
import pandas as pd
import pytest
from ear.metrics.claims import claims

from ear.metrics.comparison import COMPARISON_COLUMNS, NOT_SHOWN, comparisons
from ear.metrics.table import METRIC_COLUMNS, metrics_table
from tests import comparison


def metric(method, value, low, high, name="concept_rate", prompt_set="target", seed="all"):
    return ["church", method, seed, prompt_set, name, value, low, high, 300]


def compared(method, reference, value, low, high, verdict, name="concept_rate", prompt_set="target"):
    where = ["church", prompt_set, name, method, reference, value, low, high]
    return [*where, 0.004, 0.0123, 0.02051, 300, 3, verdict]


def said(metrics, rows, **more):
    tables = pd.DataFrame(metrics, columns=METRIC_COLUMNS), pd.DataFrame(rows, columns=COMPARISON_COLUMNS)
    return claims(*tables, lambda concept: f"the {concept}", str.upper, **more)


def test_each_number_comes_with_its_interval_and_names_its_row():
    metrics = [
        metric("original", 0.9967, 0.98, 0.9995),
        metric("ear", 0.0233, 0.0091, 0.0474),
        metric("ear", 0.5, 0.4, 0.6, seed="0"),
    ]
    rows = [
        compared("ear", "original", -0.9734, -0.985, -0.955, "better"),
        compared("wga", "ear", 0.003, -0.0104, 0.016, NOT_SHOWN, "accuracy", "retention"),
    ]
    found = said(metrics, rows)
    assert [one.text for one in found] == [
        "The judge finds the church in 2.3 % [0.9, 4.7] of target images of EAR; "
        "before erasure: 99.7 % [98.0, 100.0].",
        "With EAR, the rate of the church on target images is lower than with ORIGINAL "
        "(difference -97.3 points [-98.5, -95.5]; 300 prompts, 3 seeds; better, p = 0.012 corrected).",
        "No difference between WGA and EAR was shown in accuracy on retention images "
        "(difference 0.3 points [-1.0, 1.6]; 300 prompts, 3 seeds, could have shown 2.1 points "
        "four times in five).",
    ]
    assert found[0].rows == (
        ("metrics.csv", ("church", "ear", "all", "target", "concept_rate")),
        ("metrics.csv", ("church", "original", "all", "target", "concept_rate")),
    )
    assert found[2].rows == (("comparisons.csv", ("church", "retention", "accuracy", "wga", "ear")),)


def test_prompt_sets_have_the_names_given_and_others_are_left_out():
    metrics = [metric("ear", 0.1, 0.05, 0.2), metric("ear", 0.1, 0.05, 0.2, prompt_set="prefix-8")]
    rows = [
        compared("ear", "wga", 0.0, -0.1, 0.1, NOT_SHOWN, prompt_set=name) for name in ("target", "prefix-8")
    ]
    found = said(metrics, rows, prompt_sets={"prefix-8": "images after a prefix"})
    assert len(found) == 2 and all("images after a prefix" in one.text for one in found)


def test_what_has_no_interval_is_not_claimed():
    nan = float("nan")
    assert said([metric("ear", 0.1, nan, nan)], [compared("ear", "wga", 0.1, nan, nan, NOT_SHOWN)]) == []


@pytest.fixture(scope="module")
def tables():
    jobs = [job for job in comparison.jobs(40, (16,)) if job.concept == "fire"]
    return metrics_table(jobs), comparisons(jobs, "ear")


def test_no_sentence_says_better_where_the_table_does_not(tables):
    found = claims(*tables, str, str)
    rows = tables[1].set_index(["concept", "prompt_set", "metric", "method", "reference"])
    of_tables = {table for one in found for table, _ in one.rows}
    assert of_tables == {"metrics.csv", "comparisons.csv"}
    for one in found:
        for table, name in one.rows:
            if table == "metrics.csv":
                continue
            row = rows.loc[name]
            shown = row["verdict"] != NOT_SHOWN
            assert shown == (" is lower than " in one.text or " is higher than " in one.text)
            assert shown != one.text.startswith("No difference")
            if shown:
                assert (" is lower than " in one.text) == (row["difference"] < 0)
        numbers = [float(number) for number in re.findall(r"-?\d+\.\d+", one.text)]
        assert "[" in one.text and np.isfinite(numbers).all() and "-0.0" not in one.text.split()
