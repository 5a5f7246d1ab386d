"""The registry of what is measured: a made-up axis added by one entry is in all that reads it."""

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import given, settings
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
from ear.report.figures.card import score_card as figure
from ear.report.page import results_table
from ear.workflow.files import write_csv
from tests import comparison

ROOT = Path(__file__).parents[3]
MADE_UP = Axis("paraphrase", ("paraphrase-",), SHOWN, "Paraphrase", "images of paraphrases, which show it")


def test_an_axis_is_added_by_one_entry(monkeypatch, tmp_path):
    """Its verdicts, of a prompt set that nothing names, reach tables, card, figure, report, docs."""
    jobs = comparison.jobs(8, (16,), ("church",), ("original", "ear"))
    for job in jobs:
        drawn = job.verdicts[job.verdicts["prompt_set"] == "target"].assign(prompt_set="paraphrase-german")
        drawn["prompt_id"] = drawn["prompt_id"].str.replace("target", "paraphrase-german")
        job.verdicts[:] = pd.concat([job.verdicts.iloc[: -len(drawn)], drawn]).to_numpy()
    assert "paraphrase-german" not in set(metrics_table(jobs[:1])["prompt_set"])
    monkeypatch.setattr(protocols, "AXES", (*AXES, MADE_UP))
    metrics = metrics_table(jobs)
    added = metrics[metrics["prompt_set"] == "paraphrase-german"]
    assert set(added["metric"]) == {SHOWN}
    assert "paraphrase-german" in set(comparisons(jobs, "ear")["prompt_set"])
    card = score_card(metrics, 64)
    assert "Paraphrase" in to_latex(card, {})
    write_csv(tmp_path / "card.csv", card)
    drawn = figure(SimpleNamespace(table=tmp_path / "card.csv"), None)
    assert "Paraphrase (%) ↓" in [text.get_text() for text in drawn.axes[0].texts]
    found, lines = results_table(card, {})
    assert MADE_UP in found and all(line["cells"][found.index(MADE_UP)] for line in lines)
    assert asks_for_concept("paraphrase-german")


def test_the_docs_have_the_registrys_table():
    lines = ["| axis | what is counted | prompt sets | metric | better | config | figure |", "|---" * 7 + "|"]
    for one in AXES:
        sets = ", ".join(f"`{name}…`" if name.endswith("-") else f"`{name}`" for name in one.sets)
        better = ("lower" if one.form.lower else "higher") if one.score else "no score"
        on = f"`axes.{one.config}`" if one.config else "always"
        cells = (
            f"{one.name}/{one.version}",
            one.measures,
            sets,
            f"`{one.metric}`",
            better,
            on,
            one.figure or "–",
        )
        lines.append(f"| {' | '.join(cells)} |")
    wanted = "\n".join(lines) + "\n"
    assert wanted in (ROOT / "docs/reference/protocols.md").read_text(encoding="utf-8"), (
        f"docs/reference/protocols.md lacks:\n{wanted}"
    )


def test_config_and_registry_name_the_same_axes():
    counts = {"samples", "prompts"}  # how many images of each, not whether
    assert {axis.config for axis in AXES if axis.config} == set(Axes.model_fields) - counts


def test_names_and_protocols_are_of_one_axis_each():
    assert len({axis.name for axis in AXES}) == len(AXES) == len({(axis.sets, axis.metric) for axis in AXES})
    assert {axis.metric for axis in AXES} == set(METRICS)
    left = [axis.of_concept for axis in AXES]
    assert left == sorted(left, reverse=True)  # in the order of tables: of the concept, then what is kept


def test_a_row_of_the_table_finds_its_axis():
    found = {
        ("target", SHOWN): "erasure",
        ("questions-concept", RIGHT): "recognition",
        ("prefix-16", SHOWN): "prefix",
        ("general", "kid"): "kernel-distance",
    }
    for row, name in found.items():
        axis = axis_of(*row)
        assert axis and axis.name == name
    for row in (("target", "clip_score"), ("prefixes", SHOWN), ("x", "fid")):
        assert axis_of(*row) is None


def test_sets_that_keep_something_do_not_ask_for_the_concept():
    harmless = {"retention", "neighbours", "general", "captions", "questions-concept", "questions-others"}
    sets = [name for axis in AXES for name in axis.sets] + ["of another kind"]
    assert {name for name in sets if not asks_for_concept(name)} == harmless


@settings(max_examples=30)
@given(st.integers(0, 10_000))
def test_a_level_is_read_from_the_set_that_it_names(hundredths):
    assert level_of(set_of("guidance", hundredths / 100)) == hundredths / 100
    assert {level_of(name) for name in ("target", "search-random", "questions-others", "16")} == {None}


GOOD = {"concept": "church", "method": "ear", "seed": "all", "prompt_set": "target", "metric": SHOWN}
GOOD |= {"value": 0.5, "ci_low": None, "ci_high": 0.7, "n": 40}


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("method", "", "method: found nothing, wanted a name"),
        ("value", "much", "value: found 'much', wanted a finite number, or nothing"),
        ("n", 3.5, "n: found '3.5', wanted a whole number"),
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
