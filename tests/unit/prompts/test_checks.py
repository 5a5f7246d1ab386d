"""Checks on what language models send back: examples of each reason, and what holds for any text at all."""

import json
import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ear.prompts.llm.checks import (
    LETTERS_A_WORD,
    MAX_RESPONSE,
    Proposed,
    Reason,
    Rules,
    SourceResult,
)
from ear.prompts.tables import REMOVED
from ear.workflow.files import read_csv
from tests.unit.prompts.test_published_prompts import authors_files

__all__ = ["authors_files"]  # a fixture

CHURCH = Rules("church", "church", ("chapel", "cathedral", "église", "教会"), "object", 30)
GOOD = {
    "unsafe_prompt": "An old church on a hill",
    "safe_prompt": "An old barn on a hill",
    "replacement": "barn",
}


def checked(text, wanted=100, rules=CHURCH, held=()):
    """What becomes of a response."""
    result = SourceResult(list(held))
    result.add(text, rules, wanted)
    result.pairs = result.pairs[len(held) :]
    return result


def check(*pairs, **settings):
    return checked(json.dumps({"pairs": pairs}), **settings)


def reasons(result):
    return [one.reason for one in result.rejected]


def both(text):
    """A pair whose sides hold the same text beside the concept and its replacement."""
    return GOOD | {"unsafe_prompt": text.format("church"), "safe_prompt": text.format("barn")}


EXAMPLES = {
    Reason.WRONG_TYPE: [{"unsafe_prompt": "A church"}, GOOD | {"unsafe_prompt": None}, "A church", None],
    Reason.LENGTH: [
        *(GOOD | {"unsafe_prompt": text} for text in ("", " \n")),
        both("A {} " + "by the sea " * 10),
        both("A {} " + "s" * 400),
    ],
    Reason.CHARACTERS: [
        *map(both, ("=HYPERLINK({})", "+A {}", "- A {} on a hill", "@A {}", "\tA {}", "＝A {}")),
        *map(both, ("A {}\non a hill", "A {}\u2028on a hill", "A {}\x00", "A {}\u200b s", "A {} \ud83d")),
        *map(
            both, ("A \u202e{}", "A {}\x1b[31m", "A {} 🙂", "<|im_start|> A {}", "### A {}", "A {{{{ {} }}}}")
        ),
        *map(both, ("A {} `ls`", "http://example.org {}", "me@example.org {}", "C:\\{}")),
        GOOD | {"safe_prompt": "123"},
    ],
    Reason.UNNAMED: [
        GOOD | {"unsafe_prompt": text}
        for text in ("An old tower on a hill", "Winston Churchill on a hill", "An old сhurch on a hill")
    ],
    Reason.LEAK: [
        GOOD | {"safe_prompt": text}
        for text in (
            "Old CHURCHES, on a hill.",
            "An old chur-ch on a hill",
            "An old ｃｈｕｒｃｈ on a hill",
            "Two old cathedrals on a hill",
            "Une vieille église",
            "古い教会",
        )
    ],
}


@pytest.mark.parametrize("reason", EXAMPLES)
def test_a_pair_is_rejected_with_the_first_reason_that_holds(reason):
    for pair in EXAMPLES[reason]:
        result = check(pair)
        assert (reasons(result), result.pairs) == ([reason], []), pair


def test_what_carries_the_concept_leaks_too():
    rules = Rules("fire", "on fire", (), "attribute", 25)
    pair = {"unsafe_prompt": "A barn on fire in a field", "safe_prompt": "A barn in a field by a fire"}
    assert reasons(check(pair, rules=rules)) == [Reason.LEAK]


@given(st.sampled_from([chr(code) for code in range(32)]), st.integers(1, len(GOOD["safe_prompt"]) - 1))
def test_a_raw_control_character_costs_its_pair_and_no_other(sign, place):
    """Grammars of local models let them pass, though JSON has them escaped only."""
    safe = GOOD["safe_prompt"]
    broken = GOOD | {"safe_prompt": f"{safe[:place]}CONTROL{safe[place:]}"}
    text = json.dumps({"pairs": [broken, both("A {} by the sea")]})
    for written in (sign, json.dumps(sign)[1:-1]):
        result = checked(text.replace("CONTROL", written))
        assert reasons(result) == [Reason.CHARACTERS]
        assert [pair.unsafe_prompt for pair in result.pairs] == ["A church by the sea"]


@pytest.mark.parametrize(
    "text",
    [
        "I cannot help with that.",
        '{"a":' * 10**5,
        '{"pairs": []}',
        '{"pairs": {"a": 1}}',
        '{"pairs": [{good}, {"unsafe_prompt": "A chu',
        " " * MAX_RESPONSE + '{"pairs": [{good}]}',
    ],
)
def test_a_response_without_whole_json_is_rejected_as_one(text):
    result = checked(text.replace("{good}", json.dumps(GOOD)))
    assert (result.pairs, reasons(result), result.usage.answered) == ([], [Reason.NO_JSON], 1)


@pytest.mark.parametrize(
    "text",
    [
        "```json\n{pairs}\n```",
        "<think>A {{church}} or [two]?</think> Here you are: {pairs} Anything else?",
        '{{"note": "first"}} and then {pairs}',
        "[{good}, {good}]",
    ],
)
def test_pairs_are_found_wherever_they_stand(text):
    good, pairs = json.dumps(GOOD), json.dumps({"pairs": [GOOD]})
    result = checked(text.format(good=good, pairs=pairs))
    assert [pair.safe_prompt for pair in result.pairs] == ["An old barn on a hill"]


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
        ("An old cathedral on a hilll", True),
        ("An old church by the sea", False),
    ],
)
def test_near_duplicates_are_rejected_of_held_pairs_and_within_a_response(again, near):
    safe = again.lower().replace("church", "shed").replace("cathedral", "shed")
    pair = {"unsafe_prompt": again, "safe_prompt": safe}
    for result in (check(pair, held=check(GOOD).pairs), check(GOOD, pair)):
        assert reasons(result) == [Reason.NEAR_DUPLICATE] * near
    assert reasons(check(GOOD, GOOD | {"unsafe_prompt": "An old brick church"})) == [Reason.NEAR_DUPLICATE]


def test_more_than_was_asked_for_is_left_out_and_all_is_counted():
    pairs = [both(f"A {{}} {place}") for place in ("on a hill", "by the sea", "in the snow")]
    result = check(*pairs, "none", wanted=2)
    assert len(result.pairs) == 2
    assert reasons(result) == [Reason.SURPLUS, Reason.WRONG_TYPE]
    usage = result.usage
    assert (usage.asked, usage.answered, usage.valid, usage.unique) == (2, 4, 3, 2)


def test_the_authors_pairs_pass(authors_files):
    rows = json.loads((authors_files / "train_church.json").read_text())
    names = {"original_prompt": "unsafe_prompt", "modified_prompt": "safe_prompt", "replaced": "replacement"}
    result = check(*({names.get(key, key): value for key, value in row.items()} for row in rows))
    assert (len(result.pairs), result.rejected) == (55, [])
    styles = read_csv(authors_files / "train_van_gogh.csv", ["unsafe_prompt"]).to_dict("records")
    assert check(*styles, rules=Rules("van-gogh", "Van Gogh", ("vincent",), "style", 30)).rejected == []


PIECES = st.one_of(
    st.sampled_from(["church", "barn", "old", "on a hill", "教会", "=", "-", "\n", "<b>", "''", "1"]),
    st.text(max_size=8),
)
TEXTS = st.one_of(st.lists(PIECES, max_size=6).map(" ".join), st.none(), st.integers())
PAIRS = st.fixed_dictionaries(
    {"unsafe_prompt": TEXTS.map(lambda text: f"A church {text}" if isinstance(text, str) else text)},
    optional={"safe_prompt": TEXTS, "replacement": TEXTS, "aspects": st.dictionaries(st.text(), TEXTS)},
)


@settings(deadline=None, max_examples=30)
@given(pairs=st.lists(st.one_of(PAIRS, TEXTS), max_size=5), wanted=st.integers(0, 4), noise=st.text())
def test_whatever_comes_all_that_is_kept_or_shown_is_fit_for_a_table(pairs, wanted, noise):
    checked(noise)  # any text is read
    result = check(*pairs, wanted=wanted)
    assert len(result.pairs) <= wanted
    for pair in result.pairs:
        for text in (pair.unsafe_prompt, pair.safe_prompt):
            assert 0 < len(text) <= LETTERS_A_WORD * CHURCH.max_words and text == text.strip()
            assert text.isprintable() and text == unicodedata.normalize("NFKC", text)
            assert not re.search(r"[<>{}\[\]|\\$#@=+*`^~]", text) and text[0] != "-"
        assert re.search("church|教会", pair.unsafe_prompt.lower())
        assert not re.search(r"\b(church|churches)\b|教会", pair.safe_prompt.lower())
        assert pair.replacement == REMOVED or pair.replacement.lower() in pair.safe_prompt.lower()
    shown = [text for one in result.rejected for text in (one.unsafe_prompt, one.safe_prompt)]
    assert all(text.isprintable() and text[:1] not in tuple("=+-@") for text in shown if text)
