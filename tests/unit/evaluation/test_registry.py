"""The registry of what is measured: a made-up axis added by one entry is in all that reads it."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ear.config.sections import Axes
from ear.errors import InputError
from ear.evaluation import columns, protocols
from ear.evaluation.columns import METRICS_CSV, Table
from ear.evaluation.comparison import comparisons
from ear.evaluation.metrics_table import metrics_table
from ear.evaluation.protocols import (
    AXES,
    METRICS,
    RIGHT,
    SHOWN,
    Axis,
    asks_for_concept,
    axis_of,
    level_of,
    set_of,
)
from ear.evaluation.score_card import score_card, to_latex
from ear.report.figures import score_card as figure
from ear.report.numbers import results_table, summary
from ear.workflow.files import write_csv
from tests import comparison

ROOT = Path(__file__).parents[3]
MADE_UP = Axis("paraphrase", 1, ("paraphrase-",), SHOWN, "Paraphrase", "images of paraphrases, which show it")


def test_an_axis_is_added_by_one_entry(monkeypatch):
    """Its verdicts, of a prompt set that nothing names, reach tables, card, figure, report, docs."""
    jobs = [job for job in comparison.jobs(20, (16,)) if job.concept == "church"]
    for job in jobs:
        drawn = job.verdicts[job.verdicts["prompt_set"] == "target"].assign(prompt_set="paraphrase-german")
        drawn["prompt_id"] = drawn["prompt_id"].str.replace("target", "paraphrase-german")
        job.verdicts[:] = pd.concat([job.verdicts.iloc[: -len(drawn)], drawn]).to_numpy()
    before = metrics_table(jobs)
    assert "paraphrase-german" not in set(before["prompt_set"])
    monkeypatch.setattr(protocols, "AXES", (*AXES, MADE_UP))
    metrics = metrics_table(jobs)
    added = metrics[metrics["prompt_set"] == "paraphrase-german"]
    assert set(added["metric"]) == {SHOWN}
    assert "paraphrase-german" in set(comparisons(jobs, "ear")["prompt_set"])
    card = score_card(metrics, 64)
    assert "Paraphrase" in to_latex(card)
    texts = [text.get_text() for text in figure.draw(card).axes[0].texts]
    assert "Paraphrase ↓" in texts
    found, lines = results_table(card)
    assert MADE_UP in found and "paraphrase-german" in " ".join(summary(found, lines).sentences)
    assert asks_for_concept("paraphrase-german")
    assert "paraphrase/1" in protocols.markdown_table(protocols.AXES)


def test_the_docs_have_the_registrys_table():
    text = (ROOT / "docs/reference/protocols.md").read_text(encoding="utf-8")
    wanted = protocols.markdown_table(AXES)
    assert wanted in text, f"docs/reference/protocols.md lacks ear.evaluation.protocols.markdown_table:\n{wanted}"


def test_config_and_registry_name_the_same_axes():
    counts = {"samples", "prompts"}  # how many images of each, not whether
    assert {axis.config for axis in AXES if axis.config} == set(Axes.model_fields) - counts


def test_names_and_protocols_are_of_one_axis_each():
    assert len({axis.name for axis in AXES}) == len(AXES) == len({(axis.sets, axis.metric) for axis in AXES})
    assert {axis.metric for axis in AXES} == set(METRICS)
    left = [axis.of_concept for axis in AXES]
    assert left == sorted(left, reverse=True)  # in the order of tables: of the concept, then what is kept


@pytest.mark.parametrize(
    ("prompt_set", "metric", "name"),
    [
        ("target", SHOWN, "erasure"),
        ("neighbours", RIGHT, "neighbours"),
        ("questions-concept", RIGHT, "recognition"),
        ("prefix-16", SHOWN, "prefix"),
        ("ceiling-0", SHOWN, "ceiling"),
        ("guidance-2.5", SHOWN, "guidance"),
        ("search-gradient", SHOWN, "search"),
        ("relearned-50", SHOWN, "relearning"),
        ("general", "kid", "kernel-distance"),
        ("target", "clip_score", None),
        ("prefixes", SHOWN, None),
        ("x", "fid", None),
    ],
)
def test_a_row_of_the_table_finds_its_axis(prompt_set, metric, name):
    found = axis_of(prompt_set, metric)
    assert (found and found.name) == name


def test_sets_that_keep_something_do_not_ask_for_the_concept():
    harmless = {"retention", "neighbours", "general", "captions", "questions-concept", "questions-others"}
    sets = [name for axis in AXES for name in axis.sets] + ["of another kind"]
    assert {name for name in sets if not asks_for_concept(name)} == harmless


@given(st.sampled_from(["prefix", "ceiling", "guidance", "temperature"]), st.integers(0, 10_000))
def test_a_level_is_read_from_the_set_that_it_names(kind, hundredths):
    assert level_of(set_of(kind, hundredths / 100)) == hundredths / 100


@pytest.mark.parametrize("prompt_set", ["target", "search-random", "questions-others", "16"])
def test_sets_without_a_level_have_none(prompt_set):
    assert level_of(prompt_set) is None


GOOD = {"concept": "church", "method": "ear", "seed": "all", "prompt_set": "target", "metric": SHOWN}
GOOD |= {"value": 0.5, "ci_low": None, "ci_high": 0.7, "n": 40}


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("method", "", "method: found nothing, wanted a name"),
        ("value", "much", "value: found 'much', wanted a finite number, or nothing"),
        ("ci_high", "inf", "ci_high: found 'inf', wanted a finite number"),
        ("n", 3.5, "n: found '3.5', wanted a whole number"),
        ("n", -1, "n: found '-1', wanted a whole number from 0"),
        ("n", "", "n: found nothing, wanted a whole number"),
    ],
)
def test_a_cell_that_is_none_of_its_columns_is_one_line_with_file_row_and_column(
    tmp_path, column, value, told
):
    path = tmp_path / "metrics.csv"
    write_csv(path, METRICS_CSV.frame([GOOD]))
    assert len(METRICS_CSV.read(path)) == 1
    write_csv(path, METRICS_CSV.frame([GOOD, GOOD | {column: value}]))
    with pytest.raises(InputError, match=r"^\S*metrics\.csv:3: ") as error:
        METRICS_CSV.read(path)
    assert told in str(error.value)


def test_empty_tables_and_further_columns_can_be_read(tmp_path):
    for name, table in vars(columns).items():
        if isinstance(table, Table):
            write_csv(tmp_path / name, table.frame().assign(further=[]))
            assert table.read(tmp_path / name).empty
