"""Methods look different from each other: known or of the config's own making, with and without colour."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb

from ear.report import style

# What each kind of colour blindness makes of linear RGB: Machado, Oliveira and Fernandes (2009), severity 1.
BLIND = {
    "none": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab(colour: str, seen: np.ndarray) -> np.ndarray:
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    x, y, z = np.cbrt(XYZ @ np.clip(seen @ linear, 0, 1) / XYZ.sum(axis=1))  # all but black: no linear part
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("kind", BLIND)
def test_methods_look_different_for_the_colour_blind_too(kind: str) -> None:
    for one, other in combinations(style.METHODS.values(), 2):
        seen = np.array(BLIND[kind])
        assert np.linalg.norm(lab(one.colour, seen) - lab(other.colour, seen)) > 15, (one, other)
        assert one.marker != other.marker


@given(st.sets(st.text("abc-", min_size=1, max_size=6), max_size=12))
def test_methods_of_the_configs_own_come_last_and_are_kept_apart(names: set[str]) -> None:
    looks = style.looks_of([*names, "ear", "original"])
    assert list(looks) == ["original", "ear", *sorted(names)]
    assert len({(look.colour, look.marker) for look in looks.values()}) == len(looks)
    assert style.method_style("my-ear").label == "My EAR"
