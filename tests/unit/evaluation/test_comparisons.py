from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ear.evaluation.columns import COMPARISONS_CSV, SCORES_CSV, VERDICTS_CSV
from ear.evaluation.comparison import BETTER, NOT_SHOWN, WORSE, comparisons
from ear.evaluation.metrics_table import Job
from ear.evaluation.statistics.paired import holm, mcnemar, mean_difference, rate_difference
from ear.prompts.tables import SAMPLE
from ear.workflow.files import write_csv
from tests import comparison

METHODS = ("original", "wga", "ear", "gradient-ascent", "negative-prompt")
NO_SCORES = SCORES_CSV.frame()


@pytest.fixture(scope="module")
def jobs():
    return comparison.jobs(40, (16,), ("church",), METHODS)


@pytest.fixture(scope="module")
def table(jobs, tmp_path_factory):
    """Of jobs whose rows have no order, read from files."""
    file, shuffled = tmp_path_factory.mktemp("jobs") / "verdicts.csv", []
    for job in jobs:
        write_csv(file, job.verdicts.sample(frac=1, random_state=1))
        shuffled.append(replace(job, verdicts=VERDICTS_CSV.read(file)))
    return comparisons(shuffled, "ear")


def one(table, **wanted):
    for name, value in wanted.items():
        table = table[table[name] == value]
    assert len(table) == 1
    return table.iloc[0]


def numbers(row):
    return tuple(row[["difference", "ci_low", "ci_high", "p", "smallest_shown", "n_prompts", "seeds"]])


def test_each_two_methods_are_compared_once_on_target_and_retention_and_with_the_references_elsewhere(table):
    count = len(METHODS)
    pairs = count * (count - 1) // 2
    assert table.groupby(["prompt_set", "metric"]).size().to_dict() == {
        ("target", "concept_rate"): pairs,
        ("retention", "accuracy"): pairs,
        ("general", "clip_score"): 2 * (count - 2) + 1,
    }
    names = table.apply(lambda row: frozenset((row["method"], row["reference"])), axis=1)
    assert (names.map(len) == 2).all()
    assert not pd.concat([table["prompt_set"], names], axis=1).duplicated().any()
    assert not (table["method"] == "original").any()
    assert (table.loc[table["method"] == "ear", "reference"] == "original").all()


def test_rows_are_matched_by_prompt_and_seed_whatever_their_order(jobs, table):
    by = {(job.method, job.seed): job.verdicts.query("prompt_set == 'target'") for job in jobs}
    for method, reference in (("wga", "ear"), ("wga", "original")):
        both = pd.concat(
            by[method, seed]
            .merge(by[reference, seed if reference == "ear" else 0], on="prompt_id")
            .assign(seed=seed)
            for seed in comparison.SEEDS
        )
        wanted = rate_difference(both["shown_x"], both["shown_y"], both["prompt_id"], both["seed"])
        row = one(table, prompt_set="target", method=method, reference=reference)
        values = (wanted.value, wanted.low, wanted.high, wanted.p, wanted.smallest_shown, 40, 3)
        assert numbers(row) == pytest.approx(values)


def test_p_is_corrected_within_each_question_and_the_verdict_follows(table):
    for _, family in table.groupby(["prompt_set", "metric"]):
        assert family["p_holm"].tolist() == pytest.approx(holm(family["p"]).tolist())
    clear = (table["p_holm"] < 0.05) & ((table["ci_low"] > 0) | (table["ci_high"] < 0))
    assert ((table["verdict"] == NOT_SHOWN) == ~clear).all()
    ear = one(table, prompt_set="target", method="ear", reference="original")
    assert ear["verdict"] == BETTER and ear["difference"] < 0  # fewer churches
    prompted = one(table, prompt_set="target", method="negative-prompt", reference="ear")
    assert prompted["verdict"] == WORSE and prompted["difference"] > 0
    ascent = one(table, prompt_set="general", method="gradient-ascent", reference="ear")
    assert ascent["verdict"] == WORSE and ascent["difference"] < 0  # a lower CLIP score


def job(method, seed, rows):
    rows = [(f"{prompt}{SAMPLE}{sample}" if sample else prompt, *rest) for prompt, sample, *rest in rows]
    frame = pd.DataFrame(rows, columns=["prompt_id", "prompt_set", "object", "top1_object", "shown"])
    frame = frame.assign(window=0, prompt="a boat", clip_score=np.arange(len(rows)) * 1.5)
    return Job("church", method, seed, 0, frame, NO_SCORES)


def test_samples_of_a_prompt_are_matched_and_images_without_an_object_left_out():
    ours = [(f"p{i}", s, "target", "church", "boat", (i + s) % 3 == 0) for i in range(6) for s in range(2)]
    theirs = [(f"p{i}", s, "target", "church", "boat", True) for i in range(8) for s in range(2)][::-1]
    ours += [(f"r{i}", 0, "neighbours", "boat" if i else None, "boat", False) for i in range(5)]
    theirs += [(f"r{i}", 0, "neighbours", "boat", "car" if i < 3 else "boat", False) for i in range(5)]
    table = comparisons([job("original", 0, theirs), job("ear", 0, ours)], "ear")
    row = one(table, prompt_set="target")
    shown = [(i + s) % 3 == 0 for i in range(6) for s in range(2)]
    wanted = rate_difference(shown, [True] * 12, np.repeat(np.arange(6), 2), [0] * 12)
    assert numbers(row)[:4] == pytest.approx((wanted.value, wanted.low, wanted.high, wanted.p))
    assert (row["n_prompts"], row["seeds"]) == (6, 1)
    row = one(table, prompt_set="neighbours", metric="accuracy")
    assert (row["difference"], row["p"], row["n_prompts"]) == (0.5, mcnemar(2, 0), 4)


def test_general_images_are_compared_by_their_scores():
    rows = [(f"g{i}", 0, "general", "boat", "boat", False) for i in range(9)]
    first, second = job("original", 0, rows), job("ear", 0, rows)
    second.verdicts["clip_score"] = [9.0, 2, 5, 1, 7, 3, 4, 4, 8]
    row = one(comparisons([first, second], "ear"), metric="clip_score")
    scores = first.verdicts["clip_score"]
    wanted = mean_difference(second.verdicts["clip_score"], scores, range(9), [0] * 9)
    assert numbers(row)[:4] == pytest.approx((wanted.value, wanted.low, wanted.high, wanted.p))


def test_methods_without_a_common_prompt_or_reference_have_no_rows():
    rows = [("a", 0, "target", "church", "boat", True)]
    others = [("b", 0, "target", "church", "boat", True)]
    table = comparisons([job("original", 0, rows), job("ear", 0, others)], "ear")
    assert table.empty and tuple(table.columns) == tuple(COMPARISONS_CSV.columns)
    assert comparisons([job("original", 0, rows)], "ear").empty
