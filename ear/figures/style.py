"""One look for all figures: fonts, sizes, and one colour, marker and label for each method and concept."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Literal, ParamSpec

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from ear.files import atomic_path
from ear.seeding import stable_seed

P = ParamSpec("P")
LineStyle = Literal["-", "--", "-.", ":"]

COLUMN_WIDTH, TEXT_WIDTH = 3.3, 6.9  # inches, of a two-column page
DPI = 300
SEED_SIZE = 2.8  # points, of the mark of a single seed
INK, MUTED, RULE = "#222222", "#6b6b6b", "#d9d9d9"

# DejaVu Sans ships with matplotlib: the same bytes on every machine.
RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.titleweight": "bold",
    "axes.labelsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "pdf.fonttype": 42,
}


@dataclass(frozen=True)
class MethodStyle:
    """How a method looks in every figure.

    Attributes:
        label: name for readers.
        colour: told apart from every other by the colour-blind too.
        marker: matplotlib marker, so that colour is never the only sign.
        size: marker size in points; markers of one size do not look it.
    """

    label: str
    colour: str
    marker: str
    size: float


METHODS: dict[str, MethodStyle] = {
    "original": MethodStyle("Original", "#4d4d4d", "o", 4.6),
    "stable-diffusion": MethodStyle("SD v1.4", "#99BB77", "<", 5.0),
    "published": MethodStyle("Authors' weights", "#9944EE", ">", 5.0),
    "released": MethodStyle("Released", "#E69F00", "s", 4.4),
    "paper": MethodStyle("Paper", "#CC79A7", "D", 4.0),
    "single-step": MethodStyle("Single step", "#56B4E9", "v", 5.0),
    "wga": MethodStyle("WGA", "#009E73", "^", 5.0),
    "ear": MethodStyle("EAR", "#0072B2", "*", 7.6),
    "ear-prefix": MethodStyle("EAR-prefix", "#A6007D", "p", 5.2),
    "obliviate": MethodStyle("Obliviate (KL)", "#C1272D", "P", 5.0),
    "gradient-ascent": MethodStyle("Gradient ascent", "#332288", "X", 5.0),
    "negative-prompt": MethodStyle("Negative prompt", "#661100", "h", 5.0),
}
"""Methods in the order of every figure and table: the original, the published, ours part by part, the peers.

Colours are Okabe and Ito's as far as those go. The two nearest are ΔE 16 apart (CIE 1976), with any kind
of colour blindness.
"""

_ACRONYMS = {"ear": "EAR", "wga": "WGA"}
_FURTHER_COLOURS = ("#000000", "#999933", "#117733")
_FURTHER_MARKERS = ("p", "d", "<", ">", "8")
_FURTHER_LOOKS = [  # neighbours differ in both
    (_FURTHER_COLOURS[number % 3], _FURTHER_MARKERS[number % 5]) for number in range(15)
]


@dataclass(frozen=True)
class ConceptStyle:
    """How a concept looks where concepts share a panel: label, colour (Tol's muted set), marker and line."""

    label: str
    colour: str
    marker: str
    line: LineStyle
    size: float = 4.0


CONCEPTS: dict[str, ConceptStyle] = {
    "church": ConceptStyle("church", "#332288", "o", "-"),
    "van-gogh": ConceptStyle("Van Gogh", "#44AA99", "s", "--"),
    "fire": ConceptStyle("fire", "#D55E00", "^", "-."),
    "nudity": ConceptStyle("nudity", "#882255", "D", ":"),
}
"""Concepts in the order of every figure and table. Others come after them, in the order of their names."""

_FURTHER_CONCEPTS: tuple[tuple[str, str, LineStyle], ...] = (
    ("#999933", "v", "-"),
    ("#88CCEE", "P", "--"),
    ("#661100", "X", "-."),
    ("#AA4499", "d", ":"),
)


def method_style(method: str, methods: Iterable[str] = ()) -> MethodStyle:
    """Look of a method; one of the config's own making gets a further colour and marker by its name.

    Args:
        method: name of the method.
        methods: all that share the figure: those of the config's own making are kept apart from each other,
            as long as there are looks.
    """
    if method in METHODS:
        return METHODS[method]
    taken: list[tuple[str, str]] = []
    for name in sorted({*methods, method} - METHODS.keys()):
        first = stable_seed("look", name) % len(_FURTHER_LOOKS)
        own_order = _FURTHER_LOOKS[first:] + _FURTHER_LOOKS[:first]
        look = min(
            own_order, key=lambda one: (taken.count(one), sum(one[0] == c or one[1] == m for c, m in taken))
        )
        if name == method:
            break
        taken.append(look)
    label = " ".join(_ACRONYMS.get(word, word) for word in method.split("-"))
    return MethodStyle(capital(label), *look, 4.6)


def concept_style(concept: str, concepts: Iterable[str] = ()) -> ConceptStyle:
    """Look of a concept; ``concepts``, all that share the figure, keeps unknown concepts apart."""
    if concept in CONCEPTS:
        return CONCEPTS[concept]
    others = [name for name in order_concepts({*concepts, concept}) if name not in CONCEPTS]
    colour, marker, line = _FURTHER_CONCEPTS[others.index(concept) % len(_FURTHER_CONCEPTS)]
    return ConceptStyle(concept.replace("-", " "), colour, marker, line)


def order_methods(methods: Iterable[str]) -> list[str]:
    """The methods, each once, in the order of every figure; the config's own last, by name."""
    known = list(METHODS)
    return sorted(set(methods), key=lambda name: (known.index(name) if name in known else len(known), name))


def order_concepts(concepts: Iterable[str]) -> list[str]:
    """The concepts, each once, in the order of every figure."""
    known = list(CONCEPTS)
    return sorted(set(concepts), key=lambda name: (known.index(name) if name in known else len(known), name))


def _context() -> AbstractContextManager[None]:
    return mpl.rc_context(dict[Any, Any](mpl.rcParamsDefault) | RC)


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Decorator: run a draw function under the shared style, without touching the caller's."""

    @wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with _context():
            return draw(*args, **kwargs)

    return wrapper


def panels(
    rows: int, columns: int, width: float, height: float, **subplots: Any
) -> tuple[Figure, np.ndarray]:  # object array of Axes
    """A figure of ``width`` × ``height`` inches and its (rows, columns) array of axes, laid out to fit."""
    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03))
    return figure, figure.subplots(rows, columns, squeeze=False, **subplots)


def capital(text: str) -> str:
    """The text with its first letter in upper case and the others as they are."""
    return text[:1].upper() + text[1:]


def tint(colour: str) -> str:
    """A lighter colour, opaque, for areas that hold other marks."""
    red, green, blue = (0.4 + 0.6 * part for part in to_rgb(colour))
    return to_hex((red, green, blue))


def mark(ax: Axes, look: MethodStyle, x: float, y: float, label: str, scale: float = 1.0) -> None:
    """Draw the mark of a method, a Line2D artist with a label, its size times ``scale``."""
    ax.plot(
        x,
        y,
        marker=look.marker,
        markersize=scale * look.size,
        markeredgecolor="white",
        markeredgewidth=0.5,
        color=look.colour,
        linestyle="none",
        label=label,
        clip_on=False,
        zorder=3,
    )


def mark_seeds(ax: Axes, look: MethodStyle | ConceptStyle, x: ArrayLike, y: ArrayLike, label: str) -> None:
    """Draw a small faint mark for each single seed, below the mark of all seeds together."""
    if not np.size(x):
        return
    marks = Line2D(
        np.asarray(x),
        np.asarray(y),
        linestyle="none",
        color=look.colour,
        marker=look.marker,
        markersize=SEED_SIZE,
        markeredgewidth=0,
        alpha=0.5,
        label=label,
        clip_on=False,
        zorder=2.5,
    )
    ax.add_line(marks)


def note_missing(axes: Axes, x: float, y: float, note: str, **text: Any) -> None:
    """Say in the place of a value that the table has none."""
    axes.text(x, y, note, color=MUTED, fontsize=6.5, style="italic", va="center", **text)


def save(figure: Figure, png: str | Path, pdf: str | Path) -> None:
    """Write a figure as PNG (300 dpi) and PDF (fonts embedded), each atomically, the same bytes each time."""
    with _context():
        with atomic_path(png) as partial:
            figure.savefig(partial, format="png", dpi=DPI, metadata={"Software": None})
        with atomic_path(pdf) as partial:
            figure.savefig(
                partial,
                format="pdf",
                dpi=DPI,
                metadata={"CreationDate": None, "Creator": None, "Producer": None},
            )
