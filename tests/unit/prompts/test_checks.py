"""Checks on what language models send back: one example a reason, and what holds for any text at all."""

import json
import re
import unicodedata

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ear.prompts.llm.checks import (
    LETTERS_A_WORD,
    MAX_RESPONSE,
    Checked,
    Proposed,
    Reason,
    Rules,
    check_response,
)
from ear.prompts.tables import REMOVED
from ear.workflow.files import read_csv, write_csv
from tests.unit.prompts.test_published_prompts import authors_files

__all__ = ["authors_files"]  # a fixture

NAMES = ("chapel", "cathedral", "Kirche", "église", "iglesia", "教会")
CHURCH = Rules("church", "church", NAMES, "object", 30)
GOOD = {
    "unsafe_prompt": "An old church on a hill",
    "safe_prompt": "An old barn on a hill",
    "replacement": "barn",
}


def check(*pairs, rules=CHURCH, wanted=100, held=()) -> Checked:
    return check_response(json.dumps({"pairs": pairs}), rules, wanted, held)


def both(text):
    """A pair whose sides hold the same text beside the concept and its replacement."""
    return GOOD | {"unsafe_prompt": text.format("church"), "safe_prompt": text.format("barn")}


EXAMPLES = {
    Reason.WRONG_TYPE: [
        {"unsafe_prompt": "A church"},
        *(GOOD | {"unsafe_prompt": value} for value in (["A church"], None, 10**400)),
        ["A church", "A barn"],
        "A church",
        None,
    ],
    Reason.LENGTH: [
        *(GOOD | {"unsafe_prompt": text} for text in ("", "   ", "\n")),
        both("A {} " + "by the sea " * 10),
        both("A {} " + "s" * 400),
    ],
    Reason.CHARACTERS: [
        *map(
            both, ("=HYPERLINK({})", "+A {}", "- A {} on a hill", "@A {}", "\tA {}", "＝A {}", "A {} @home")
        ),
        *map(both, ("A {}\non a hill", "A {}\u2028on a hill", "A {} on\ta hill", "A {}\x00", "A {}\u200b s")),
        *map(both, ("\ufeffA {}", "A \u202e{}", "A {}\x1b[31m", "A {} \ue000", "A {} \ud83d", "A {} 🙂")),
        *map(
            both, ("<|im_start|> A {}", "[INST] A {}", "### A {}", "<b>{}</b>", "A {{{{ {} }}}}", "A {} #1")
        ),
        *map(both, ("A {} `ls`", "A {} $(ls)", "http://example.org {}", "me@example.org {}", "C:\\{}")),
        GOOD | {"safe_prompt": "123"},
    ],
    Reason.UNNAMED: [
        GOOD | {"unsafe_prompt": text}
        for text in ("An old tower on a hill", "Winston Churchill on a hill", "An old сhurch on a hill")
    ],
    Reason.LEAK: [
        GOOD | {"safe_prompt": text}
        for text in (
            "The old CHURCH, on a hill.",
            "Old Churches on a hill",
            "An old chur-ch on a hill",
            "A small CHÜRCH on a hill",
            "An old ｃｈｕｒｃｈ on a hill",
            "Two old cathedrals on a hill",
            "Alte Kirchen auf dem Berg",
            "Une vieille église",
            "古い教会",
        )
    ],
}


@pytest.mark.parametrize(
    ("reason", "pair"), [(reason, pair) for reason, pairs in EXAMPLES.items() for pair in pairs]
)
def test_a_pair_is_rejected_with_the_first_reason_that_holds(reason, pair):
    checked = check(pair)
    assert [one.reason for one in checked.rejected] == [reason]
    assert checked.pairs == []


def test_what_carries_the_concept_leaks_too():
    rules = Rules("fire", "on fire", (), "attribute", 25)
    pair = {"unsafe_prompt": "A barn on fire in a field", "safe_prompt": "A barn in a field by a fire"}
    assert [one.reason for one in check(pair, rules=rules).rejected] == [Reason.LEAK]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I cannot help with that.",
        "[" * 10**5,
        '{"a":' * 10**5,
        "[]",
        '{"pairs": []}',
        '{"pairs": {"a": 1}}',
        '{"pairs": [{good}, {"unsafe_prompt": "A chu',
        '{"pairs": [{good}, ]}',
        " " * MAX_RESPONSE + '{"pairs": [{good}]}',
    ],
)
def test_a_response_without_whole_json_is_rejected_as_one(text):
    checked = check_response(text.replace("{good}", json.dumps(GOOD)), CHURCH, 10, [])
    assert (checked.pairs, [one.reason for one in checked.rejected]) == ([], [Reason.NO_JSON])


@pytest.mark.parametrize(
    "text",
    [
        "{pairs}",
        "```json\n{pairs}\n```",
        "<think>A {{church}} or [two]?</think> Here you are: {pairs} Anything else?",
        '{{"note": "first"}} and then {pairs}',
        '{{"result": {{"a": 1, "of": {pairs}}}}}',
        "[{good}, {good}]",
    ],
)
def test_pairs_are_found_wherever_they_stand(text):
    good, pairs = json.dumps(GOOD), json.dumps({"pairs": [GOOD]})
    checked = check_response(text.format(good=good, pairs=pairs), CHURCH, 10, [])
    assert [pair.safe_prompt for pair in checked.pairs] == ["An old barn on a hill"]


def test_what_is_kept_is_tidied_and_what_is_not_fit_for_a_table_left_out():
    pair = {
        "unsafe_prompt": "  An old  cathedral on\xa0a hill… \n",
        "safe_prompt": "An old barn on a hill",
        "replacement": "castle",
        "aspects": {"scene": "Hill ", "time": "=1", "viewpoint": 3, "mention": "implicit", "mood": "sad"},
    }
    aspects = {"scene": "hill", "mention": "implicit"}
    kept = Proposed("An old cathedral on a hill...", "An old barn on a hill", REMOVED, aspects)
    assert check(pair).pairs == [kept]
    assert check(GOOD).pairs == [Proposed(*GOOD.values(), {"mention": "explicit"})]


@pytest.mark.parametrize(
    ("again", "near"),
    [
        ("AN OLD CHURCH ON THE HILL.", True),
        ("An old cathedral on a hill", True),
        ("An old church on a hilll", True),
        ("A new church on a hill", False),
        ("An old church by the sea", False),
    ],
)
def test_near_duplicates_are_rejected_of_held_pairs_and_within_a_response(again, near):
    safe = again.lower().replace("church", "shed").replace("cathedral", "shed")
    pair = {"unsafe_prompt": again, "safe_prompt": safe}
    for checked in (check(pair, held=check(GOOD).pairs), check(GOOD, pair)):
        assert [one.reason for one in checked.rejected] == [Reason.NEAR_DUPLICATE] * near


def test_no_safe_side_serves_two_pairs():
    other = GOOD | {"unsafe_prompt": "An old brick church on a hill"}
    assert [one.reason for one in check(GOOD, other).rejected] == [Reason.NEAR_DUPLICATE]


def test_more_than_was_asked_for_is_left_out_and_fewer_is_no_error():
    pairs = [both(f"A {{}} {place}") for place in ("on a hill", "by the sea", "in the snow")]
    checked = check(*pairs, wanted=2)
    assert len(checked.pairs) == 2
    assert [one.reason for one in checked.rejected] == [Reason.SURPLUS]
    assert len(check(*pairs, wanted=9).pairs) == 3


def test_the_authors_pairs_pass(authors_files):
    rows = json.loads((authors_files / "train_church.json").read_text())
    names = {"original_prompt": "unsafe_prompt", "modified_prompt": "safe_prompt", "replaced": "replacement"}
    checked = check(*({names.get(key, key): value for key, value in row.items()} for row in rows))
    assert (len(checked.pairs), checked.rejected) == (55, [])
    styles = read_csv(authors_files / "train_van_gogh.csv", ["unsafe_prompt"]).to_dict("records")
    assert check(*styles, rules=Rules("van-gogh", "Van Gogh", ("vincent",), "style", 30)).rejected == []


PIECES = st.one_of(
    st.sampled_from(
        ["church", "Churches", "barn", "old", "on a hill", "教会", "=", "-", "\n", "<b>", "''", "1"]
    ),
    st.text(max_size=8),
    st.characters(),
)
TEXTS = st.one_of(st.lists(PIECES, max_size=12).map(" ".join), st.none(), st.integers())
PAIRS = st.fixed_dictionaries(
    {"unsafe_prompt": TEXTS.map(lambda text: f"A church {text}" if isinstance(text, str) else text)},
    optional={"safe_prompt": TEXTS, "replacement": TEXTS, "aspects": st.dictionaries(st.text(), TEXTS)},
)


@settings(deadline=None, max_examples=300)
@given(pairs=st.lists(st.one_of(PAIRS, TEXTS), max_size=8), wanted=st.integers(0, 4))
def test_whatever_comes_all_that_is_kept_or_shown_is_fit_for_a_table(tmp_path_factory, pairs, wanted):
    checked = check(*pairs, wanted=wanted)
    assert len(checked.pairs) <= wanted
    for pair in checked.pairs:
        for text in (pair.unsafe_prompt, pair.safe_prompt):
            assert 0 < len(text) <= LETTERS_A_WORD * CHURCH.max_words and text == text.strip()
            assert text.isprintable() and text == unicodedata.normalize("NFKC", text)
            assert not re.search(r"[<>{}\[\]|\\$#@=+*`^~]", text) and text[0] != "-"
        assert re.search("church|教会", pair.unsafe_prompt.lower())
        assert not re.search(r"\b(church|churches)\b|教会", pair.safe_prompt.lower())
        assert pair.replacement == REMOVED or pair.replacement.lower() in pair.safe_prompt.lower()
    shown = [text for one in checked.rejected for text in (one.unsafe_prompt, one.safe_prompt)]
    assert all(text.isprintable() and text[:1] not in tuple("=+-@") for text in shown if text)
    cells = [*shown, *(pair.unsafe_prompt for pair in checked.pairs)]
    path = tmp_path_factory.getbasetemp() / "cells.csv"
    write_csv(path, pd.DataFrame({"number": range(len(cells)), "text": [f"a {cell}" for cell in cells]}))
    assert read_csv(path, ["text"])["text"].tolist() == [f"a {cell}" for cell in cells]


@given(text=st.text())
def test_any_response_is_read(text):
    check_response(text, CHURCH, 3, [])
