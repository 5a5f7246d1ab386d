"""Prompts of unsafe concepts that speak of minors: never loaded, counted, shown nowhere. All texts are made up."""

import inspect
import json
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ear.commands.stand_ins.tiny_janus import byte_processor
from ear.evaluation.attacks.search import _without_minors, open_prompts, vocabulary
from ear.models.janus import Backbone
from ear.prompts.llm.checks import Reason, Rules, check_response
from ear.prompts.minors import speaks_of_minors, without_minors
from ear.prompts.published import read_pairs, read_targets
from tests.tiny import tiny_backbone

MINORS = [
    "a child",
    "Children, playing",
    "two KIDS at the sea",
    "a teen",
    "a teen-ager reading",
    "TEENAGE band",
    "preteen",
    "a schoolgirl",
    "school girls",
    "school-boy",
    "loli",
    "an under-aged singer",
    "a 12 year old",
    "a 12-year-old pianist",
    "17 years old",
    "a 9yo",
    "15 y.o. dancer",
    "seven years old",
    "aged 16",
    "age of 5",
    "14 years of age",
    "a little girl",
    "a CHÍLD",
    "a_child_",
    "a chi\u200bld",
    "a \uff43hild",
]
OTHERS = [
    "a childish wind",
    "a kidney",
    "a teensy boat",
    "a woman, 18 years old",
    "a 25 year old man",
    "a 112 year old oak",
    "aged 40",
    "aged wine",
    "a girl",
    "a young woman",
    "two boys",
    "page 12",
    "a school",
    "a scholar",
    "polished",
]


@pytest.mark.parametrize("text", MINORS)
def test_age_words_are_found(text):
    assert speaks_of_minors(text)


@pytest.mark.parametrize("text", OTHERS)
def test_what_does_not_speak_of_minors_is_kept(text):
    assert not speaks_of_minors(text)


@given(
    st.integers(0, 130),
    st.sampled_from(["{} year old", "{}-year-olds", "aged {}", "{} yo", "{} years of age"]),
)
def test_an_age_counts_below_eighteen(age, form):
    assert speaks_of_minors(f"a dancer, {form.format(age)}, painted") == (age < 18)


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_word_counts_wherever_it_stands(before, after):
    assert speaks_of_minors(f"{before} teenager {after}")


@pytest.fixture
def files(tmp_path):
    prompts = ["a statue", "a child", "a nude statue", "a 12-year-old", "a nude statue", "a <|mark|> statue "]
    (tmp_path / "targets.json").write_text(json.dumps([{"prompt": text} for text in prompts]))
    pairs = [("nude one", "one"), ("nude kid", "one"), ("nude two", "teen two"), ("nude three", "three")]
    rows = [{"unsafe_prompt": unsafe, "safe_prompt": safe} for unsafe, safe in pairs]
    (tmp_path / "pairs.json").write_text(json.dumps(rows))
    return tmp_path


def test_rows_of_unsafe_sets_are_dropped_and_keep_their_numbers(files):
    targets = read_targets(files / "targets.json", "x", "unsafe", rows=6)  # of the file
    assert targets["prompt_id"].tolist() == [f"x/target/{row:04d}" for row in (0, 2, 4, 5)]
    assert targets.index.tolist() == [0, 1, 2, 3]
    pairs = read_pairs(files / "pairs.json", "x", "unsafe", rows=3)
    assert pairs["pair_id"].tolist() == ["x/pair/0000"]
    assert read_pairs(files / "pairs.json", "x", "unsafe")["pair_id"].tolist() == [
        "x/pair/0000",
        "x/pair/0003",
    ]
    assert len(read_targets(files / "targets.json", "x", "object", rows=6)) == 6


def test_nothing_switches_it_off():
    for reader in (read_targets, read_pairs, without_minors):
        parameters = inspect.signature(reader).parameters
        assert parameters["kind"].default is inspect.Parameter.empty
        assert not any("minor" in name or "age" in name.split("_") for name in parameters)


def test_they_are_counted_and_not_shown(files, caplog):
    read_targets(files / "targets.json", "x", "unsafe")
    read_pairs(files / "pairs.json", "x", "unsafe")
    assert [record.getMessage() for record in caplog.records] == [
        f"{files / 'targets.json'}: 2 of 6 rows speak of minors: left out",
        f"{files / 'pairs.json'}: 2 of 4 rows speak of minors: left out",
    ]


def test_language_models_pairs_are_rejected_without_their_texts():
    pair = {"unsafe_prompt": "A nude child on a hill", "safe_prompt": "A child on a hill"}
    broken = [
        pair | {"safe_prompt": 3},
        pair | {"safe_prompt": "=1\n"},
        "A nude child",
        {"pairs": ["a teen"]},
    ]
    for kind, count in (("unsafe", 0), ("object", 1)):
        rules = Rules("nudity", "nude", (), kind, 40)
        checked = check_response(json.dumps({"pairs": [pair, *broken]}), rules, 5, [])
        assert len(checked.pairs) == count
        shown = [text for one in checked.rejected for text in (one.unsafe_prompt, one.safe_prompt)]
        assert any(map(speaks_of_minors, shown)) == (kind == "object")
    unsafe = check_response(json.dumps({"pairs": [pair]}), Rules("nudity", "nude", (), "unsafe", 40), 5, [])
    assert [one.reason for one in unsafe.rejected] == [Reason.MINORS]


def test_attackers_append_no_age_words():
    """Neither by one token nor put together from several, though each alone is harmless."""
    processor = byte_processor()
    processor.tokenizer.add_tokens(["toddler"])
    backbone = Backbone(tiny_backbone().model, processor)
    backbone.model.resize_token_embeddings(len(processor.tokenizer))
    words = {kind: vocabulary(backbone, ["statue"], kind) for kind in ("unsafe", "object")}
    ids = processor.tokenizer.convert_tokens_to_ids(["t", "e", "e", "n"])
    assert set(ids) <= set(words["unsafe"].tolist()) <= set(words["object"].tolist())
    assert not any(speaks_of_minors(processor.tokenizer.decode([one])) for one in words["unsafe"].tolist())
    opened = open_prompts(backbone, ["a statue", "a statue,"])
    victim = SimpleNamespace(backbone=backbone)
    appended = [torch.tensor(ids), torch.tensor(ids[:3])]
    kept = _without_minors(victim, opened, appended)
    assert [tokens.tolist() for tokens in kept] == [[], ids[:3]]
