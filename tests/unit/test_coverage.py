"""Semantic coverage of prompt pairs: counted as a reader would, and plotted as counted."""

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ear.errors import InputError
from ear.figures import coverage as figure_of
from ear.figures import style
from ear.prompts.checks import ASPECTS
from ear.prompts.coverage import (
    ASPECT_COLUMNS,
    COVERAGE_COLUMNS,
    coverage_table,
    evenness,
    frame_aspects,
    told_aspects,
    words_used,
)
from ear.prompts.grammar import Grammar
from tests.unit.test_figures import lines


def pairs_of(source, prompts):
    ids = [f"church/pair/{source}-{number:04d}" for number in range(len(prompts))]
    return pd.DataFrame({"pair_id": ids, "unsafe_prompt": prompts, "source": source})


def with_aspects(pairs, aspects):
    """Pairs as a source writes them."""
    told = pd.DataFrame(aspects).reindex(columns=list(ASPECTS))
    return pd.concat([pairs.reset_index(drop=True), told], axis=1)


def grammar_table(count=85):
    grammar = Grammar("church", "object", "church", 42)
    pairs = grammar.pairs(count)
    aspects = told_aspects([with_aspects(pairs, frame_aspects(grammar.pair_frames(count)))])
    return pairs, aspects, coverage_table("church", ["church"], pairs, aspects)


def mixed_table():
    pairs, aspects, _ = grammar_table(30)
    other = pairs_of("another", [f"A church by {place}" for place in ("a lake", "a wood", "a lake at dawn")])
    proposed = [{"scene": scene, "mention": "implicit"} for scene in ("lake", "wood", "lake")]
    told = told_aspects([with_aspects(other, proposed)])
    pairs, aspects = pd.concat([pairs, other]), pd.concat([aspects, told])
    return pd.concat(
        [
            coverage_table("church", ["church"], pairs, aspects),
            coverage_table("van-gogh", ["church"], pairs_of("published", ["a church"] * 2), aspects.head(0)),
        ]
    )


def last(table, source, aspect):
    rows = table[(table["source"] == source) & (table["aspect"] == aspect)]
    return tuple(rows[["pairs", "told", "distinct", "evenness"]].iloc[-1])


def test_the_grammar_covers_its_places_times_and_colours():
    pairs, aspects, table = grammar_table()
    assert table.columns.tolist() == COVERAGE_COLUMNS
    assert aspects.columns.tolist() == ASPECT_COLUMNS
    for aspect, most in (("scene", 5), ("time", 3), ("attribute", 4), ("mention", 1)):
        values = aspects.loc[aspects["aspect"] == aspect, "value"]
        assert last(table, "grammar", aspect)[:3] == (85, 85, most)
        counts = np.array(list(Counter(values).values())) / 85
        naive = -(counts * np.log(counts)).sum() / math.log(most) if most > 1 else 0
        assert last(table, "grammar", aspect)[3] == pytest.approx(naive)
    assert "viewpoint" not in set(table["aspect"])
    assert {
        phrase: value
        for phrase in ("during the day", "at night", "at sunset")
        for prompt, value in zip(
            pairs["unsafe_prompt"], aspects.loc[aspects["aspect"] == "time", "value"], strict=True
        )
        if phrase in prompt
    } == {"during the day": "day", "at night": "night", "at sunset": "sunset"}


def test_growth_is_counted_pair_by_pair():
    _, aspects, table = grammar_table()
    scenes = aspects.loc[aspects["aspect"] == "scene", "value"].tolist()
    rows = table[table["aspect"] == "scene"]
    assert rows["pairs"].tolist()[:10] == list(range(1, 11)) and rows["pairs"].iloc[-1] == 85
    assert rows["distinct"].tolist() == [len(set(scenes[:number])) for number in rows["pairs"]]


def test_sources_are_measured_apart_and_together():
    table = mixed_table()
    assert last(table, "another", "scene") == (3, 3, 2, pytest.approx(evenness([2, 1])))
    assert last(table, "another", "word")[:3] == (3, 3, 3)  # lake, wood, dawn
    assert last(table, "all", "mention")[:3] == (33, 33, 2)
    assert "published" not in set(table["source"])  # it says nothing but "a church"
    together = table[(table["source"] == "all") & (table["aspect"] == "scene")]
    assert together["distinct"].iloc[1] == 2  # the second pair is another's


def test_words_are_stems_without_the_concept_and_function_words():
    pairs = pairs_of("any", ["Two CHURCHES, on the hills of a hill", "A chur-ch"])
    assert words_used(pairs, ["church"])["value"].tolist() == ["two", "hill"]


@given(st.lists(st.integers(0, 50), max_size=8))
def test_evenness_is_between_nothing_and_all_alike(counts):
    assert 0 <= evenness(counts) <= 1
    assert evenness([7] * len(counts)) == pytest.approx(float(len(counts) > 1))


def test_the_figure_shows_the_table():
    table = mixed_table()
    figure = figure_of.draw(table)
    aspects = [aspect for aspect in figure_of.PANELS if aspect in set(table["aspect"])]
    assert aspects == ["scene", "time", "attribute", "word"]
    for panel, (concept, aspect) in enumerate(
        (concept, aspect) for concept in dict.fromkeys(table["concept"]) for aspect in aspects
    ):
        rows = table[(table["concept"] == concept) & (table["aspect"] == aspect)]
        drawn = {name: line for name, line in lines(figure, panel).items() if not name.startswith("_")}
        assert set(drawn) == set(rows["source"])
        for source, line in drawn.items():
            of_source = rows.loc[rows["source"] == source, ["pairs", "distinct"]]
            np.testing.assert_array_equal(line.get_xydata(), of_source.to_numpy())
    labels = [text.get_text() for text in figure.axes[len(aspects) - 1].texts]
    ends = table[(table["concept"] == "church") & (table["aspect"] == "word")].groupby("source").tail(1)
    assert sorted(labels) == sorted(f"{row.source}  {row.distinct}" for row in ends.itertuples())


def test_names_at_the_ends_of_lines_keep_apart(tmp_path):
    table = pd.concat(
        coverage_table("church", ["church"], pairs, pd.DataFrame(columns=ASPECT_COLUMNS))
        for pairs in [
            pd.concat(
                [pairs_of(f"source-{n}", [f"A church near {n} hills", "A church at sea"]) for n in range(6)]
            )
        ]
    )
    figure = figure_of.draw(table)
    style.save(figure, tmp_path / "a.png", tmp_path / "a.pdf")
    boxes = sorted((text.get_window_extent() for text in figure.axes[0].texts), key=lambda box: box.y0)
    assert len(boxes) == 7
    assert all(low.y1 <= high.y0 + 1 for low, high in pairwise(boxes))


def test_a_table_without_rows_is_refused():
    with pytest.raises(InputError, match=r"coverage\.csv: found no rows"):
        figure_of.draw(pd.DataFrame(columns=COVERAGE_COLUMNS))
