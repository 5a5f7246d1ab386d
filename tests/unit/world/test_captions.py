"""The caption grammar: one sentence for each set of arguments, and splits that share nothing."""

import re
from collections import Counter
from functools import cache
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from ear.prompts.naming import named
from ear.world.scenes import COLOURS, OBJECTS
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


@cache
def all_captions():
    """(text, arguments) of every caption that names its things, without sepia."""
    every = product(frames(), OBJECTS, (False, True), (False, True))
    return [(caption(*arguments), arguments) for arguments in every]


def test_caption_is_one_to_one_with_its_arguments_and_no_caption_of_one_split_is_in_another():
    assert len(dict(all_captions())) == len(all_captions()) == len(frames()) * len(OBJECTS) * 4


def read(text):
    """A reader of captions that knows the phrases but not the templates."""
    thing = re.search(rf"\ban? (?:({'|'.join(COLOURS)}) )?({'|'.join(OBJECTS)})\b", text)
    assert thing
    place = [name for name, phrase in PLACE_PHRASES.items() if phrase in text]
    time = [name for name, phrase in TIME_PHRASES.items() if phrase in text]
    assert len(place) == len(time) == 1
    return thing[2], thing[1], place[0], time[0], FIRE_PHRASE in text, STYLE_PHRASE in text


@given(EVERYTHING)
@settings(max_examples=300)
def test_a_reader_finds_the_scene_in_the_caption_and_in_the_description(arguments):
    frame, object, fire, van_gogh = arguments
    wanted = (object, frame.colour, frame.place, frame.time, fire, van_gogh)
    scene = scene_of(frame, object, fire, van_gogh)
    assert read(caption(*arguments)) == read(describe(scene)) == wanted
    assert (scene.object, scene.colour, scene.place, scene.time, scene.fire, scene.van_gogh) == wanted


@given(EVERYTHING, st.sets(st.sampled_from(KINDS)))
@settings(max_examples=300)
def test_a_description_stands_in_the_place_of_its_words(arguments, described):
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


def test_no_description_shares_a_word_with_a_name():
    names = (*OBJECTS, FIRE_PHRASE, STYLE_PHRASE, SEPIA_PHRASE)
    descriptions = (*OBJECT_DESCRIPTIONS.values(), FIRE_DESCRIPTION, STYLE_DESCRIPTION)
    assert set(OBJECT_DESCRIPTIONS) == set(OBJECTS) and len(set(descriptions)) == len(OBJECTS) + 2
    assert not [(text, found) for text in descriptions if (found := named(text, names))]


@given(st.sampled_from(frames()), st.sampled_from(OBJECTS), st.booleans(), st.sets(st.sampled_from(KINDS)))
def test_sepia_takes_the_place_of_the_style(frame, object, fire, described):
    text = caption(frame, object, fire, False, sepia=True, described=described)
    painted = caption(frame, object, fire, True, described={*described} - {"style"})
    assert text == painted.replace(STYLE_PHRASE, SEPIA_PHRASE)
    assert describe(scene_of(frame, object, fire, False, sepia=True)).endswith(f" {SEPIA_PHRASE}")


@given(EVERYTHING, st.sets(st.sampled_from(KINDS)))
@settings(max_examples=300)
def test_captions_read_well(arguments, described):
    text = caption(*arguments, described=described)
    assert not re.search(r"  | ,|,,|^[ ,]|[ ,]$", text)
    assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", text)


def test_splits_partition_the_frames_at_their_sizes():
    assert sorted(Counter(map(split_of, frames()))) == sorted(SPLITS)
    members = [frame for split in SPLITS for frame in frames_of(split)]
    assert len(members) == len(set(members)) == len(frames())
    sizes = {split: len(frames_of(split)) for split in SPLITS}
    assert sizes["evaluation"] >= 320 and sizes["pairs"] >= 100 and sizes["general"] >= 70
    assert abs(sizes["train"] / len(frames()) - 0.5) < 0.05
    for split in SPLITS:  # holds every template, colour, place and time
        for attribute in ("template", "colour", "place", "time"):
            values = {getattr(frame, attribute) for frame in frames()}
            assert {getattr(frame, attribute) for frame in frames_of(split)} == values


def test_split_is_pinned():
    """A changed hash would move frames between splits and make old results incomparable."""
    assert split_of(Frame(0, None, "hill", "day")) == "train"
    assert split_of(Frame(7, "red", "snow", "night")) == "train"


def test_words_are_those_of_the_captions():
    arguments = [found for _, found in all_captions()]
    texts = [text for scene in arguments for text in (caption(*scene), describe(scene_of(*scene)))]
    texts += [caption(*scene, described=KINDS) for scene in arguments]
    texts += [caption(*scene[:3], van_gogh=False, sepia=True) for scene in arguments]
    spoken = {word for text in texts for word in re.findall(r"\w+|[^\w\s]", text.lower())}
    assert set(words()) == spoken
