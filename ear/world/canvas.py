"""A scaled and lit drawing surface for the mini world's pictures."""

from collections.abc import Iterable

from PIL import Image, ImageDraw

SIZE = 64  # px, side of a finished picture
SUPERSAMPLING = 4  # pictures are drawn this much larger, then averaged down: smooth edges

Colour = tuple[int, int, int]


class Canvas:
    """Shapes in finished-picture pixels, relative to an origin, on a supersampled image.

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
        """A filled polygon."""
        self._draw.polygon([self._place(x, y) for x, y in points], fill=self._lit(colour))

    def rectangle(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """A filled rectangle."""
        self._draw.rectangle((*self._place(left, top), *self._place(right, bottom)), fill=self._lit(colour))

    def ellipse(self, x: float, y: float, radius_x: float, radius_y: float, colour: Colour) -> None:
        """A filled ellipse around (x, y)."""
        box = (*self._place(x - radius_x, y - radius_y), *self._place(x + radius_x, y + radius_y))
        self._draw.ellipse(box, fill=self._lit(colour))

    def glowing(self) -> "Canvas":
        """The same canvas without the light's factors: for flames, lamps and lit windows."""
        return Canvas(self.picture, (1.0, 1.0, 1.0), self.origin)

    def _place(self, x: float, y: float) -> tuple[float, float]:
        return (
            (self.origin[0] + x) * SUPERSAMPLING,
            (self.origin[1] + y) * SUPERSAMPLING,
        )

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
