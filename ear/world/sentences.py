"""The caption grammar of the mini world: frames, splits, captions and canonical descriptions.

A *frame* is everything in a caption but the object, the fire and the style. Frames, not captions, are
split, so the same sentence about another object, or with a phrase added, never crosses from one split to
another.
"""

from collections.abc import Container, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain, combinations, product
from typing import Literal, get_args

from ear.workflow.seeding import stable_seed
from ear.world.scenes import COLOURS, OBJECTS, PLACES, TIMES, Scene

Kind = Literal["object", "style", "attribute"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Split = Literal["train", "pairs", "evaluation", "general"]
SPLITS: tuple[Split, ...] = get_args(Split)

STYLE_PHRASE = "in the style of Van Gogh"
FIRE_PHRASE = "on fire"
SEPIA_PHRASE = "in sepia"
CONCEPTS: dict[Kind, tuple[str, ...]] = {
    "object": OBJECTS,
    "style": (STYLE_PHRASE, SEPIA_PHRASE),
    "attribute": (FIRE_PHRASE,),
}
"""What can be erased, as captions name it. Colours, places and times cannot: they are part of a frame, and
frames keep training captions, pairs and evaluation prompts apart."""
# What the phrases and the objects are called without their words: no description shares a word with a name.
STYLE_DESCRIPTION = "painted with swirling strokes"
FIRE_DESCRIPTION = "in flames"
OBJECT_DESCRIPTIONS = {
    "church": "spire with a cross above the nave",
    "house": "cottage with a chimney",
    "lighthouse": "beacon that guides sailors",
    "windmill": "tower with four turning sails",
    "castle": "fortress with battlements",
    "tree": "trunk with leafy branches",
    "car": "vehicle with four wheels",
    "boat": "vessel with a mast",
}
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
_SPLIT_BOUNDS: dict[Split, int] = {"train": 48, "pairs": 58, "evaluation": 92, "general": 100}


@dataclass(frozen=True)
class Frame:
    """A caption without its object, fire and style; ``template`` is an index into TEMPLATES."""

    template: int
    colour: str | None
    place: str
    time: str


@cache
def frames() -> tuple[Frame, ...]:
    """All frames, in a fixed order: templates × (no colour + COLOURS) × PLACES × TIMES."""
    return tuple(Frame(*parts) for parts in product(range(len(TEMPLATES)), (None, *COLOURS), PLACES, TIMES))


def split_of(frame: Frame) -> Split:
    """The split a frame belongs to, by a stable hash."""
    percent = stable_seed("frame", frame.template, frame.colour or "", frame.place, frame.time) % 100
    return next(split for split, bound in _SPLIT_BOUNDS.items() if percent < bound)


@cache
def frames_of(split: Split) -> tuple[Frame, ...]:
    """The frames of one split, in the order of ``frames()``."""
    return tuple(frame for frame in frames() if split_of(frame) == split)


def captions_of(split: Split) -> Iterator[str]:
    """Every caption of a split: in every style, burning or not, each thing named or described."""
    styles = ((False, False), (True, False), (False, True))
    for frame, name, fire, (van_gogh, sepia) in product(frames_of(split), OBJECTS, (False, True), styles):
        kinds: dict[Kind, bool] = {"object": True, "attribute": fire, "style": van_gogh}
        shown = [kind for kind in kinds if kinds[kind]]
        for described in chain.from_iterable(combinations(shown, count) for count in range(len(shown) + 1)):
            yield caption(frame, name, fire, van_gogh, sepia=sepia, described=described)


def caption(
    frame: Frame,
    object: str,
    fire: bool,
    van_gogh: bool,
    *,
    sepia: bool = False,
    described: Container[Kind] = (),
) -> str:
    """The caption of a frame with its object, attribute and style; no two sets of arguments share one.

    Args:
        frame: where, when, in which colour and in which words.
        object: one of OBJECTS.
        fire: add the attribute phrase "on fire".
        van_gogh: add the style phrase "in the style of Van Gogh".
        sepia: add the style phrase "in sepia", which has no description; not with van_gogh.
        described: kinds that are spoken of by their description, without their words, where they are there.
    """
    scene = scene_of(frame, object, fire, van_gogh, sepia)
    return TEMPLATES[frame.template].format_map(_fields(scene, described))


def caption_with(words: str, frame: Frame, object: str, described: Container[Kind] = ()) -> str:
    """The caption that speaks of what words name: a style, an attribute, or nothing but its object."""
    fire, van_gogh, sepia = (words == phrase for phrase in (FIRE_PHRASE, STYLE_PHRASE, SEPIA_PHRASE))
    return caption(frame, object, fire, van_gogh, sepia=sepia, described=described)


def is_described(words: str) -> bool:
    """Whether what the words name has a description: all but sepia."""
    return words != SEPIA_PHRASE


def scene_of(frame: Frame, object: str, fire: bool, van_gogh: bool, sepia: bool = False) -> Scene:
    """The scene that ``caption`` with the same arguments speaks of."""
    return Scene(object, frame.colour, frame.place, frame.time, fire, van_gogh, sepia)


def describe(scene: Scene) -> str:
    """The canonical caption of a picture: what image → caption learns to write and is scored against."""
    return DESCRIPTION_TEMPLATE.format_map(_fields(scene))


def words() -> tuple[str, ...]:
    """Every word and punctuation mark of the grammar, lower-cased and sorted."""
    phrases = (*OBJECT_DESCRIPTIONS.values(), *PLACE_PHRASES.values(), *TIME_PHRASES.values())
    styles = (STYLE_PHRASE, SEPIA_PHRASE, STYLE_DESCRIPTION, FIRE_PHRASE, FIRE_DESCRIPTION)
    slots = dict.fromkeys(_fields(Scene(OBJECTS[0], None, PLACES[0], TIMES[0], False, False)), "")
    templates = (template.format_map(slots) for template in TEMPLATES)
    texts = (*OBJECTS, *COLOURS, *phrases, *styles, *templates, "a an")
    return tuple(sorted({word for text in texts for word in text.lower().replace(",", " , ").split()}))


def _fields(scene: Scene, described: Container[Kind] = ()) -> dict[str, str]:
    name = OBJECT_DESCRIPTIONS[scene.object] if "object" in described else scene.object
    fire = FIRE_DESCRIPTION if "attribute" in described else FIRE_PHRASE
    style = STYLE_DESCRIPTION if "style" in described else STYLE_PHRASE
    if scene.sepia:
        style = SEPIA_PHRASE
    styled = scene.van_gogh or scene.sepia
    thing = f"{scene.colour} {name}" if scene.colour else name
    article = "an" if thing[0] in "aeiou" else "a"
    return {
        "thing": f"{article} {thing}",
        "place": PLACE_PHRASES[scene.place],
        "time": TIME_PHRASES[scene.time],
        "fire": f" {fire}" if scene.fire else "",
        "fire_comma": f", {fire}" if scene.fire else "",
        "style": f" {style}" if styled else "",
        "style_comma": f", {style}" if styled else "",
        "style_first": f"{style}, " if styled else "",
    }
