"""The caption grammar: one sentence for each set of arguments, and splits that share nothing."""

import re
from collections import Counter
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ear.prompts.naming import named
from ear.world.scenes import COLOURS, OBJECTS, PLACES, TIMES
from ear.world.sentences import (
    FIRE_DESCRIPTION,
    FIRE_PHRASE,
    KINDS,
    OBJECT_DESCRIPTIONS,
    PLACE_PHRASES,
    SEPIA_PHRASE,
    SPLITS,
    STYLE_DESCRIPTION,
    STYLE_PHRASE,
    TIME_PHRASES,
    Frame,
    caption,
    describe,
    frames,
    frames_of,
    scene_of,
    split_of,
    words,
)

EVERYTHING = st.tuples(st.sampled_from(frames()), st.sampled_from(OBJECTS), st.booleans(), st.booleans())
Arguments = tuple[Frame, str, bool, bool]


@cache
def all_captions() -> dict[str, list[Arguments]]:
    found: dict[str, list[Arguments]] = {}
    for frame in frames():
        for object in OBJECTS:
            for fire in (False, True):
                for van_gogh in (False, True):
                    text = caption(frame, object, fire, van_gogh)
                    found.setdefault(text, []).append((frame, object, fire, van_gogh))
    return found


def test_caption_is_one_to_one_with_its_arguments() -> None:
    assert len(all_captions()) == len(frames()) * len(OBJECTS) * 4
    assert not [text for text, arguments in all_captions().items() if len(arguments) > 1]


def read(text: str) -> tuple[str, str | None, str, str, bool, bool]:
    """A reader of captions that knows the phrases but not the templates."""
    thing = re.search(rf"\ban? (?:({'|'.join(COLOURS)}) )?({'|'.join(OBJECTS)})\b", text)
    assert thing
    place = [name for name, phrase in PLACE_PHRASES.items() if phrase in text]
    time = [name for name, phrase in TIME_PHRASES.items() if phrase in text]
    assert len(place) == len(time) == 1
    return thing[2], thing[1], place[0], time[0], FIRE_PHRASE in text, STYLE_PHRASE in text


@given(EVERYTHING)
@settings(max_examples=300)
def test_a_reader_finds_the_scene_in_the_caption_and_in_the_description(arguments: Arguments) -> None:
    frame, object, fire, van_gogh = arguments
    wanted = (object, frame.colour, frame.place, frame.time, fire, van_gogh)
    scene = scene_of(frame, object, fire, van_gogh)
    assert read(caption(*arguments)) == read(describe(scene)) == wanted
    assert (scene.object, scene.colour, scene.place, scene.time, scene.fire, scene.van_gogh) == wanted


@given(EVERYTHING, st.sets(st.sampled_from(KINDS)))
@settings(max_examples=300)
def test_a_description_stands_in_the_place_of_its_words(arguments: Arguments, described: set) -> None:
    """Put back by hand, the words give the plain caption: colour, place, time and order stay."""
    text = caption(*arguments, described=described)
    object = arguments[1]
    for kind, description, name in (
        ("object", OBJECT_DESCRIPTIONS[object], object),
        ("attribute", FIRE_DESCRIPTION, FIRE_PHRASE),
        ("style", STYLE_DESCRIPTION, STYLE_PHRASE),
    ):
        assert kind not in described or not named(text, [name])
        text = text.replace(description, name)
    assert text == caption(*arguments)


def test_no_description_shares_a_word_with_a_name() -> None:
    names = (*OBJECTS, FIRE_PHRASE, STYLE_PHRASE, SEPIA_PHRASE)
    descriptions = (*OBJECT_DESCRIPTIONS.values(), FIRE_DESCRIPTION, STYLE_DESCRIPTION)
    assert set(OBJECT_DESCRIPTIONS) == set(OBJECTS) and len(set(descriptions)) == len(OBJECTS) + 2
    assert not [(text, found) for text in descriptions if (found := named(text, names))]


@given(st.sampled_from(frames()), st.sampled_from(OBJECTS), st.booleans(), st.sets(st.sampled_from(KINDS)))
def test_sepia_takes_the_place_of_the_style(frame: Frame, object: str, fire: bool, described: set) -> None:
    text = caption(frame, object, fire, False, sepia=True, described=described)
    painted = caption(frame, object, fire, True, described={*described} - {"style"})
    assert text == painted.replace(STYLE_PHRASE, SEPIA_PHRASE)
    assert describe(scene_of(frame, object, fire, False, sepia=True)).endswith(f" {SEPIA_PHRASE}")


@given(EVERYTHING, st.sets(st.sampled_from(KINDS)))
@settings(max_examples=300)
def test_captions_read_well(arguments: Arguments, described: set) -> None:
    text = caption(*arguments, described=described)
    assert not re.search(r"  | ,|,,|^[ ,]|[ ,]$", text)
    assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", text)


def test_frames_are_all_there_once() -> None:
    assert len(frames()) == len(set(frames())) >= 900
    assert {frame.colour for frame in frames()} == {None, *COLOURS}
    assert {frame.place for frame in frames()} == set(PLACES)
    assert {frame.time for frame in frames()} == set(TIMES)


def test_splits_partition_the_frames_at_their_sizes() -> None:
    assert sorted(Counter(map(split_of, frames()))) == sorted(SPLITS)
    members = [frame for split in SPLITS for frame in frames_of(split)]
    assert len(members) == len(set(members)) == len(frames())
    sizes = {split: len(frames_of(split)) for split in SPLITS}
    assert sizes["evaluation"] >= 320 and sizes["pairs"] >= 100 and sizes["general"] >= 70
    assert abs(sizes["train"] / len(frames()) - 0.5) < 0.05


def test_split_is_pinned() -> None:
    """A changed hash would move frames between splits and make old results incomparable."""
    assert split_of(Frame(0, None, "hill", "day")) == "train"
    assert split_of(Frame(7, "red", "snow", "night")) == "train"


@pytest.mark.parametrize("split", SPLITS)
def test_every_split_holds_every_template_colour_place_and_time(split: str) -> None:
    for attribute in ("template", "colour", "place", "time"):
        values = {getattr(frame, attribute) for frame in frames()}
        assert {getattr(frame, attribute) for frame in frames_of(split)} == values


def test_no_caption_of_one_split_is_in_another() -> None:
    for text, arguments in all_captions().items():
        assert len({split_of(frame) for frame, *_ in arguments}) == 1, text


def test_descriptions_are_no_captions() -> None:
    described = {describe(scene_of(*arguments)) for found in all_captions().values() for arguments in found}
    assert not described & set(all_captions())
    assert len(described) == len(OBJECTS) * (len(COLOURS) + 1) * len(PLACES) * len(TIMES) * 4


def test_words_are_those_of_the_captions() -> None:
    arguments = [found[0] for found in all_captions().values()]
    texts = [text for scene in arguments for text in (caption(*scene), describe(scene_of(*scene)))]
    texts += [caption(*scene, described=KINDS) for scene in arguments]
    texts += [caption(*scene[:3], van_gogh=False, sepia=True) for scene in arguments]
    spoken = {word for text in texts for word in re.findall(r"\w+|[^\w\s]", text.lower())}
    assert set(words()) == spoken
