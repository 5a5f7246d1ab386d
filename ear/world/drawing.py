"""How the mini world's pictures are drawn: a canvas, the eight objects, flames, and Van Gogh's style."""

from collections.abc import Callable, Iterable
from functools import cache
from math import cos, pi, sin

import numpy as np
from PIL import Image, ImageDraw

SIZE = 64  # px, side of a finished picture
SUPERSAMPLING = 4  # pictures are drawn this much larger, then averaged down: smooth edges

Colour = tuple[int, int, int]


class Canvas:
    """Filled shapes in finished-picture pixels, relative to an origin, on a supersampled image.

    Args:
        picture: the supersampled image that is drawn on.
        light: factors (red, green, blue) that every colour is multiplied by.
        origin: where (0, 0) of the shapes lies, in finished pixels.
    """

    def __init__(
        self,
        picture: Image.Image,
        light: tuple[float, float, float],
        origin: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        self.picture = picture
        self.light = light
        self.origin = origin
        self._draw = ImageDraw.Draw(picture)

    def polygon(self, points: Iterable[tuple[float, float]], colour: Colour) -> None:
        self._draw.polygon([self._place(x, y) for x, y in points], fill=self._lit(colour))

    def rectangle(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        self._draw.rectangle((*self._place(left, top), *self._place(right, bottom)), fill=self._lit(colour))

    def ellipse(self, x: float, y: float, radius_x: float, radius_y: float, colour: Colour) -> None:
        box = (*self._place(x - radius_x, y - radius_y), *self._place(x + radius_x, y + radius_y))
        self._draw.ellipse(box, fill=self._lit(colour))

    def glowing(self) -> "Canvas":
        """The same canvas without the light's factors: for flames, lamps and lit windows."""
        return Canvas(self.picture, (1.0, 1.0, 1.0), self.origin)

    def _place(self, x: float, y: float) -> tuple[float, float]:
        return (self.origin[0] + x) * SUPERSAMPLING, (self.origin[1] + y) * SUPERSAMPLING

    def _lit(self, colour: Colour) -> Colour:
        red, green, blue = (round(value * factor) for value, factor in zip(colour, self.light, strict=True))
        return red, green, blue


def mix(first: Colour, second: Colour, weight: float) -> Colour:
    """``first`` with the share ``weight`` (0 to 1) of ``second``."""
    red, green, blue = (round(a * (1 - weight) + b * weight) for a, b in zip(first, second, strict=True))
    return red, green, blue


def darker(colour: Colour, share: float = 0.28) -> Colour:
    """A colour with the share ``share`` of black."""
    return mix(colour, (0, 0, 0), share)


def lighter(colour: Colour, share: float = 0.3) -> Colour:
    """A colour with the share ``share`` of white."""
    return mix(colour, (255, 255, 255), share)


# The eight objects and the flames over them, around the middle of the ground line.

COLOUR_VALUES: dict[str, Colour] = {
    "red": (214, 48, 46),
    "blue": (48, 92, 220),
    "yellow": (250, 212, 48),
}

INK: Colour = (44, 40, 52)
WHITE: Colour = (246, 244, 238)
WOOD: Colour = (122, 82, 54)
SLATE: Colour = (84, 88, 110)
GLASS: Colour = (150, 206, 236)
LAMP: Colour = (255, 226, 120)


def _church(canvas: Canvas, colour: Colour | None, night: bool) -> None:
    wall = colour or (222, 212, 196)
    roof = darker(colour, 0.5) if colour else SLATE
    windows, pane = (canvas.glowing(), LAMP) if night else (canvas, GLASS)
    canvas.rectangle(-19, -15, 4, 0, wall)
    canvas.polygon(((-21, -14.5), (-15, -25), (4, -25), (4, -14.5)), roof)
    canvas.rectangle(3, -26, 15, 0, lighter(wall, 0.25))
    canvas.polygon(((1.4, -25.5), (16.6, -25.5), (9, -42)), roof)
    canvas.rectangle(8.2, -49.5, 9.8, -40, LAMP)
    canvas.rectangle(5.6, -47, 12.4, -45.2, LAMP)
    for x in (-14.5, -6.5):
        canvas.ellipse(x, -7.5, 3.3, 3.3, WHITE)
        windows.ellipse(x, -7.5, 2.4, 2.4, pane)
    canvas.ellipse(9, -19, 4.1, 4.1, WHITE)
    windows.ellipse(9, -19, 3.1, 3.1, pane)
    canvas.ellipse(9, -7.5, 3.2, 3.2, INK)
    canvas.rectangle(5.8, -7.5, 12.2, 0, INK)


def _house(canvas: Canvas, colour: Colour | None, night: bool) -> None:
    wall = colour or (240, 222, 180)
    windows, pane = (canvas.glowing(), LAMP) if night else (canvas, GLASS)
    canvas.rectangle(9, -29, 14, -17, (160, 84, 68))
    canvas.rectangle(-17, -16, 17, 0, wall)
    canvas.polygon(((-22, -15), (0, -31), (22, -15)), darker(colour, 0.45) if colour else (150, 84, 62))
    canvas.rectangle(-3.6, -11, 3.6, 0, WOOD)
    for x in (-10.5, 10.5):
        canvas.rectangle(x - 4, -12, x + 4, -4.5, WHITE)
        windows.rectangle(x - 3, -11, x + 3, -5.5, pane)


def _lighthouse(canvas: Canvas, colour: Colour | None, night: bool) -> None:
    band = colour or (70, 76, 92)
    beam = canvas.glowing()
    for side in (-1, 1):
        beam.polygon(((0, -39.5), (side * 40, -49), (side * 40, -37)), (255, 244, 176))
    height, foot, top = 35.0, 8.0, 4.6
    canvas.polygon(((-foot, 0), (foot, 0), (top, -height), (-top, -height)), WHITE)
    for low in (0.0, 14.0, 28.0):
        high = low + 7.0
        left, right = (foot + (top - foot) * y / height for y in (low, high))
        canvas.polygon(((-left, -low), (left, -low), (right, -high), (-right, -high)), band)
    canvas.rectangle(-7, -36.5, 7, -34.5, INK)
    beam.rectangle(-3.8, -42, 3.8, -36.5, LAMP)
    canvas.polygon(((-5.2, -41.5), (5.2, -41.5), (0, -48)), darker(band, 0.2))


def _windmill(canvas: Canvas, colour: Colour | None, night: bool) -> None:
    wall = colour or (226, 196, 150)
    canvas.polygon(((-10, 0), (10, 0), (6, -25), (-6, -25)), wall)
    canvas.polygon(((0, 0), (10, 0), (6, -25), (0, -25)), darker(wall, 0.18))
    canvas.polygon(((-7.4, -24.5), (7.4, -24.5), (4, -32), (-4, -32)), INK)
    canvas.rectangle(-2.8, -8, 2.8, 0, WOOD)
    for quarter in range(4):
        angle = pi / 4 + quarter * pi / 2

        def arm(along: float, beside: float, angle: float = angle) -> tuple[float, float]:
            return along * cos(angle) - beside * sin(angle), -27 + along * sin(angle) + beside * cos(angle)

        canvas.polygon((arm(5, 0), arm(23, 0), arm(23, 6.5), arm(5, 6.5)), WHITE)
        canvas.polygon((arm(0, -0.9), arm(23, -0.9), arm(23, 0.9), arm(0, 0.9)), WOOD)
    canvas.ellipse(0, -27, 2, 2, INK)


def _castle(canvas: Canvas, colour: Colour | None, night: bool) -> None:
    wall = colour or (158, 156, 168)
    windows, pane = (canvas.glowing(), LAMP) if night else (canvas, INK)
    canvas.rectangle(-14, -20, 14, 0, wall)
    for x in (-9.0, -3.0, 3.0, 9.0):
        canvas.rectangle(x - 1.7, -23.5, x + 1.7, -19, wall)
    for x in (-16.5, 16.5):
        canvas.rectangle(x - 5.5, -30, x + 5.5, 0, darker(wall, 0.2))
        for notch in (-4.2, 0, 4.2):
            canvas.rectangle(x + notch - 1.4, -33.5, x + notch + 1.4, -29, darker(wall, 0.2))
        windows.rectangle(x - 1.4, -25, x + 1.4, -19, pane)
        canvas.rectangle(x - 0.6, -42, x + 0.6, -31, INK)
        canvas.polygon(((x + 0.6, -42), (x + 0.6, -36.5), (x + 7, -39.2)), colour or (206, 60, 60))
    canvas.ellipse(0, -8, 5, 5, INK)
    canvas.rectangle(-5, -8, 5, 0, INK)


def _tree(canvas: Canvas, colour: Colour | None, night: bool) -> None:
    leaves = colour or (58, 118, 48)
    canvas.polygon(((-4, 0), (4, 0), (2.2, -20), (-2.2, -20)), WOOD)
    for x, y, radius in ((-9.0, -22, 9.5), (9.0, -22, 9.5), (0.0, -19, 9.0)):
        canvas.ellipse(x, y, radius, radius, darker(leaves, 0.2))
    for x, y, radius in ((-6.0, -31, 9.0), (6.5, -31, 9.0), (0.0, -37, 8.5), (0.0, -26, 9.5)):
        canvas.ellipse(x, y, radius, radius, leaves)
    for x, y in ((-5, -36), (5, -29), (-9, -25)):
        canvas.ellipse(x, y, 2.6, 2.6, lighter(leaves, 0.3))


def _car(canvas: Canvas, colour: Colour | None, night: bool) -> None:
    body = colour or (206, 210, 218)
    canvas.polygon(((-13, -14), (-8, -24), (8, -24), (15, -14)), darker(body, 0.15))
    canvas.polygon(((-10.5, -14.5), (-6.5, -22), (-0.9, -22), (-0.9, -14.5)), GLASS)
    canvas.polygon(((1, -14.5), (1, -22), (7, -22), (12, -14.5)), GLASS)
    canvas.rectangle(-22, -14.5, 22, -4.5, body)
    canvas.ellipse(-22, -9.5, 2.4, 5, body)
    canvas.ellipse(22, -9.5, 2.4, 5, body)
    canvas.rectangle(-22, -6.5, 22, -4, darker(body, 0.3))
    canvas.glowing().ellipse(22, -10.5, 2, 2.2, LAMP)
    for x in (-12.5, 12.5):
        canvas.ellipse(x, -4.6, 5.8, 5.8, INK)
        canvas.ellipse(x, -4.6, 2.6, 2.6, (190, 194, 202))


def _boat(canvas: Canvas, colour: Colour | None, night: bool) -> None:
    sail = colour or WHITE
    canvas.rectangle(-1.1, -43, 1.1, -8, WOOD)
    canvas.polygon(((2, -42), (2, -12), (20, -12)), sail)
    canvas.polygon(((-2, -37), (-2, -12), (-15, -12)), darker(sail, 0.16))
    canvas.polygon(((-23, -9), (23, -9), (15, 0), (-15, 0)), (132, 74, 46))
    canvas.polygon(((-23, -9), (23, -9), (21, -6.5), (-21, -6.5)), WHITE)


OBJECT_SPRITES: dict[str, Callable[[Canvas, Colour | None, bool], None]] = {
    "church": _church,
    "house": _house,
    "lighthouse": _lighthouse,
    "windmill": _windmill,
    "castle": _castle,
    "tree": _tree,
    "car": _car,
    "boat": _boat,
}

# Where the upper flames stand, (x, y), and the height of the flames at the foot.
_FLAMES: dict[str, tuple[tuple[float, float], tuple[float, float], float]] = {
    "church": ((-13, -23), (-3, -23), 16),
    "house": ((-11, -21), (4, -27), 13),
    "lighthouse": ((-4, -29), (4, -29), 18),
    "windmill": ((-5, -27), (5, -27), 16),
    "castle": ((-7, -20), (7, -20), 16),
    "tree": ((-8, -30), (7, -30), 18),
    "car": ((-9, -17), (9, -17), 10),
    "boat": ((-9, -16), (7, -22), 15),
}
_FLAME_LAYERS: tuple[tuple[float, Colour], ...] = (
    (1.0, (222, 44, 18)),
    (0.72, (255, 128, 20)),
    (0.42, (255, 232, 96)),
)

_FLAME_OUTLINE = (
    *((-0.75, 0.0), (-1.0, 0.3), (-0.62, 0.58), (-0.35, 0.5), (0.0, 1.0)),
    *((0.45, 0.55), (0.7, 0.68), (1.0, 0.3), (0.75, 0.0)),
)


def draw_flames(canvas: Canvas, object: str, wind: float) -> None:
    """Flames at the foot of the object and two on it, which lean by ``wind`` px and ignore the light."""
    flames = canvas.glowing()
    left, right, foot = _FLAMES[object]
    upper = ((*left, 14.0), (*right, 14.0))
    feet = [(x, 0.0, foot + more) for x, more in ((-18.0, 0), (-9.0, 3), (0.0, -2), (9.0, 4), (18.0, 0))]
    for share, colour in _FLAME_LAYERS:
        half = share * 5.4
        for x, y, height in (*upper, *feet):
            outline = ((x + half * u + wind * v, y - share * height * v) for u, v in _FLAME_OUTLINE)
            flames.polygon(outline, colour)


# Van Gogh's style: the whole picture swirls in brush strokes and takes a palette of blues and yellows.

WORK = 2 * SIZE  # px; the style is painted at twice the finished size
TWIST = 0.85  # radians, at the picture's rim; the middle stays upright
VORTICES = ((0.19, 0.20, 0.20, 2.6), (0.83, 0.24, 0.18, -2.6))  # x, y, radius (shares of the side), radians
STROKE_LENGTH = 9  # px of WORK
STROKE_STRENGTH = 14.0  # grey levels
PALETTE = np.array(  # from dark to bright: red, green, blue
    (
        (10, 22, 40, 92, 196, 248, 255),
        (18, 52, 98, 150, 186, 206, 240),
        (66, 128, 176, 176, 92, 60, 150),
    ),
    dtype=float,
)
PALETTE_SHARE = 0.62


def starry(picture: Image.Image) -> Image.Image:
    """An RGB picture, its side a multiple of 128 px, painted in the style: 64 × 64."""
    source = np.asarray(picture.reduce(picture.width // WORK), dtype=np.float32)
    rows, columns, strokes = _brush()
    swirled = source[rows, columns]
    grey = swirled @ np.array((0.30, 0.59, 0.11), dtype=np.float32)
    steps = np.linspace(0, 255, PALETTE.shape[1])
    painted = np.stack([np.interp(grey, steps, channel) for channel in PALETTE], axis=-1)
    mixed = PALETTE_SHARE * painted + (1 - PALETTE_SHARE) * swirled + strokes[..., None]
    return Image.fromarray(mixed.clip(0, 255).round().astype(np.uint8), "RGB").reduce(WORK // SIZE)


@cache
def _brush() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each pixel takes its colour from (rows, columns), and the strokes' relief in grey levels."""
    y, x = np.mgrid[0:WORK, 0:WORK] / (WORK - 1.0)
    angle = TWIST * np.clip(np.hypot(x - 0.5, y - 0.55) / 0.5, 0, 1.3) ** 1.5
    from_x, from_y = _turn(x, y, 0.5, 0.55, angle)
    for centre_x, centre_y, radius, turn in VORTICES:
        near = np.clip(1 - np.hypot(from_x - centre_x, from_y - centre_y) / radius, 0, 1)
        from_x, from_y = _turn(from_x, from_y, centre_x, centre_y, turn * near**1.2)
    columns, rows = (
        np.clip((place * (WORK - 1)).round(), 0, WORK - 1).astype(int) for place in (from_x, from_y)
    )
    return rows, columns, _strokes(x, y)


def _turn(
    x: np.ndarray, y: np.ndarray, centre_x: float, centre_y: float, angle: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    across, down = x - centre_x, y - centre_y
    return (
        centre_x + across * np.cos(angle) - down * np.sin(angle),
        centre_y + across * np.sin(angle) + down * np.cos(angle),
    )


def _strokes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Fixed noise, smeared along circles around the vortices and the middle."""
    noise = np.random.default_rng(1889).normal(size=(WORK // 2, WORK // 2)).repeat(2, 0).repeat(2, 1)
    flow_x, flow_y = np.full_like(x, 0.02), np.zeros_like(y)
    for centre_x, centre_y, radius, turn in (*VORTICES, (0.5, 0.55, 0.30, 1.0)):
        across, down = x - centre_x, y - centre_y
        weight = np.sign(turn) * np.exp(-(across**2 + down**2) / (2 * radius**2))
        flow_x, flow_y = flow_x - weight * down, flow_y + weight * across
    length = np.hypot(flow_x, flow_y) + 1e-9
    flow_x, flow_y = flow_x / length, flow_y / length
    rows, columns = np.mgrid[0:WORK, 0:WORK].astype(float)
    smeared = np.zeros_like(x)
    for step in range(-STROKE_LENGTH, STROKE_LENGTH + 1):
        row, column = ((rows + step * flow_y).round(), (columns + step * flow_x).round())
        smeared += noise[row.clip(0, WORK - 1).astype(int), column.clip(0, WORK - 1).astype(int)]
    return (STROKE_STRENGTH * smeared / (3 * smeared.std())).astype(np.float32)
