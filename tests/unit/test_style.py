"""Methods look different from each other: known or of the config's own making, with and without colour."""

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb

from ear.figures import style

# What each kind of colour blindness makes of linear RGB: Machado, Oliveira and Fernandes (2009), severity 1.
BLIND = {
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


def test_colours_of_methods_differ_for_the_colour_blind_too() -> None:
    for seen in (np.eye(3), *map(np.array, BLIND.values())):
        for one, other in combinations(style.METHODS.values(), 2):
            apart = np.linalg.norm(lab(one.colour, seen) - lab(other.colour, seen))
            assert apart > 15, (one.label, other.label)


def test_methods_look_different_without_colour() -> None:
    looks = style.METHODS.values()
    assert len({look.marker for look in looks}) == len({look.colour for look in looks}) == len(style.METHODS)


def test_methods_of_the_configs_own_get_a_look_that_depends_on_their_name_alone() -> None:
    looks = {style.method_style(f"my-method-{number}") for number in range(20)}
    assert len({(look.colour, look.marker) for look in looks}) > 5
    assert style.method_style("my-method") == style.method_style("my-method")
    assert style.method_style("my-ear").label == "My EAR"
    assert style.order_methods(["zeta", "ear", "alpha", "original"]) == ["original", "ear", "alpha", "zeta"]


@given(st.sets(st.text("abc-", min_size=1, max_size=6), max_size=12))
def test_methods_of_the_configs_own_are_kept_apart(names: set[str]) -> None:
    names -= style.METHODS.keys()
    every = {style.method_style(name, names) for name in names} | set(style.METHODS.values())
    assert len({(look.colour, look.marker) for look in every}) == len(names) + len(style.METHODS)
    few = [style.method_style(name, sorted(names)[:3]) for name in sorted(names)[:3]]
    assert len({look.colour for look in few}) == len({look.marker for look in few}) == len(few)
