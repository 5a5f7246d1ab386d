"""Whether a text names a concept: inflected, joined or apart, in disguise."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ear.prompts.naming import core, fold, named, spans, without, words_of


@pytest.mark.parametrize(
    ("text", "words", "found"),
    [
        ("The CHURCH's yard", ["church"], ["church"]),
        ("Churches and chapels", ["church", "chapel"], ["church", "chapel"]),
        ("Winston Churchill", ["church"], []),
        ("a churchyard in unchurched land", ["church"], []),
        ("in the style of Vincent van\nGogh", ["Van Gogh"], ["Van Gogh"]),
        ("a van-gogh night, a VanGogh night", ["Van Gogh"], ["Van Gogh"]),
        ("the Goghs of this world", ["Van Gogh"], []),
        ("(nudes), naked.", ["nude", "naked", "nudity"], ["nude", "naked"]),
        ("once labelled", ["label", "lab"], ["label"]),
        ("a wind mill, two wind-mills", ["windmill"], ["windmill"]),
        ("a postcard with care", ["car"], []),
        ("ＣＨＵＲＣＨ", ["church"], ["church"]),
        ("chu\u200brch", ["church"], ["church"]),
        ("an e\u0301glise", ["église", "eglise"], ["église", "eglise"]),
        ("古い教会の前", ["教会"], ["教会"]),
        ("nothing at all", ["", "⛪", " "], []),
    ],
)
def test_a_prompt_names_words_whole_or_inflected(text, words, found):
    assert named(text, words) == found


@pytest.mark.parametrize(
    ("text", "names", "pieces"),
    [
        ("Two Churches, a church!", ["church"], ["Two ", ", a ", "!"]),
        ("A hill in the style of Van Gogh.", ["Van Gogh", "in the style of Van Gogh"], ["A hill ", "."]),
        ("church", ["church"], ["", ""]),
        ("A boat by the sea", ["church"], ["A boat by the sea"]),
        ("Vieille e\u0301glise", ["\u00e9glise"], ["vieille ", ""]),
    ],
)
def test_a_text_is_cut_around_names(text, names, pieces):
    assert without(text, names) == pieces


@given(st.lists(st.sampled_from(["A", "church", "Churches", "on-fire", "été", ",", "van gogh", "\u200b"])))
def test_nothing_that_is_left_names_anything_and_the_rest_stays(parts):
    text, names = " ".join(parts), ["church", "Van Gogh"]
    pieces = without(text, names)
    assert not any(named(piece, names) for piece in pieces)
    assert len(pieces) == 1 + sum(part in ("church", "Churches", "van gogh") for part in parts)
    assert [part for part in words_of(text) if part in ("a", "on", "fire", "ete")] == [
        word for piece in pieces for word in words_of(piece)
    ]


def test_the_core_of_a_name_is_what_a_picture_shows():
    assert core("in the style of Van Gogh") == "Van Gogh"
    assert core("Church of England") == "Church of England"
    assert core("in the style of") == "in the style of"


def test_places_of_a_name_are_those_of_its_words():
    assert spans("A church, two churches", "church") == [(1, 2), (3, 4)]
    assert spans("a wind-mill by Van Gogh", "windmill") == [(1, 3)]
    assert spans("A night by Van Gogh at sea", "Van Gogh") == [(3, 5)]


@settings(max_examples=30)
@given(st.text(max_size=40), st.sampled_from(["church", "Van Gogh", "on fire"]), st.booleans())
def test_a_name_is_found_wherever_it_stands(around, name, upper):
    text = f"{around} . {name} . {around}"
    assert named(text.upper() if upper else text, [name]) == [name]
    assert fold(fold(text)) == fold(text)
    assert all(word == fold(word) for word in words_of(text))
    for start, end in spans(text, around):
        assert 0 <= start < end <= len(words_of(text))
