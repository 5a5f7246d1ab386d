"""Figures of the axes show the rows of their tables, exactly, in one look and without text that is too small or cut."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from ear.errors import InputError
from ear.figures import attacks, prefix, relearning, score_card, style, sweeps, understanding
from ear.metrics.score_card import on_front
from ear.metrics.score_card import score_card as make_card
from tests.made_up_axes import CONCEPTS, IMAGE_TOKENS, METHODS, PREFIXES, STEPS, UNTRAINED, made_up_metrics

OWN = {"guidance": 1.5, "temperature": 1.0}
DRAW: dict[str, Callable[[pd.DataFrame], Figure]] = {
    "score-card": lambda table: score_card.draw(make_card(table, IMAGE_TOKENS)),
    "prefix": lambda table: prefix.draw(table, IMAGE_TOKENS),
    "sweeps": lambda table: sweeps.draw(table, OWN),
    "attacks": attacks.draw,
    "relearning": relearning.draw,
    "understanding": understanding.draw,
}


@pytest.fixture(scope="module")
def metrics() -> pd.DataFrame:
    return made_up_metrics()


def lines(figure: Figure, panel: int) -> dict[str, Line2D]:
    return {str(line.get_label()): line for line in figure.axes[panel].get_lines()}


def bands(figure: Figure, panel: int) -> dict[str, PolyCollection]:
    drawn = figure.axes[panel].collections
    return {str(band.get_label()): band for band in drawn if isinstance(band, PolyCollection)}


def rows_of(metrics: pd.DataFrame, concept: str, method: str, sets: list[str], metric: str) -> pd.DataFrame:
    rows = metrics[(metrics.concept == concept) & (metrics.method == method) & (metrics.seed == "all")]
    return rows[rows.metric == metric].set_index("prompt_set").loc[sets]


def holds(figure: Figure, panel: int, method: str, wanted: pd.DataFrame) -> None:
    """The line of a method and its band are these rows, one step apart."""
    line = lines(figure, panel)[method]
    np.testing.assert_array_equal(line.get_ydata(), wanted["value"])
    assert line.get_color() == style.METHODS[method].colour
    (path,) = bands(figure, panel)[f"{method} interval"].get_paths()
    corners = {tuple(corner) for corner in np.asarray(path.vertices)}
    for x, low, high in zip(line.get_xdata(), wanted["ci_low"], wanted["ci_high"], strict=True):  # type: ignore[arg-type]
        assert (x, low) in corners and (x, high) in corners


def test_the_prefix_figure_begins_at_the_target_prompts(metrics: pd.DataFrame) -> None:
    figure = DRAW["prefix"](metrics)
    for panel, concept in enumerate(CONCEPTS):
        for method in METHODS:
            sets = ["target", *(f"prefix-{k}" for k in PREFIXES)]
            holds(figure, panel, method, rows_of(metrics, concept, method, sets, "concept_rate"))
        ceiling = rows_of(
            metrics, concept, "original", [f"ceiling-{k}" for k in PREFIXES], "concept_rate"
        ).value
        drawn = lines(figure, panel)["ceiling"]
        np.testing.assert_array_equal(drawn.get_ydata(), ceiling)
        assert drawn.get_linestyle() == "--" and list(drawn.get_xdata()) == [1, 2, 3, 4, 5]
    ticks = [label.get_text().split("\n") for label in figure.axes[0].get_xticklabels()]
    assert ticks == [["0", "0"], ["1", "0.4"], ["4", "2"], ["16", "6"], ["64", "25"], ["128", "50"]]


def test_the_sweeps_have_the_experiments_own_setting_between_the_others(metrics: pd.DataFrame) -> None:
    figure = DRAW["sweeps"](metrics)
    wanted = {
        0: ["guidance-1", "target", "guidance-3", "guidance-7"],
        3: ["temperature-0.5", "target", "temperature-2"],
    }
    for first, sets in wanted.items():
        for panel, concept in enumerate(CONCEPTS, start=first):
            for method in METHODS:
                holds(figure, panel, method, rows_of(metrics, concept, method, sets, "concept_rate"))
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["1", "1.5", "3", "7"]
    one = metrics[~metrics.prompt_set.str.startswith("temperature")]
    assert len(DRAW["sweeps"](one).axes) == len(CONCEPTS)


def test_relearning_begins_at_the_target_prompts_of_methods_that_have_weights(metrics: pd.DataFrame) -> None:
    figure = DRAW["relearning"](metrics)
    for panel, concept in enumerate(CONCEPTS):
        assert not set(UNTRAINED) & lines(figure, panel).keys()
        for method in METHODS.keys() - set(UNTRAINED):
            sets = ["target", *(f"relearned-{n}" for n in STEPS)]
            holds(figure, panel, method, rows_of(metrics, concept, method, sets, "concept_rate"))


def test_attacks_show_the_table(metrics: pd.DataFrame) -> None:
    lost = (metrics.method == "ear") & (metrics.prompt_set == "implicit") & (metrics.concept == "fire")
    figure = attacks.draw(metrics[~lost])
    panels = iter(range(len(figure.axes)))
    for concept in CONCEPTS:
        for prompt_set in attacks.ATTACKS:
            panel = next(panels)
            for method in METHODS:
                if (concept, prompt_set, method) == ("fire", "implicit", "ear"):
                    assert method not in lines(figure, panel)
                    continue
                (row,) = rows_of(metrics, concept, method, [prompt_set], "concept_rate").itertuples()
                assert list(lines(figure, panel)[method].get_xdata()) == [row.value]
                assert list(lines(figure, panel)[f"{method} interval"].get_xdata()) == [
                    row.ci_low,
                    row.ci_high,
                ]
    assert sum(text.get_text() == "not measured" for ax in figure.axes for text in ax.texts) == 1


def test_understanding_shows_the_table(metrics: pd.DataFrame) -> None:
    figure = understanding.draw(metrics)
    for panel, concept in enumerate(CONCEPTS):
        for method in METHODS:
            sets = ["questions-concept", "questions-others"]
            wanted = rows_of(metrics, concept, method, sets, "accuracy")
            np.testing.assert_array_equal(lines(figure, panel)[method].get_xydata(), [wanted.value])


def test_understanding_shows_where_the_points_are_and_says_where_chance_is(metrics: pd.DataFrame) -> None:
    asked = metrics.prompt_set.str.startswith("questions-")
    near = understanding.draw(metrics)
    assert near.axes[0].get_xlim()[0] <= 0.5 and "dotted: chance" in near.get_supxlabel()
    far = metrics.assign(value=metrics["value"].mask(asked, 0.97), ci_low=metrics["ci_low"].mask(asked, 0.94))
    figure = understanding.draw(far.assign(ci_high=metrics["ci_high"].mask(asked, 0.99)))
    assert (
        0.9 < figure.axes[0].get_xlim()[0] < 0.94 and "chance, 50 %, lies outside" in figure.get_supxlabel()
    )


@pytest.mark.parametrize("unasked", [CONCEPTS[:1], CONCEPTS])
def test_understanding_says_of_which_concepts_nothing_was_asked(
    metrics: pd.DataFrame, unasked: Sequence[str]
) -> None:
    asked = metrics.prompt_set.str.startswith("questions-")
    figure = understanding.draw(metrics[~(asked & metrics.concept.isin(unasked))])
    assert len(figure.axes) == len(CONCEPTS)
    for panel, concept in enumerate(CONCEPTS):
        noted = any("nothing was asked" in text.get_text() for text in figure.axes[panel].texts)
        assert noted == (concept in unasked) == lines(figure, panel).keys().isdisjoint(METHODS)


def test_the_score_card_shows_the_card(metrics: pd.DataFrame) -> None:
    card = make_card(metrics, IMAGE_TOKENS)
    (ax,) = score_card.draw(card).axes
    cells = {str(patch.get_label()): patch.get_facecolor() for patch in ax.patches}
    texts = {str(text.get_gid()): text.get_text() for text in ax.texts if text.get_gid()}
    names = {f"{row.concept}|{row.method}|{row.axis}": row for row in card.itertuples()}
    assert cells.keys() == texts.keys() == names.keys()
    drawn = {str(line.get_label()): line for line in ax.get_lines()}
    for name, row in names.items():
        if row.axis in ("erasure", "worst"):
            mark = "*" if row.method in UNTRAINED and row.axis == "worst" else ""
            assert texts[name] == f"{100 * row.value:.0f}{mark}"
            ends = np.array(drawn[f"{name} interval"].get_xdata()) % 1
            np.testing.assert_allclose((ends - 0.1) / 0.8, [row.ci_low, row.ci_high], atol=1e-9)
    marks = {name.rpartition("|")[0] for name in drawn if name.endswith("|front")}
    assert marks == {f"{row.concept}|{row.method}" for row in names.values() if on_front({"": row._asdict()})}
    for axis, lower in (("erasure", True), ("retention", False), ("kernel-distance", True)):
        rows = card[(card.concept == "church") & (card.axis == axis)].sort_values("value", ascending=lower)
        found = [cells[f"church|{method}|{axis}"] for method in rows.method]
        blue = [colour[2] - colour[0] for colour in found]  # better cells are bluer
        assert blue == sorted(blue, reverse=True) and blue[0] > 0 > blue[-1]


@pytest.mark.parametrize("name", DRAW)
@pytest.mark.parametrize("concepts", [CONCEPTS, CONCEPTS[:1]])
def test_text_is_large_enough_inside_and_apart(
    metrics: pd.DataFrame, name: str, concepts: tuple[str, ...]
) -> None:
    figure = DRAW[name](metrics[metrics.concept.isin(concepts)])
    FigureCanvasAgg(figure).draw()
    assert figure.get_figwidth() <= style.TEXT_WIDTH + 1e-9
    written = [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]
    assert min(text.get_fontsize() for text in written) >= 6.5
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(drawn.x0, drawn.y0, width - drawn.x1, height - drawn.y1) >= -0.01
    for ax in figure.axes:
        ticks = [label.get_window_extent() for label in ax.get_xticklabels() if label.get_text()]
        assert not any(left.x1 > right.x0 for left, right in pairwise(ticks))


@pytest.mark.parametrize("name", [name for name in DRAW if name != "understanding"])
def test_without_its_rows_there_is_no_figure(metrics: pd.DataFrame, name: str) -> None:
    with pytest.raises(InputError, match=r"(metrics|score-card)\.csv: found no row"):
        DRAW[name](metrics[metrics.prompt_set == ("target" if name != "score-card" else "")])
