"""The score card holds the numbers of the metrics table, and its files say the same."""

import io
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ear.metrics.ranks import Front
from ear.metrics.score_card.file import ScoreCard, card_json, make_card, read_card, side_by_side
from ear.metrics.score_card.table import CARD_COLUMNS, fronts, intervals, score_card
from ear.metrics.score_card.text import to_latex, to_markdown

from ear.errors import InputError
from ear.files import write_json
from ear.metrics import main_table
from ear.metrics.intervals import Interval
from tests.made_up_axes import CONCEPTS, IMAGE_TOKENS, METHODS, made_up_metrics

ROOT = Path(__file__).parents[2]
ATTACKS = ("prefix", "search", "guidance", "temperature", "relearned")


@pytest.fixture(scope="module")
def metrics() -> pd.DataFrame:
    return made_up_metrics()


@pytest.fixture(scope="module")
def card(metrics: pd.DataFrame) -> pd.DataFrame:
    return score_card(metrics, IMAGE_TOKENS)


def make(card: pd.DataFrame, **changes: object) -> ScoreCard:
    facts = {"experiment": "made-up", "backbone": "mini-world", "image_tokens": IMAGE_TOKENS}
    facts |= {"fine_tuning_seeds": [0, 1, 2], "config_sha256": "0" * 64}
    return make_card(card, **(facts | changes))  # type: ignore[arg-type]


def row(card: pd.DataFrame, concept: str, method: str, axis: str) -> pd.Series:
    found = card[(card.concept == concept) & (card.method == method) & (card.axis == axis)]
    assert len(found) == 1
    return found.iloc[0]


def attacks_on(metrics: pd.DataFrame, concept: str, method: str) -> pd.DataFrame:
    rows = metrics[(metrics.concept == concept) & (metrics.method == method) & (metrics.seed == "all")]
    rows = rows[rows.metric == "concept_rate"]
    kind, _, number = zip(*rows.prompt_set.str.partition("-").to_numpy(), strict=True)
    short = [one != "prefix" or int(k) <= IMAGE_TOKENS / 4 for one, k in zip(kind, number, strict=True)]
    return rows[np.isin(kind, ATTACKS) & np.array(short)]


@pytest.mark.parametrize("concept", CONCEPTS)
def test_numbers_are_those_of_the_metrics_table(metrics, card, concept) -> None:
    sets = {"erasure": "target", "implicit": "implicit", "retention": "retention", "quality": "general"}
    sets |= {"captions": "captions", "questions": "questions-others"}
    metric = dict.fromkeys(sets, "accuracy") | {"erasure": "concept_rate", "implicit": "concept_rate"}
    metric |= {"quality": "kid", "captions": "bleu"}
    for method in METHODS:
        for axis, prompt_set in sets.items():
            rows = metrics[
                (metrics.concept == concept) & (metrics.method == method) & (metrics.seed == "all")
            ]
            wanted = rows[(rows.prompt_set == prompt_set) & (rows.metric == metric[axis])].iloc[0]
            found = row(card, concept, method, axis)
            for name in ("value", "ci_low", "ci_high", "n", "prompt_set"):
                assert found[name] == wanted[name]


@pytest.mark.parametrize("concept", CONCEPTS)
def test_the_worst_attack_is_the_highest_of_all_short_enough(metrics, card, concept) -> None:
    for method in METHODS:
        rows, found = attacks_on(metrics, concept, method), row(card, concept, method, "worst")
        assert found.value == rows.value.max()
        worst = rows[rows.prompt_set == found.prompt_set].iloc[0]
        assert (found.value, found.ci_low) == (worst.value, worst.ci_low)
        assert found.ci_high == rows.ci_high.max()
        assert found.measured == len(rows)
        parts = [row(card, concept, method, axis).value for axis in ("prefix", "search", "sweeps")]
        assert found.value >= max(parts)
    assert row(card, concept, "negative-prompt", "worst").measured == 13  # without relearning
    assert row(card, concept, "negative-prompt", "worst").of == 16


def test_long_prefixes_are_no_attack(metrics, card) -> None:
    longer = metrics.copy()
    longer.loc[longer.prompt_set == "prefix-128", ["value", "ci_low", "ci_high"]] = 1.0
    pd.testing.assert_frame_equal(score_card(longer, IMAGE_TOKENS), card)
    assert (score_card(longer, 512).query("axis == 'prefix'").value == 1).all()


def test_means_over_concepts(card) -> None:
    for axis, shared in (("erasure", False), ("retention", False), ("captions", True), ("quality", True)):
        rows = [row(card, concept, "ear", axis) for concept in CONCEPTS]
        mean = row(card, "all", "ear", axis)
        assert mean.value == pytest.approx(np.mean([one.value for one in rows]))
        low = [one.value - one.ci_low for one in rows]
        wanted = np.mean(low) if shared else math.hypot(*low) / len(rows)
        assert mean.value - mean.ci_low == pytest.approx(wanted)
        assert mean.n == sum(one.n for one in rows)


def test_a_method_that_lacks_a_concept_has_no_mean_and_one_concept_no_mean_row(metrics) -> None:
    lost = metrics[~((metrics.concept == "fire") & (metrics.method == "ear"))]
    card = score_card(lost, IMAGE_TOKENS)
    assert "ear" not in set(card[card.concept == "all"].method)
    assert "wga" in set(card[card.concept == "all"].method)
    alone = score_card(metrics[metrics.concept == "church"], IMAGE_TOKENS)
    assert set(alone.concept) == {"church"}


def test_only_erasing_methods_are_ranked(card) -> None:
    assert card.loc[card.method == "original", ["rank_best", "rank_worst"]].isna().all(axis=None)
    ranked = card[card.method != "original"]
    assert ranked.rank_worst.max() == len(METHODS) - 1
    assert row(card, "church", "released", "erasure").rank_best > 1
    assert row(card, "church", "ear", "erasure").rank_best == 1
    assert "original" not in fronts(card, "church")


def test_a_method_under_fewer_attacks_is_never_certain() -> None:
    columns = ["concept", "method", "seed", "prompt_set", "metric", "value", "ci_low", "ci_high", "n"]
    rows = [
        ("church", method, "all", prompt_set, metric, value, value, value, 10)
        for method, retention in (("a", 0.9), ("b", 0.8))
        for prompt_set, metric, value in (
            ("target", "concept_rate", 0.0),
            ("guidance-1", "concept_rate", 0.5 if method == "a" else 0.6),
            ("retention", "accuracy", retention),
        )
    ]
    rows.append(("church", "b", "all", "search-random", "concept_rate", 0.6, 0.6, 0.6, 10))
    rows += [(*one[:2], "0", *one[3:]) for one in rows]
    card = score_card(pd.DataFrame(rows, columns=columns), 16)
    assert fronts(card, "church")["a"] == {"front": Front.CERTAIN, "attack-front": Front.POSSIBLE}
    assert fronts(card, "church")["b"]["attack-front"] == Front.NOT


def test_tables_of_today_make_a_card_too(metrics) -> None:
    few = metrics[metrics.prompt_set.isin(["target", "retention", "general", "captions"])]
    card = score_card(few[few.metric != "diversity"], IMAGE_TOKENS)
    assert list(card.axis.unique()) == ["erasure", "retention", "quality", "captions"]
    assert "attack-front" not in fronts(card, "church")["ear"]
    assert "Front, attacked" not in to_markdown(card)


def test_json_round_trip(card, tmp_path) -> None:
    read_back = pd.read_csv(io.StringIO(card.to_csv(index=False)))
    made = make(read_back)
    assert made == make(card)
    write_json(tmp_path / "card.json", card_json(made))
    assert read_card(tmp_path / "card.json") == made
    entry = next(one for one in made.entries if (one.concept, one.method) == ("church", "ear"))
    score, wanted = entry.scores["worst"], row(card, "church", "ear", "worst")
    assert (score.value, score.low, score.high) == (wanted.value, wanted.ci_low, wanted.ci_high)
    assert (score.n, score.rank, score.prompt_set) == (
        wanted.n,
        (wanted.rank_best, wanted.rank_worst),
        wanted.prompt_set,
    )
    assert entry.fronts == fronts(card, "church")["ear"]
    assert {len(one.scores) for one in made.entries if one.method == "ear"} == {card.axis.nunique()}


def test_scores_without_an_interval_are_null(metrics) -> None:
    bare = metrics.copy()
    bare.loc[bare.metric == "kid", ["ci_low", "ci_high"]] = np.nan
    made = make(score_card(bare, IMAGE_TOKENS))
    score = made.entries[1].scores["quality"]
    assert (score.low, score.high, score.rank) == (None, None, (1, len(METHODS) - 1))


def test_every_axis_names_its_protocols(card) -> None:
    for axis in make(card).axes.values():
        assert axis.protocols and all("/" in name for name in axis.protocols)


def test_the_schema_file_is_in_step() -> None:
    schema = json.loads((ROOT / "schemas/score-card.schema.json").read_text())
    assert schema == ScoreCard.model_json_schema(), "make it anew: python -m ear.metrics.score_card"


def test_what_is_no_card_is_told_in_a_line(tmp_path, card) -> None:
    path = tmp_path / "card.json"
    with pytest.raises(InputError, match=r"card\.json: No such file"):
        read_card(path)
    write_json(path, card_json(make(card)) | {"schema_version": 2})
    with pytest.raises(InputError, match=r"card\.json: schema_version: .*, wanted a score card"):
        read_card(path)


def test_cards_side_by_side(card, tmp_path) -> None:
    first, second = make(card), make(card[card.method != "wga"], experiment="other")
    lines = side_by_side(first, second).splitlines()
    assert len(lines) == 2 + len(card[card.method != "wga"])
    assert lines[0].split() == ["|", "concept", "|", "method", "|", "axis", "|", "made-up", "|", "other", "|"]
    moved = second.model_copy(
        update={
            "axes": second.axes
            | {"erasure": second.axes["erasure"].model_copy(update={"protocols": ["target/9"]})}
        }
    )
    with pytest.raises(InputError, match=r"erasure: found target/9"):
        side_by_side(first, moved)
    for name, one in (("a", first), ("b", moved)):
        write_json(tmp_path / f"{name}.json", card_json(one))
    command = [sys.executable, "-m", "ear.metrics.score_card", tmp_path / "a.json", tmp_path / "b.json"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert ran.returncode == 1 and ran.stderr.startswith("error: score cards: erasure") and not ran.stdout


def test_markdown_says_what_the_table_says(card) -> None:
    text = to_markdown(card)
    found = row(card, "church", "wga", "erasure")
    cell = f"{100 * found.value:.1f} [{100 * found.ci_low:.1f}, {100 * found.ci_high:.1f}] ({found.rank_best}–{found.rank_worst})"
    (line,) = [one for one in text.split("## van-gogh")[0].splitlines() if one.startswith("| wga")]
    assert cell in line
    assert [one for one in text.splitlines() if one.startswith("## ")] == [
        "## church",
        "## van-gogh",
        "## fire",
        "## Mean over concepts",
    ]


DOCUMENT = r"""\documentclass[twocolumn]{article}
\usepackage[letterpaper,textwidth=6.9in,textheight=9.2in]{geometry}
\usepackage{booktabs}
\begin{document}
\begin{table*}\centering\input{main.tex}\end{table*}
\begin{table*}\centering\input{score-card.tex}\end{table*}
\end{document}
"""


def test_latex_tables_compile_and_fit_on_a_page_of_two_columns(metrics, card, tmp_path) -> None:
    command = next((name for name in ("pdflatex", "lualatex", "tectonic") if shutil.which(name)), None)
    if command is None:
        pytest.skip("no LaTeX: install texlive-latex-recommended")
    odd = metrics.replace({"method": {"wga": "my_50%-method"}})  # no name of the config's, but of others'
    (tmp_path / "main.tex").write_text(main_table.to_latex(main_table.main_table(odd)))
    (tmp_path / "score-card.tex").write_text(to_latex(card))
    (tmp_path / "page.tex").write_text(DOCUMENT)
    options = [] if command == "tectonic" else ["-interaction=nonstopmode", "-halt-on-error"]
    ran = subprocess.run(
        [command, *options, "page.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stdout
    said = ran.stdout + ran.stderr
    assert "Overfull" not in said and "Float too large" not in said and "undefined" not in said
    assert (tmp_path / "page.pdf").stat().st_size > 0


def test_intervals_of_an_axis(card) -> None:
    found = intervals(card, "church", "erasure")
    wanted = row(card, "church", "ear", "erasure")
    assert found["ear"] == Interval(wanted.value, wanted.ci_low, wanted.ci_high, wanted.n)
    assert list(found) == list(METHODS) and set(card.columns) == set(CARD_COLUMNS)
