"""One look for all figures: fonts, sizes, one colour, marker and label for each method, marks and legends."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, PercentFormatter
from numpy.typing import ArrayLike

from ear.workflow.files import atomic_path

COLUMN_WIDTH, TEXT_WIDTH = 3.3, 6.9  # inches, of a two-column page
DPI = 300
INK, MUTED, RULE = "#222222", "#6b6b6b", "#d9d9d9"
LEGEND_COLUMN, LEGEND_ROW = 1.3, 0.155  # inches

# DejaVu Sans ships with matplotlib: the same bytes on every machine.
RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.titleweight": "bold",
    "axes.labelsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "pdf.fonttype": 42,
    **dict.fromkeys(("xtick.labelsize", "ytick.labelsize", "legend.fontsize"), 7.5),
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor"), INK),
    **dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color"), MUTED),
    **dict.fromkeys(("axes.linewidth", "xtick.major.width", "ytick.major.width"), 0.6),
    **dict.fromkeys(("xtick.major.size", "ytick.major.size"), 2.5),
    **dict.fromkeys(("figure.facecolor", "savefig.facecolor"), "white"),
}
styled = mpl.rc_context(dict[Any, Any](mpl.rcParamsDefault) | RC)
"""Decorator: run a function under the shared style, without touching the caller's."""


@dataclass(frozen=True)
class Look:
    """How a method looks in every figure: by colour and by marker, of a size in points."""

    label: str
    colour: str
    marker: str
    size: float = 4.6
    line: Literal["-", "--", "-.", ":"] = "-"

    @property
    def artist(self) -> dict[str, Any]:
        """Of a line through smaller marks, as matplotlib takes it."""
        marks = {"marker": self.marker, "markersize": 0.8 * self.size}
        return {"color": self.colour, "linestyle": self.line, **marks}


METHODS: dict[str, Look] = {
    "original": Look("Original", "#4d4d4d", "o"),
    "stable-diffusion": Look("SD v1.4", "#99BB77", "<", 5.0),
    "published": Look("Authors' weights", "#9944EE", ">", 5.0),
    "released": Look("Released", "#E69F00", "s", 4.4),
    "paper": Look("Paper", "#CC79A7", "D", 4.0),
    "single-step": Look("Single step", "#56B4E9", "v", 5.0),
    "wga": Look("WGA", "#009E73", "^", 5.0),
    "ear": Look("EAR", "#0072B2", "*", 7.6),
    "prefix-redirect": Look("Prefix redirect", "#A6007D", "p", 5.2),
    "obliviate": Look("Obliviate (KL)", "#C1272D", "P", 5.0),
    "gradient-ascent": Look("Gradient ascent", "#332288", "X", 5.0),
    "negative-prompt": Look("Negative prompt", "#661100", "h", 5.0),
}
"""Methods in the order of every figure and table: the original, the published, ours part by part, baselines.

Colours are Okabe and Ito's as far as those go, the others at least ΔE 15 apart with any colour blindness.
"""
CONCEPTS = {"church": "church", "van-gogh": "Van Gogh", "fire": "fire", "nudity": "nudity"}
"""Concept → its name within a sentence, in the order of every figure and table."""

_ACRONYMS = {"ear": "EAR", "wga": "WGA"}
_FURTHER_COLOURS = ("#000000", "#999933", "#117733")
_FURTHER_MARKERS = ("p", "d", "<", ">", "8")


def method_style(method: str, methods: Iterable[str] = ()) -> Look:
    """Look of a method; the config's own among ``methods``, all of one figure, are kept apart."""
    if method in METHODS:
        return METHODS[method]
    place = sorted({*methods, method} - METHODS.keys()).index(method)
    label = " ".join(_ACRONYMS.get(word, word) for word in method.split("-"))
    return Look(capital(label), _FURTHER_COLOURS[place % 3], _FURTHER_MARKERS[place % 5])


def looks_of(methods: Iterable[str]) -> dict[str, Look]:
    """Method → its look, in the order of every figure."""
    ordered = order_methods(methods)
    return {method: method_style(method, ordered) for method in ordered}


def concept_label(concept: str) -> str:
    """Name of a concept within a sentence."""
    return CONCEPTS.get(concept, concept.replace("-", " "))


def concept_title(concept: str) -> str:
    """Name of a concept as a heading."""
    return capital(concept_label(concept))


def order_methods(methods: Iterable[str]) -> list[str]:
    """The methods, each once, in the order of every figure; the config's own last, by name."""
    return _ordered(methods, METHODS)


def order_concepts(concepts: Iterable[str]) -> list[str]:
    """The concepts, each once, in the order of every figure; unknown ones last, by name."""
    return _ordered(concepts, CONCEPTS)


def _ordered(names: Iterable[str], known: Iterable[str]) -> list[str]:
    places = [*known]
    return sorted(set(names), key=lambda name: (places.index(name) if name in places else len(places), name))


def capital(text: str) -> str:
    """The text with its first letter in upper case and the others as they are."""
    return text[:1].upper() + text[1:]


def tint(colour: str) -> str:
    """A lighter colour, opaque, for areas that hold other marks."""
    red, green, blue = (0.4 + 0.6 * part for part in to_rgb(colour))
    return to_hex((red, green, blue))


def panels(
    rows: int, columns: int, width: float, height: float, **subplots: Any
) -> tuple[Figure, np.ndarray]:  # object array of Axes
    """A figure of ``width`` × ``height`` inches and its (rows, columns) array of axes, laid out to fit."""
    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03))
    return figure, figure.subplots(rows, columns, squeeze=False, **subplots)


def panel_width(columns: int) -> float:
    """Inches of a figure with so many panels side by side."""
    return COLUMN_WIDTH if columns == 1 else min(TEXT_WIDTH, 0.6 + 2.1 * columns)


def percent(axis: Axis, ticks: Sequence[float] = (), decimals: int | None = None) -> None:
    """Write the numbers of an axis of rates in percent."""
    if ticks:
        axis.set_ticks(ticks)
    axis.set_major_formatter(PercentFormatter(1, decimals, symbol=None))


def plain_log(axis: Axis, subs: Sequence[float] = (1, 2, 5)) -> None:
    """A logarithmic axis with plain numbers at 1, 2 and 5 times the powers of ten, or at ``subs`` times."""
    axis.set_major_locator(LogLocator(subs=subs, numticks=8))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def mark(ax: Axes, look: Look, x: ArrayLike, y: ArrayLike, label: str, scale: float = 1.0) -> None:
    """Draw the mark of a method, a Line2D artist with a label, its size times ``scale``."""
    alone = {"linestyle": "none", "markersize": scale * look.size}
    edge: dict[str, Any] = {"markeredgecolor": "white", "markeredgewidth": 0.5, "clip_on": False, "zorder": 3}
    ax.plot(x, y, label=label, **edge, **look.artist | alone)


def mark_seeds(ax: Axes, look: Look, x: ArrayLike, y: ArrayLike, label: str) -> None:
    """Draw a small faint mark for each single seed, below the mark of all seeds together."""
    if np.size(x):
        faint = {"linestyle": "none", "markersize": 2.8, "markeredgewidth": 0, "alpha": 0.5, "zorder": 2.5}
        ax.plot(x, y, label=label, clip_on=False, **look.artist | faint)


def note_missing(axes: Axes, x: float, y: float, note: str, **text: Any) -> None:
    """Say in the place of a value that the table has none."""
    axes.text(x, y, note, color=MUTED, fontsize=6.5, style="italic", va="center", **text)


def add_legend(figure: Figure, looks: Iterable[Look]) -> None:
    """A legend above the panels, in rows of like length, for which the figure is made higher."""
    handles = [Line2D([], [], linewidth=1.3, label=look.label, **look.artist) for look in looks]
    rows = -(-len(handles) // max(2, int(figure.get_figwidth() / LEGEND_COLUMN)))
    figure.set_figheight(figure.get_figheight() + LEGEND_ROW * rows)
    spacing: dict[str, Any] = {"handlelength": 1.8, "handletextpad": 0.5, "columnspacing": 1.2}
    figure.legend(handles=handles, loc="outside upper center", ncols=-(-len(handles) // rows), **spacing)


@styled
def save(figure: Figure, png: str | Path, pdf: str | Path) -> None:
    """Write a figure as PNG (300 dpi) and PDF (fonts embedded), each atomically, the same bytes each time."""
    no_dates = {"CreationDate": None, "Creator": None, "Producer": None}
    with atomic_path(png) as partial:
        figure.savefig(partial, format="png", dpi=DPI, metadata={"Software": None})
    with atomic_path(pdf) as partial:
        figure.savefig(partial, format="pdf", dpi=DPI, metadata=no_dates)
