"""Pictures of the mini world: one object in one place at one time of day, 64 × 64 RGB, drawn with Pillow."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageOps

from ear.world.drawing import (
    COLOUR_VALUES,
    OBJECT_SPRITES,
    SIZE,
    SUPERSAMPLING,
    Canvas,
    Colour,
    draw_flames,
    mix,
    starry,
)

OBJECTS = ("church", "house", "lighthouse", "windmill", "castle", "tree", "car", "boat")
COLOURS = ("red", "blue", "yellow")
PLACES = ("hill", "sea", "city", "desert", "snow")
TIMES = ("day", "sunset", "night")
STYLES = ("plain", "van-gogh", "sepia")
FIRES = ("none", "fire")
GROUPS = {"object": OBJECTS, "style": STYLES, "fire": FIRES}
"""What the world's classifier tells apart: group → its labels."""

JITTER = 0.6  # px, to the left and right: small, so that a small model learns the world in minutes

# Upper and lower end of the sky, and what daylight is multiplied by.
SKY: dict[str, tuple[Colour, Colour]] = {
    "day": ((98, 174, 236), (205, 232, 248)),
    "sunset": ((112, 66, 132), (255, 172, 92)),
    "night": ((10, 14, 48), (44, 52, 104)),
}
LIGHT: dict[str, tuple[float, float, float]] = {
    "day": (1.0, 1.0, 1.0),
    "sunset": (1.0, 0.82, 0.72),
    "night": (0.56, 0.60, 0.80),
}
MOONLIGHT = (0.82, 0.84, 0.98)  # on the object at night: it stands out
STARS = ((5, 20), (22, 6), (27, 15), (36, 4), (44, 10), (51, 5), (57, 16), (60, 8), (9, 31), (55, 28))
CITY_TOWERS = ((0, 26, 9, 0), (9, 18, 9, 1), (18, 30, 10, 0), (37, 29, 9, 1), (46, 16, 9, 0), (55, 24, 9, 1))
# Darkest and lightest tone of a sepia picture, and how much of it is toned: a trace of the colours is left.
SEPIA_TONES: tuple[Colour, Colour] = ((34, 18, 4), (255, 232, 186))
SEPIA_STRENGTH = 0.8
GROUND_LINE = {"hill": 53.0, "sea": 55.0, "city": 55.0, "desert": 54.0, "snow": 54.0}


@dataclass(frozen=True)
class Scene:
    """What a picture shows.

    Attributes:
        colour: one of COLOURS, or None for the object's natural colours.
        fire: the object is on fire.
        van_gogh: the picture is painted in the style of Van Gogh.
        sepia: the picture is a brown-toned photograph; never with van_gogh.
    """

    object: str
    colour: str | None
    place: str
    time: str
    fire: bool
    van_gogh: bool
    sepia: bool = False

    def __post_init__(self) -> None:
        if self.van_gogh and self.sepia:
            raise ValueError("scene: found two styles, Van Gogh and sepia, wanted one at most")


def draw(scene: Scene, rng: np.random.Generator) -> Image.Image:
    """Draw a scene, 64 × 64 RGB; ``rng`` gives the object's small jitter and the flames' lean."""
    across, wind = rng.uniform(-1.0, 1.0, 2)
    picture = _background(scene.place, scene.time).copy()
    floats = scene.object == "boat" and scene.place == "sea"
    ground = 50.0 if floats else GROUND_LINE[scene.place]
    light = MOONLIGHT if scene.time == "night" else LIGHT[scene.time]
    canvas = Canvas(picture, light, (SIZE / 2 + JITTER * across, ground))
    colour = None if scene.colour is None else COLOUR_VALUES[scene.colour]
    OBJECT_SPRITES[scene.object](canvas, colour, scene.time == "night")
    if scene.fire:
        draw_flames(canvas, scene.object, wind)
    if scene.van_gogh:
        return starry(picture)
    reduced = picture.reduce(SUPERSAMPLING)
    if not scene.sepia:
        return reduced
    return Image.blend(reduced, ImageOps.colorize(reduced.convert("L"), *SEPIA_TONES), SEPIA_STRENGTH)


@cache
def _background(place: str, time: str) -> Image.Image:
    """Sky, sun or moon, and the place, at the supersampled size."""
    side = SIZE * SUPERSAMPLING
    top, bottom = (np.array(colour, dtype=float) for colour in SKY[time])
    # The sky ends at two thirds of the height.
    weight = np.clip(np.linspace(0.0, 1.45, side), 0.0, 1.0)[:, None, None]
    sky = np.broadcast_to(top * (1 - weight) + bottom * weight, (side, side, 3))
    picture = Image.fromarray(sky.round().astype(np.uint8), "RGB")
    _draw_lights(Canvas(picture, (1.0, 1.0, 1.0)), time)
    PLACE_PAINTERS[place](Canvas(picture, LIGHT[time]), time)
    return picture


def _draw_lights(canvas: Canvas, time: str) -> None:
    if time == "day":
        canvas.ellipse(10, 11, 6, 6, (255, 240, 150))
        canvas.ellipse(10, 11, 4.6, 4.6, (255, 222, 70))
        for x, y, width in ((49, 12, 7), (55, 14, 7), (44, 14, 5)):
            canvas.ellipse(x, y, width, 3, (250, 252, 255))
    elif time == "sunset":
        canvas.ellipse(10, 31, 9.5, 9.5, (255, 204, 110))
        canvas.ellipse(10, 31, 7.5, 7.5, (255, 120, 66))
    else:
        for x, y in STARS:
            canvas.ellipse(x, y, 0.8, 0.8, (255, 250, 214))
        canvas.ellipse(11, 11, 6.5, 6.5, (250, 240, 190))
        canvas.ellipse(14, 9, 5.5, 5.5, mix(*SKY["night"], 0.2))


def _hill(canvas: Canvas, time: str) -> None:
    canvas.ellipse(8, 68, 34, 24, (86, 152, 78))
    canvas.ellipse(60, 70, 30, 25, (74, 138, 70))
    canvas.ellipse(32, 82, 50, 33, (116, 188, 80))


def _sea(canvas: Canvas, time: str) -> None:
    canvas.rectangle(0, 40, 64, 64, (34, 112, 182))
    for x, y in ((4, 43.5), (46, 44), (14, 48), (54, 48.5)):
        canvas.rectangle(x, y, x + 9, y + 1.2, (132, 196, 232))
    canvas.ellipse(32, 72, 64, 20, (236, 246, 250))
    canvas.ellipse(32, 74, 64, 21, (240, 214, 152))


def _city(canvas: Canvas, time: str) -> None:
    pane = (226, 200, 124) if time == "night" else (208, 222, 236)
    lit = canvas.glowing() if time == "night" else canvas
    for x, top, width, shade in CITY_TOWERS:
        canvas.rectangle(x, top, x + width, 56, ((164, 174, 196), (146, 156, 180))[shade])
        for row in range(top + 4, 46, 9):
            for column in (x + 1.4, x + width - 4.0):
                lit.rectangle(column, row, column + 2.6, row + 4.0, pane)
    canvas.rectangle(0, 52, 64, 64, (150, 150, 154))
    canvas.rectangle(0, 56, 64, 64, (84, 84, 92))
    for x in (3, 19, 35, 51):
        canvas.rectangle(x, 59.4, x + 9, 60.8, (240, 232, 200))


def _desert(canvas: Canvas, time: str) -> None:
    canvas.ellipse(54, 62, 30, 19, (226, 178, 102))
    canvas.ellipse(6, 66, 34, 24, (236, 192, 116))
    canvas.rectangle(0, 51, 64, 64, (246, 208, 134))
    for x, base, height in ((57, 53, 17), (6, 54, 12)):
        canvas.rectangle(x - 1.4, base - height, x + 1.4, base, (56, 132, 76))
        canvas.rectangle(x - 4.6, base - height * 0.62, x, base - height * 0.62 + 2.2, (56, 132, 76))
        canvas.rectangle(x - 4.6, base - height * 0.82, x - 2.6, base - height * 0.6, (56, 132, 76))


def _snow(canvas: Canvas, time: str) -> None:
    for x, top, half in ((6, 24, 22), (58, 21, 24), (32, 30, 20)):
        canvas.polygon(((x, top), (x + half, 54), (x - half, 54)), (126, 146, 184))
        canvas.polygon(
            ((x, top), (x + half * 0.3, top + 9), (x, top + 7), (x - half * 0.3, top + 9)), (250, 252, 255)
        )
    canvas.ellipse(32, 68, 56, 21, (238, 245, 252))
    for x in (5, 59):
        canvas.rectangle(x - 0.9, 52, x + 0.9, 57, (96, 70, 54))
        for top, wide in ((38, 4.0), (43, 5.5)):
            canvas.polygon(((x, top), (x + wide, top + 9.5), (x - wide, top + 9.5)), (52, 110, 96))
            canvas.polygon(
                ((x, top), (x + wide * 0.5, top + 4.5), (x - wide * 0.5, top + 4.5)), (246, 250, 255)
            )


PLACE_PAINTERS = {"hill": _hill, "sea": _sea, "city": _city, "desert": _desert, "snow": _snow}
