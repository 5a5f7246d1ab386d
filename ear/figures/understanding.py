"""Understanding: does the model that no longer draws the concept still see it?"""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ear.figures import style
from ear.figures.curves import LEGEND_ROW, METRICS, legend_rows
from ear.figures.labels import place_labels
from ear.figures.rows import one_row, pooled

KEY = ("concept", "method")
CHANCE = 0.5


@style.styled
def draw(metrics: pd.DataFrame) -> Figure:
    """Accuracy of yes or no on questions about the concept (x) and about others (y): a panel a concept.

    Args:
        metrics: the tidy table of metrics; its rows ``accuracy`` on ``questions-concept`` and
            ``questions-others`` are plotted as they are, with 95 % intervals.

    Returns:
        The figure. In each panel, the points are Line2D artists labelled by the method's name. Methods are
        named beside their points, or in a legend where the names would overlap.

    Raises:
        InputError: the table has no such rows or several for one method.
    """
    about, others = (
        pooled(metrics, KEY, METRICS, metric="accuracy", prompt_set=f"questions-{kind}")
        for kind in ("concept", "others")
    )
    concepts, methods = style.order_concepts(about["concept"]), style.order_methods(about["method"])
    width = style.COLUMN_WIDTH if len(concepts) == 1 else min(style.TEXT_WIDTH, 0.5 + 2.1 * len(concepts))
    figure, axes = style.panels(1, len(concepts), width, 2.4, sharex=True, sharey=True)
    for ax, concept in zip(axes[0], concepts, strict=True):
        for method in methods:
            x, y = one_row(about, concept, method), one_row(others, concept, method)
            if x is None or y is None:
                continue
            look = style.method_style(method, methods)
            lines = {"color": look.colour, "linewidth": 0.9, "alpha": 0.6}
            ax.hlines(y["value"], x["ci_low"], x["ci_high"], **lines)
            ax.vlines(x["value"], y["ci_low"], y["ci_high"], **lines)
            ax.plot(
                x["value"],
                y["value"],
                marker=look.marker,
                markersize=look.size,
                markeredgecolor="white",
                markeredgewidth=0.5,
                color=look.colour,
                linestyle="none",
                label=method,
                zorder=3,
            )
        for guide in (ax.axvline, ax.axhline):
            guide(CHANCE, color=style.MUTED, linewidth=0.8, linestyle=":", zorder=0)
        ax.set_title(style.capital(style.concept_style(concept).label))
        ax.grid()
    low = float(min(about["ci_low"].min(), others["ci_low"].min(), CHANCE))
    for limit in (axes[0, 0].set_xlim, axes[0, 0].set_ylim):
        limit(max(-0.03, low - 0.05), 1.03)
    for axis in (axes[0, 0].xaxis, axes[0, 0].yaxis):
        axis.set_major_formatter(PercentFormatter(1, symbol=None))
    axes[0, 0].set_ylabel("right answers about\nother things (%)")
    figure.supxlabel("right answers about the concept (%); dotted: chance", fontsize=8)
    labels = {method: style.method_style(method, methods).label for method in methods}
    if not place_labels(figure, list(axes[0]), labels):
        handles = [line for line in axes[0, 0].get_lines() if line.get_label() in labels]
        texts = [labels[str(line.get_label())] for line in handles]
        deep = legend_rows(len(texts), width)
        figure.set_figheight(figure.get_figheight() + LEGEND_ROW * deep)
        figure.legend(
            handles,
            texts,
            loc="outside upper center",
            ncols=-(-len(texts) // deep),
            handletextpad=0.1,
            columnspacing=1.2,
        )
    return figure
