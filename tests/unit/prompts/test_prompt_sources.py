"""Pairs of several sources: the grammar behind the common interface, merging, holding out, and their table."""

import pandas as pd
import pytest

from ear.errors import InputError
from ear.prompts.llm.checks import ASPECTS, Proposed, Reason, Rules, SourceResult, Usage
from ear.prompts.pairs import (
    ELSEWHERE,
    SOURCES_COLUMNS,
    hold_out,
    merge_pairs,
    source_pairs,
    sources_table,
    usage_row,
)
from ear.prompts.tables import PAIR_COLUMNS, PROMPT_COLUMNS
from ear.workflow.files import read_csv, write_csv
from ear.world.grammar import Grammar, grammar_pairs
from ear.world.sentences import FIRE_PHRASE, STYLE_PHRASE

CONCEPTS = [
    ("church", "object", "church"),
    ("van-gogh", "style", STYLE_PHRASE),
    ("fire", "attribute", FIRE_PHRASE),
]
RULES = Rules("church", "church", (), "object", 40)


def table(source, *numbers):
    pairs = [Proposed(f"A church by road {n}", f"A barn by road {n}", "barn") for n in numbers]
    return source_pairs("church", "church", source, "chat", pairs)


@pytest.mark.parametrize(("concept", "kind", "words"), CONCEPTS)
def test_the_grammars_pairs_pass_every_check_and_are_those_that_it_makes_by_itself(concept, kind, words):
    grammar = Grammar(concept, kind, words, seed=42)
    result = grammar_pairs(grammar, Rules(concept, words, (), kind, 40), 85)
    assert result.rejected == []
    made = source_pairs(concept, words, "grammar", "grammar", result.pairs)
    pd.testing.assert_frame_equal(made[PAIR_COLUMNS], grammar.pairs(85))
    assert result.usage == Usage(1, 85, 85, 85, 85)


def test_merging_the_grammar_alone_changes_nothing(tmp_path):
    pairs = Grammar("church", "object", "church", seed=7).pairs(40)
    write_csv(tmp_path / "pairs.csv", pairs)
    merged, rejected = merge_pairs([read_csv(tmp_path / "pairs.csv", PAIR_COLUMNS)], RULES, set())
    write_csv(tmp_path / "merged.csv", merged)
    assert (tmp_path / "merged.csv").read_bytes() == (tmp_path / "pairs.csv").read_bytes()
    assert rejected.empty


def test_a_pair_that_an_earlier_source_has_is_rejected_with_its_reason():
    merged, rejected = merge_pairs([table("one", 0, 1), table("two", 1, 2)], RULES, {"A barn by road 2"})
    assert merged["pair_id"].tolist() == ["church/pair/one-0000", "church/pair/one-0001"]
    assert rejected.values.tolist() == [
        ["two", "A church by road 1", "A barn by road 1", Reason.NEAR_DUPLICATE],
        ["two", "A church by road 2", "A barn by road 2", ELSEWHERE],
    ]
    with pytest.raises(InputError, match="church: found only pairs"):
        merge_pairs([table("one", 0)], RULES, {"A church by road 0"})


def test_a_further_source_or_more_pairs_change_no_id():
    before, _ = merge_pairs([table("one", 0, 1)], RULES, set())
    after, _ = merge_pairs([table("one", 0, 1, 2), table("two", 3)], RULES, set())
    assert after.head(2).equals(before)


def test_held_out_pairs_are_target_and_retention_prompts_and_no_training_pairs():
    tables = [table("one", *range(30)), table("two", *range(30, 50))]
    pairs = pd.concat(tables, ignore_index=True)[PAIR_COLUMNS]
    training, prompts = hold_out(pairs, "church", target=8, retention=5)
    assert list(training) == PAIR_COLUMNS and list(prompts) == PROMPT_COLUMNS
    assert prompts["prompt_set"].value_counts().to_dict() == {"target": 8, "retention": 5}
    assert len(training) == 50 - 8
    assert (
        prompts["prompt_id"].is_unique and prompts["prompt_id"].str.match("church/(target|retention)/").all()
    )
    seen = {*training["unsafe_prompt"], *training["safe_prompt"]}
    assert not seen & set(prompts["prompt"])
    other, _ = hold_out(pairs.iloc[::-1].reset_index(drop=True), "church", target=8, retention=5)
    assert set(other["pair_id"]) == set(training["pair_id"])
    with pytest.raises(InputError, match="church: found 50 pairs, wanted more than 50"):
        hold_out(pairs, "church", target=50, retention=5)


def test_pairs_keep_what_their_source_says_of_them():
    made = source_pairs(
        "c", "w", "s", "chat", [Proposed("u", "v", "r", {"scene": "hill", "mention": "explicit"})]
    )
    assert list(made) == [*PAIR_COLUMNS, *ASPECTS]
    assert made.loc[0, ["scene", "time", "mention"]].tolist() == ["hill", "", "explicit"]


def test_the_table_of_sources_counts_what_became_of_their_pairs():
    usage = Usage(4, asked=40, answered=38, valid=35, unique=30, prompt_tokens=2 * 10**6)
    usage.completion_tokens = 10**6
    rows = pd.concat([usage_row("church", name, SourceResult(usage=usage)) for name in ("one", "two")])
    candidates = pd.concat([table("one", *range(30)), table("two", *range(30, 40))])
    found = sources_table(rows, candidates, candidates.iloc[5:-1], {"one": {"input": 0.5, "output": 2.0}})
    assert list(found) == SOURCES_COLUMNS
    assert found["candidates"].tolist() == [30, 10] and found["kept"].tolist() == [25, 9]
    assert found["cost"].tolist()[0] == 3.0 and pd.isna(found["cost"][1])
    assert found["asked"].tolist() == [40, 40]
