"""Prompts of unsafe concepts that speak of minors: never loaded, counted, shown nowhere. All texts are made up."""

import json
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ear.commands.stand_ins.tiny_janus import byte_processor
from ear.evaluation.attacks.search import _without_minors, open_prompts, vocabulary
from ear.models.janus import Janus
from ear.prompts.llm.checks import Reason, Rules, SourceResult
from ear.prompts.minors import speaks_of_minors
from ear.prompts.published import read_pairs, read_targets
from tests.tiny import tiny_backbone

MINORS = [
    *(
        "a child",
        "Children, playing",
        "two KIDS at the sea",
        "a teen-ager reading",
        "TEENAGE band",
        "preteen",
    ),
    *("a schoolgirl", "school girls", "school-boy", "loli", "an under-aged singer", "a little girl"),
    *("a 12-year-old pianist", "17 years old", "a 9yo", "15 y.o. dancer", "seven years old", "aged 16"),
    *("age of 5", "14 years of age", "a CHÍLD", "a_child_", "a chi\u200bld", "a \uff43hild"),
]
OTHERS = [
    *(
        "a childish wind",
        "a kidney",
        "a teensy boat",
        "a woman, 18 years old",
        "a 112 year old oak",
        "aged 40",
    ),
    *("aged wine", "a girl", "a young woman", "two boys", "page 12", "a school", "a scholar", "polished"),
]


def test_age_words_are_found_and_others_kept():
    assert [text for text in MINORS if not speaks_of_minors(text)] == []
    assert [text for text in OTHERS if speaks_of_minors(text)] == []


@settings(max_examples=30)
@given(
    st.integers(0, 130),
    st.sampled_from(["{} year old", "{}-year-olds", "aged {}", "{} yo", "{} years of age"]),
    st.text(max_size=20),
)
def test_an_age_counts_below_eighteen_and_a_word_wherever_it_stands(age, form, around):
    assert speaks_of_minors(f"a dancer, {form.format(age)}, painted") == (age < 18)
    assert speaks_of_minors(f"{around} teenager {around}")


@pytest.fixture
def files(tmp_path):
    prompts = ["a statue", "a child", "a nude statue", "a 12-year-old", "a nude statue", "a <|mark|> statue "]
    (tmp_path / "targets.json").write_text(json.dumps([{"prompt": text} for text in prompts]))
    pairs = [("nude one", "one"), ("nude kid", "one"), ("nude two", "teen two"), ("nude three", "three")]
    rows = [{"unsafe_prompt": unsafe, "safe_prompt": safe} for unsafe, safe in pairs]
    (tmp_path / "pairs.json").write_text(json.dumps(rows))
    return tmp_path


def test_rows_of_unsafe_sets_are_dropped_counted_and_keep_their_numbers(files, caplog):
    targets = read_targets(files / "targets.json", "x", "unsafe", rows=6)  # of the file
    assert targets["prompt_id"].tolist() == [f"x/target/{row:04d}" for row in (0, 2, 4, 5)]
    assert targets.index.tolist() == [0, 1, 2, 3]
    pairs = read_pairs(files / "pairs.json", "x", "unsafe")
    assert pairs["pair_id"].tolist() == ["x/pair/0000", "x/pair/0003"]
    assert [record.getMessage() for record in caplog.records] == [
        f"{files / 'targets.json'}: 2 of 6 rows speak of minors and are left out",
        f"{files / 'pairs.json'}: 2 of 4 rows speak of minors and are left out",
    ]
    assert read_pairs(files / "pairs.json", "x", "unsafe", rows=3)["pair_id"].tolist() == ["x/pair/0000"]
    assert len(read_targets(files / "targets.json", "x", "object", rows=6)) == 6


def test_language_models_pairs_are_rejected_without_their_texts():
    pair = {"unsafe_prompt": "A nude child on a hill", "safe_prompt": "A child on a hill"}
    broken = [
        pair | {"safe_prompt": 3},
        pair | {"safe_prompt": "=1\n"},
        "A nude child",
        {"pairs": ["a teen"]},
    ]
    for kind in ("unsafe", "object"):
        result = SourceResult()
        result.add(json.dumps({"pairs": [pair, *broken]}), Rules("nudity", "nude", (), kind, 40), 5)
        assert len(result.pairs) == (kind == "object")
        assert (result.rejected[0].reason == Reason.MINORS) == (kind == "unsafe")
        shown = [text for one in result.rejected for text in (one.unsafe_prompt, one.safe_prompt)]
        assert any(map(speaks_of_minors, shown)) == (kind == "object")


def test_attackers_append_no_age_words():
    """Neither by one token nor put together from several, though each alone is harmless."""
    processor = byte_processor()
    processor.tokenizer.add_tokens(["toddler"])
    backbone = Janus(tiny_backbone().model, processor)
    backbone.model.resize_token_embeddings(len(processor.tokenizer))
    words = {kind: vocabulary(backbone, ["statue"], kind) for kind in ("unsafe", "object")}
    ids = processor.tokenizer.convert_tokens_to_ids(["t", "e", "e", "n"])
    assert set(ids) <= set(words["unsafe"].tolist()) <= set(words["object"].tolist())
    assert not any(speaks_of_minors(processor.tokenizer.decode([one])) for one in words["unsafe"].tolist())
    opened = open_prompts(backbone, ["a statue", "a statue,"])
    attacked = SimpleNamespace(backbone=backbone)
    appended = [torch.tensor(ids), torch.tensor(ids[:3])]
    kept = _without_minors(attacked, opened, appended)
    assert [tokens.tolist() for tokens in kept] == [[], ids[:3]]
