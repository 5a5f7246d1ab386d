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
    captions_of,
    describe,
    frames,
    frames_of,
    scene_of,
    split_of,
    words,
)

EVERYTHING = st.tuples(st.sampled_from(frames()), st.sampled_from(OBJECTS), st.booleans(), st.booleans())
DESCRIBED = st.sets(st.sampled_from(KINDS))


@cache
def captions_by_split():
    return {split: set(captions_of(split)) for split in SPLITS}


def test_a_caption_is_one_to_one_with_its_arguments_and_none_is_in_two_splits():
    every = {caption(*arguments) for arguments in product(frames(), OBJECTS, (False, True), (False, True))}
    assert len(every) == len(frames()) * len(OBJECTS) * 4
    assert sum(map(len, captions_by_split().values())) == len(set().union(*captions_by_split().values()))


def read(text):
    """A reader of captions that knows the phrases but not the templates."""
    thing = re.search(rf"\ban? (?:({'|'.join(COLOURS)}) )?({'|'.join(OBJECTS)})\b", text)
    place = [name for name, phrase in PLACE_PHRASES.items() if phrase in text]
    time = [name for name, phrase in TIME_PHRASES.items() if phrase in text]
    assert thing and len(place) == len(time) == 1
    return thing[2], thing[1], place[0], time[0], FIRE_PHRASE in text, STYLE_PHRASE in text


@settings(max_examples=30, deadline=None)
@given(EVERYTHING, DESCRIBED)
def test_a_caption_names_or_describes_its_scene(arguments, described):
    frame, object, fire, van_gogh = arguments
    scene = scene_of(*arguments)
    wanted = (object, frame.colour, frame.place, frame.time, fire, van_gogh)
    assert read(caption(*arguments)) == read(describe(scene)) == wanted
    assert (scene.object, scene.colour, scene.place, scene.time, scene.fire, scene.van_gogh) == wanted

    text = caption(*arguments, described=described)
    assert text in captions_by_split()[split_of(frame)]
    assert not re.search(r"  | ,|,,|^[ ,]|[ ,]$", text)
    assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", text)
    for kind, description, name in (
        ("object", OBJECT_DESCRIPTIONS[object], object),
        ("attribute", FIRE_DESCRIPTION, FIRE_PHRASE),
        ("style", STYLE_DESCRIPTION, STYLE_PHRASE),
    ):
        assert kind not in described or not named(text, [name])
        text = text.replace(description, name)
    assert text == caption(*arguments)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(frames()), st.sampled_from(OBJECTS), st.booleans(), DESCRIBED)
def test_sepia_takes_the_place_of_the_style(frame, object, fire, described):
    text = caption(frame, object, fire, False, sepia=True, described=described)
    painted = caption(frame, object, fire, True, described={*described} - {"style"})
    assert text == painted.replace(STYLE_PHRASE, SEPIA_PHRASE)
    assert text in captions_by_split()[split_of(frame)]
    assert describe(scene_of(frame, object, fire, False, sepia=True)).endswith(f" {SEPIA_PHRASE}")


def test_no_description_shares_a_word_with_a_name():
    names = (*OBJECTS, FIRE_PHRASE, STYLE_PHRASE, SEPIA_PHRASE)
    descriptions = (*OBJECT_DESCRIPTIONS.values(), FIRE_DESCRIPTION, STYLE_DESCRIPTION)
    assert set(OBJECT_DESCRIPTIONS) == set(OBJECTS) and len(set(descriptions)) == len(OBJECTS) + 2
    assert not [(text, found) for text in descriptions if (found := named(text, names))]


def test_splits_partition_the_frames_at_their_sizes():
    sizes = Counter(map(split_of, frames()))
    assert sizes == {split: len(frames_of(split)) for split in SPLITS}
    assert sizes["evaluation"] >= 320 and sizes["pairs"] >= 100 and sizes["general"] >= 70
    assert abs(sizes["train"] / len(frames()) - 0.5) < 0.05
    for split, attribute in product(SPLITS, ("template", "colour", "place", "time")):
        values = {getattr(frame, attribute) for frame in frames()}
        assert {getattr(frame, attribute) for frame in frames_of(split)} == values
    # A changed hash would move frames between splits and make old results incomparable.
    assert split_of(Frame(0, None, "hill", "day")) == split_of(Frame(7, "red", "snow", "night")) == "train"


def test_words_are_those_of_the_captions():
    scenes = list(product(frames()[::7], OBJECTS, (True, False)))
    texts = [caption(*scene, True, described=kinds) for scene in scenes for kinds in ((), KINDS)]
    texts += [caption(*scene, False, sepia=True) for scene in scenes]
    texts += [describe(scene_of(*scene, True)) for scene in scenes]
    spoken = {word for text in texts for word in re.findall(r"\w+|[^\w\s]", text.lower())}
    assert set(words()) == spoken
