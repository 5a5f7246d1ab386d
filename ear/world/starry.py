"""Van Gogh's style: the whole picture swirls in brush strokes and takes a palette of blues and yellows."""

from functools import cache

import numpy as np
from PIL import Image

from ear.world.canvas import SIZE

WORK = 2 * SIZE  # px; the style is painted at twice the finished size
TWIST = 0.85  # radians, at the picture's rim; the middle stays upright
VORTICES = ((0.19, 0.20, 0.20, 2.6), (0.83, 0.24, 0.18, -2.6))  # x, y, radius (shares of the side), radians
STROKE_LENGTH = 9  # px of WORK
STROKE_STRENGTH = 14.0  # grey levels
PALETTE = np.array(  # from dark to bright
    (
        (10, 18, 66),
        (22, 52, 128),
        (40, 98, 176),
        (92, 150, 176),
        (196, 186, 92),
        (248, 206, 60),
        (255, 240, 150),
    ),
    dtype=float,
)
PALETTE_SHARE = 0.62


def starry(picture: Image.Image) -> Image.Image:
    """Paint a picture in the style.

    Args:
        picture: RGB, its side a multiple of 128 px.

    Returns:
        A 64 × 64 RGB image.
    """
    source = np.asarray(picture.reduce(picture.width // WORK), dtype=np.float32)
    rows, columns, strokes = _brush()
    swirled = source[rows, columns]
    grey = swirled @ np.array((0.30, 0.59, 0.11), dtype=np.float32)
    steps = np.linspace(0, 255, len(PALETTE))
    painted = np.stack([np.interp(grey, steps, PALETTE[:, channel]) for channel in range(3)], axis=-1)
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
        row, column = (
            (rows + step * flow_y).round().astype(int),
            (columns + step * flow_x).round().astype(int),
        )
        smeared += noise[row.clip(0, WORK - 1), column.clip(0, WORK - 1)]
    return (STROKE_STRENGTH * smeared / (3 * smeared.std())).astype(np.float32)
