"""The score card holds the numbers of the metrics table, its front those that nobody beats, its LaTeX a page."""

import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ear.evaluation.columns import METRICS_CSV, SCORE_CARD_CSV
from ear.evaluation.protocols import AXES, PREFIX, SHOWN, axis, level_of
from ear.evaluation.score_card import columns_of, pareto_front, score_card, to_latex
from ear.workflow.files import write_csv
from tests.made_up_axes import IMAGE_TOKENS, METHODS, made_up_metrics


@pytest.fixture(scope="module")
def metrics() -> pd.DataFrame:
    metrics = made_up_metrics()
    return metrics[metrics.concept.isin(["church", "fire"])]


@pytest.fixture(scope="module")
def card(metrics: pd.DataFrame) -> pd.DataFrame:
    return score_card(metrics, IMAGE_TOKENS)


def row(card: pd.DataFrame, concept: str, method: str, name: str) -> pd.Series:
    found = card[(card.concept == concept) & (card.method == method) & (card.axis == name)]
    assert len(found) == 1
    return found.iloc[0]


def rows_of(metrics: pd.DataFrame, concept: str, method: str, name: str) -> pd.DataFrame:
    """Rows of an axis, seeds together, prefixes of more than a quarter of the image left out."""
    rows = metrics[(metrics.concept == concept) & (metrics.method == method) & (metrics.seed == "all")]
    mine = [
        axis(name).has(prompt_set) and (name != PREFIX or (level_of(prompt_set) or 0) <= IMAGE_TOKENS / 4)
        for prompt_set in rows.prompt_set
    ]
    return rows[np.array(mine) & (rows.metric == axis(name).metric)]


def test_a_number_is_the_worst_row_of_its_axis_with_the_highest_of_the_upper_ends(metrics, card):
    concept = "fire"
    for method in METHODS:
        rates = []
        for one in AXES:
            rows = rows_of(metrics, concept, method, one.name)
            if rows.empty or not one.score:
                mine = (card.concept == concept) & (card.method == method)
                assert one.name not in set(card[mine].axis)
                continue
            found = row(card, concept, method, one.name)
            assert found.value == (rows.value.max() if one.form.lower else rows.value.min())
            (worst,) = rows[rows.prompt_set == found.prompt_set].itertuples()
            assert (found.value, found.ci_low, found.n) == (worst.value, worst.ci_low, worst.n)
            assert found.ci_high == rows.ci_high.max() and found.measured == len(rows)
            if one.metric == SHOWN:
                rates.append(rows)
        every, found = pd.concat(rates), row(card, concept, method, "worst")
        assert (found.value, found.ci_high) == (every.value.max(), every.ci_high.max())
        assert found.measured == len(every)
    assert row(card, concept, "negative-prompt", "worst").measured == 16  # without relearning
    assert row(card, concept, "negative-prompt", "worst").of == 19


def test_long_prefixes_are_no_attack(metrics, card):
    longer = metrics.copy()
    longer.loc[longer.prompt_set == "prefix-128", ["value", "ci_low", "ci_high"]] = 1.0
    pd.testing.assert_frame_equal(score_card(longer, IMAGE_TOKENS), card)
    assert (score_card(longer, 512).query("axis == 'prefix'").value == 1).all()


def test_what_is_not_measured_has_no_column(metrics):
    few = metrics[metrics.prompt_set.isin(["target", "retention", "captions"])]
    card = score_card(few, IMAGE_TOKENS)
    assert [one.name for one in columns_of(card)] == ["erasure", "worst", "retention", "captions"]


def test_the_table_read_back_is_the_same(card, tmp_path):
    write_csv(tmp_path / "score-card.csv", card)
    read = SCORE_CARD_CSV.read(tmp_path / "score-card.csv")
    pd.testing.assert_frame_equal(read.drop(columns="front"), card.drop(columns="front"), check_dtype=False)
    assert to_latex(read, {}) == to_latex(card, {})
    assert card.loc[card.method == "original", "front"].isna().all()
    assert set(card.loc[card.method != "original", "front"]) <= {True, False}


def cell(low: float, value: float, high: float, measured: int = 2) -> dict[str, float]:
    return {"value": value, "ci_low": low, "ci_high": high, "n": 50, "measured": measured, "of": 2}


INTERVALS = st.lists(st.integers(0, 64).map(lambda part: part / 64), min_size=3, max_size=3).map(
    lambda ends: cell(*sorted(ends))
)
CELLS = st.dictionaries(
    st.sampled_from("abcdefg"),
    st.fixed_dictionaries({"worst": INTERVALS, "retention": INTERVALS}),
    min_size=1,
)


@settings(max_examples=30)
@given(CELLS)
def test_off_the_front_is_who_is_beaten_in_values_and_for_certain_in_one(cells):
    found = pareto_front(cells)
    for name, mine in cells.items():
        beaten = False
        for other, theirs in cells.items():
            x, y = (theirs[axis] for axis in ("worst", "retention"))
            a, b = (mine[axis] for axis in ("worst", "retention"))
            as_good = x["value"] <= a["value"] and y["value"] >= b["value"]
            lower = ((x["ci_high"] - x["value"]) ** 2 + (a["value"] - a["ci_low"]) ** 2) ** 0.5
            higher = ((y["value"] - y["ci_low"]) ** 2 + (b["ci_high"] - b["value"]) ** 2) ** 0.5
            surely = a["value"] - x["value"] > lower or y["value"] - b["value"] > higher
            beaten |= other != name and as_good and surely
        assert found[name] == (not beaten)
    assert any(found.values())


def test_a_method_under_fewer_attacks_beats_none_and_one_without_both_numbers_has_no_place():
    kept = cell(0.8, 0.9, 1)
    good, bad = ({"worst": shown, "retention": kept} for shown in (cell(0, 0.1, 0.2), cell(0.8, 0.9, 1)))
    assert pareto_front({"good": good, "bad": bad, "original": good}) == {"good": True, "bad": False}
    fewer = good | {"worst": cell(0, 0.1, 0.2, measured=1)}
    found = pareto_front({"good": fewer, "bad": bad, "none": {"worst": cell(0, 0, 0)}})
    assert found == {"good": True, "bad": True}


DOCUMENT = r"""\documentclass[twocolumn]{article}
\usepackage[letterpaper,textwidth=6.9in,textheight=9.2in]{geometry}
\usepackage{booktabs}
\begin{document}
\begin{table*}\centering\input{score-card.tex}\end{table*}
\end{document}
"""


def test_the_latex_table_compiles_and_fits_on_a_page_of_two_columns(metrics, tmp_path):
    if not shutil.which("pdflatex"):
        pytest.skip("no LaTeX: install texlive-latex-recommended")
    rows = metrics[metrics.prompt_set == "target"].assign(metric="second_concept_rate")
    scores = metrics[metrics.metric == "kid"]
    every = pd.concat([metrics, rows, scores.assign(metric="fid"), scores.assign(metric="clip_score")])
    odd = every[every.concept == "church"].replace({"method": {"wga": "my_50%-method"}})
    card = score_card(odd[list(METRICS_CSV.columns)], IMAGE_TOKENS)
    latex = to_latex(card, {("church", "my_50%-method"): (12345.6, 76543.0)})
    assert r"my\_50\%-method & 12346 & 76.5 \\" in latex and r"original & -- & -- \\" in latex
    (tmp_path / "score-card.tex").write_text(latex)
    (tmp_path / "page.tex").write_text(DOCUMENT)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert ran.returncode == 0, ran.stdout
    said = ran.stdout + ran.stderr
    assert "Overfull" not in said and "Float too large" not in said and "undefined" not in said
