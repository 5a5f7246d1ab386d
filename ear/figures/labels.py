"""Names beside points, where every name has a clear place of its own."""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

FONT_SIZE = 7.0
# A name stands at this distance from its point; further off it could be any other's.
_DISTANCE, _MARKER_RADIUS, _CLEARLY = 5.0, 3.4, 3.0  # points


def place_labels(figure: Figure, axes: Sequence[Axes], labels: Mapping[str, str]) -> bool:
    """Write the label of every one-point line next to its point, all of them or none.

    Args:
        figure: the figure, otherwise finished: positions are measured by drawing it once.
        axes: panels to label.
        labels: a line's label → the text to write.

    Returns:
        Whether all labels fitted: inside their panel, on no point, interval, text or other label, and clearly
        nearest to their own point. If not, none was written.
    """
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    written: list[Annotation] = []
    for ax in axes:
        points = [line for line in ax.get_lines() if line.get_label() in labels]
        centres = [_centre(line) for line in points]
        radius = _MARKER_RADIUS * figure.dpi / 72
        obstacles = [Bbox([centre - radius, centre + radius]) for centre in centres]
        obstacles += [text.get_window_extent() for text in ax.texts if text.get_text()]
        obstacles += _interval_boxes(ax)
        others = [line for line in ax.get_lines() if line not in points]
        obstacles += [
            Bbox([mark - radius / 2, mark + radius / 2]) for line in others for mark in _marks(line)
        ]
        for line, centre in zip(points, centres, strict=True):
            for vertical, horizontal in product(("bottom", "top"), ("left", "right")):
                text = _write(ax, line, labels[str(line.get_label())], horizontal, vertical)
                written.append(text)
                box = text.get_window_extent(canvas.get_renderer())
                own = _distance(box, centre) + _CLEARLY * figure.dpi / 72
                clear = all(_distance(box, other) > own for other in centres if other is not centre)
                if (
                    clear
                    and ax.bbox.containsx(box.x0)
                    and ax.bbox.containsx(box.x1)
                    and not box.count_overlaps(obstacles)
                ):
                    obstacles.append(box)
                    break
                written.pop().remove()
            else:
                for one in written:
                    one.remove()
                return False
    return True


def _write(ax: Axes, line: Line2D, name: str, horizontal: str, vertical: str) -> Annotation:
    offset = (_DISTANCE if horizontal == "left" else -_DISTANCE, 2.0 if vertical == "bottom" else -2.0)
    return ax.annotate(
        name,
        np.asarray(line.get_xydata())[0],
        xytext=offset,
        textcoords="offset points",
        ha=horizontal,
        va=vertical,
        fontsize=FONT_SIZE,
        fontweight="bold",
        color=line.get_color(),
    )


def _centre(line: Line2D) -> np.ndarray:
    return _marks(line)[0]


def _marks(line: Line2D) -> np.ndarray:
    return np.asarray(line.get_transform().transform(line.get_xydata()))  # (marks, 2) in pixels


def _distance(box: Bbox, point: np.ndarray) -> float:
    return float(np.hypot(*np.maximum(np.maximum(box.min - point, point - box.max), 0)))


def _interval_boxes(ax: Axes) -> list[Bbox]:
    lines = [collection for collection in ax.collections if isinstance(collection, LineCollection)]
    ends = [ax.transData.transform(segment) for collection in lines for segment in collection.get_segments()]
    return [Bbox([end.min(axis=0) - 1, end.max(axis=0) + 1]) for end in ends if np.isfinite(end).all()]
