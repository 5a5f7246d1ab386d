"""The caption grammar of the mini world: frames, splits, captions and canonical descriptions.

A *frame* is everything in a caption but the object, the fire and the style. Frames, not captions, are
split, so the same sentence about another object, or with a phrase added, never crosses from one split to
another.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Literal, get_args

from ear.seeding import stable_seed
from ear.world.scenes import COLOURS, OBJECTS, PLACES, TIMES, Scene

Split = Literal["train", "pairs", "evaluation", "general"]
SPLITS: tuple[Split, ...] = get_args(Split)

STYLE_PHRASE = "in the style of Van Gogh"
FIRE_PHRASE = "on fire"
PLACE_PHRASES = {
    "hill": "on a hill",
    "sea": "by the sea",
    "city": "in a city",
    "desert": "in the desert",
    "snow": "in the snow",
}
TIME_PHRASES = {"day": "during the day", "sunset": "at sunset", "night": "at night"}

# A slot of fire or style is empty, or its phrase with the blank or comma that binds it (see _fields).
TEMPLATES = (
    "a photo of {thing}{fire} {place} {time}{style}",
    "a picture of {thing}{fire} {place} {time}{style}",
    "an image of {thing} {place} {time}{fire_comma}{style_comma}",
    "a view of {thing}{fire} {place}{style} {time}",
    "a postcard of {thing}{fire} {place}{style} {time}",
    "a scene with {thing}{fire} {place} {time}{style_comma}",
    "a landscape with {thing}{fire} {place} {time}{style}",
    "there is {thing}{fire} {place} {time}{style}",
    "we see {thing}{fire} {place} {time}{style_comma}",
    "look at {thing} {place} {time}{fire_comma}{style_comma}",
    "{time} {place}, {thing}{fire}{style}",
    "{place} {time}, {thing}{fire}{style}",
    "{time}, {thing}{fire} {place}{style}",
    "{style_first}a snapshot of {thing}{fire} {place} {time}",
    "{style_first}{time}, a picture of {thing}{fire} {place}",
    "{style_first}{place}, a view of {thing}{fire} {time}",
)
# Not among TEMPLATES: what image -> caption learns to write is no prompt of any split.
DESCRIPTION_TEMPLATE = "{thing}{fire} {place} {time}{style}"

# Upper bounds, in percent, of each split's share of the frames.
_SPLIT_BOUNDS: tuple[tuple[Split, int], ...] = (
    ("train", 48),
    ("pairs", 58),
    ("evaluation", 92),
    ("general", 100),
)


@dataclass(frozen=True)
class Frame:
    """A caption without its object, fire and style.

    Attributes:
        template: index into TEMPLATES.
        colour: one of COLOURS, or None for the object's natural colours.
        place: one of PLACES.
        time: one of TIMES.
    """

    template: int
    colour: str | None
    place: str
    time: str


@cache
def frames() -> tuple[Frame, ...]:
    """All frames, in a fixed order: templates × (no colour + COLOURS) × PLACES × TIMES."""
    return tuple(Frame(*parts) for parts in product(range(len(TEMPLATES)), (None, *COLOURS), PLACES, TIMES))


def split_of(frame: Frame) -> Split:
    """The split a frame belongs to, by a stable hash: see _SPLIT_BOUNDS for their shares."""
    percent = stable_seed("frame", frame.template, frame.colour or "", frame.place, frame.time) % 100
    return next(split for split, bound in _SPLIT_BOUNDS if percent < bound)


@cache
def frames_of(split: Split) -> tuple[Frame, ...]:
    """The frames of one split, in the order of ``frames()``."""
    return tuple(frame for frame in frames() if split_of(frame) == split)


def captions_of(split: Split) -> Iterator[str]:
    """Every caption of a split."""
    flags = (False, True)
    for parts in product(frames_of(split), OBJECTS, flags, flags):
        yield caption(*parts)


def caption(frame: Frame, object: str, fire: bool, van_gogh: bool) -> str:
    """The caption of a frame with its object, attribute and style; no two sets of arguments share one.

    Args:
        frame: where, when, in which colour and in which words.
        object: one of OBJECTS.
        fire: add the attribute phrase "on fire".
        van_gogh: add the style phrase "in the style of Van Gogh".
    """
    return _fill(TEMPLATES[frame.template], scene_of(frame, object, fire, van_gogh))


def scene_of(frame: Frame, object: str, fire: bool, van_gogh: bool) -> Scene:
    """The scene that ``caption`` with the same arguments speaks of."""
    return Scene(object, frame.colour, frame.place, frame.time, fire, van_gogh)


def describe(scene: Scene) -> str:
    """The canonical caption of a picture: what image → caption learns to write and is scored against."""
    return _fill(DESCRIPTION_TEMPLATE, scene)


def words() -> tuple[str, ...]:
    """Every word and punctuation mark of the grammar, lower-cased and sorted."""
    thing_words = {"a", "an", *OBJECTS, *COLOURS}
    phrases = (STYLE_PHRASE, FIRE_PHRASE, *PLACE_PHRASES.values(), *TIME_PHRASES.values())
    slots = dict.fromkeys(_fields(Scene(OBJECTS[0], None, PLACES[0], TIMES[0], False, False)), "")
    template_words = (template.format_map(slots) for template in TEMPLATES)
    spoken = {
        word for text in (*phrases, *template_words) for word in text.lower().replace(",", " , ").split()
    }
    return tuple(sorted(spoken | thing_words))


def _fill(template: str, scene: Scene) -> str:
    return template.format_map(_fields(scene))


def _fields(scene: Scene) -> dict[str, str]:
    thing = f"{scene.colour} {scene.object}" if scene.colour else scene.object
    article = "an" if thing[0] in "aeiou" else "a"
    return {
        "thing": f"{article} {thing}",
        "place": PLACE_PHRASES[scene.place],
        "time": TIME_PHRASES[scene.time],
        "fire": f" {FIRE_PHRASE}" if scene.fire else "",
        "fire_comma": f", {FIRE_PHRASE}" if scene.fire else "",
        "style": f" {STYLE_PHRASE}" if scene.van_gogh else "",
        "style_comma": f", {STYLE_PHRASE}" if scene.van_gogh else "",
        "style_first": f"{STYLE_PHRASE}, " if scene.van_gogh else "",
    }
