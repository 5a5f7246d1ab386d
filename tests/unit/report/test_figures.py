"""Figures show the numbers of their tables, exactly, in one look, with text that is large enough and inside."""

import io
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from PIL import Image

from ear.erasure.variants import Objective
from ear.errors import InputError
from ear.evaluation.columns import METRICS_CSV
from ear.evaluation.deviations import NUDITY, WINDOW_LENGTH
from ear.evaluation.score_card import on_front
from ear.evaluation.score_card import score_card as make_card
from ear.report import style
from ear.report.figures.card import score_card
from ear.report.figures.levels import prefix, relearning, sweeps, window_length
from ear.report.figures.nudity import TITLES, nudity
from ear.report.figures.rates import ATTACKS, attacks, concept_rate, understanding
from ear.report.figures.tradeoff import tradeoff
from ear.report.figures.training import LOSSES, training
from tests import comparison, reproduction
from tests.made_up_axes import CONCEPTS, IMAGE_TOKENS, METHODS, PREFIXES, STEPS, UNTRAINED, made_up_metrics

OBJECTIVES = dict.fromkeys(comparison.METHODS, "mse") | {"gradient-ascent": "ascent", "obliviate": "kl"}
PARAMS = {"image_tokens": IMAGE_TOKENS, "own": {"guidance": 1.5, "temperature": 1.0}}
FIGURES = (score_card, prefix, sweeps, attacks, relearning, understanding, concept_rate, tradeoff)
Plot = Callable[..., Figure]


def plotted(plot: Plot, table: pd.DataFrame, **params: Any) -> Figure:
    """A figure as its rule plots it, of a table in a file."""
    if plot is score_card and "axis" not in table:
        table = make_card(table, IMAGE_TOKENS)
    with NamedTemporaryFile(suffix=".csv") as file:
        table.to_csv(file.name, index=False)
        return plot(SimpleNamespace(table=file.name), SimpleNamespace(**PARAMS | params))


def as_read(table: pd.DataFrame) -> pd.DataFrame:
    """The table as it is read from a file: its numbers to the last bit, and its seeds."""
    return pd.read_csv(io.StringIO(table.to_csv(index=False)))


@pytest.fixture(scope="module")
def metrics() -> pd.DataFrame:
    return as_read(made_up_metrics())


def lines(figure: Figure, panel: int) -> dict[str, Line2D]:
    return {str(line.get_label()): line for line in figure.axes[panel].get_lines()}


def segments(figure: Figure, panel: int) -> set[tuple[float, ...]]:
    collections = [c for c in figure.axes[panel].collections if isinstance(c, LineCollection)]
    return {tuple(np.asarray(segment).ravel()) for c in collections for segment in c.get_segments()}


def rows_of(table: pd.DataFrame, concept: str, method: str, sets: Iterable[str], metric: str) -> pd.DataFrame:
    rows = table[(table.concept == concept) & (table.method == method) & (table.seed == "all")]
    return rows[rows.metric == metric].set_index("prompt_set").loc[list(sets)]


def holds(figure: Figure, panel: int, method: str, wanted: pd.DataFrame) -> None:
    """The line of a method and its band are these rows."""
    line = lines(figure, panel)[method]
    np.testing.assert_array_equal(line.get_ydata(), wanted["value"])
    assert line.get_color() == style.METHODS[method].colour
    bands = [one for one in figure.axes[panel].collections if isinstance(one, PolyCollection)]
    (band,) = (one for one in bands if one.get_label() == f"{method} interval")
    corners = {tuple(corner) for corner in np.asarray(band.get_paths()[0].vertices)}
    for x, low, high in zip(line.get_xdata(), wanted["ci_low"], wanted["ci_high"], strict=True):  # type: ignore[arg-type]
        assert (x, low) in corners and (x, high) in corners


def ticks(figure: Figure, panel: int = 0) -> list[str]:
    return [label.get_text() for label in figure.axes[panel].get_xticklabels()]


GUIDED, HEATED = (
    ["guidance-1", "target", "guidance-3", "guidance-7"],
    ["temperature-0.5", "target", "temperature-2"],
)


@pytest.mark.parametrize(
    ("plot", "rows"),
    [
        (prefix, [["target", *(f"prefix-{k}" for k in PREFIXES)]]),
        (sweeps, [GUIDED, HEATED]),
        (relearning, [["target", *(f"relearned-{n}" for n in STEPS)]]),
    ],
)
def test_lines_over_levels_are_those_of_the_table(
    metrics: pd.DataFrame, plot: Plot, rows: list[list[str]]
) -> None:
    figure = plotted(plot, metrics)
    shown = METHODS.keys() - (set(UNTRAINED) if plot is relearning else set())
    panels = iter(range(len(figure.axes)))
    for sets in rows:
        for concept in CONCEPTS:
            panel = next(panels)
            assert lines(figure, panel).keys() & METHODS.keys() == shown
            for method in shown:
                holds(figure, panel, method, rows_of(metrics, concept, method, sets, "concept_rate"))
            if plot is sweeps:
                assert figure.axes[panel].get_lines()[0].get_xdata() == [
                    1,
                    1,
                ]  # the experiment's own is marked


def test_the_prefix_figure_has_a_ceiling_and_shares_of_the_image(metrics: pd.DataFrame) -> None:
    figure = plotted(prefix, metrics)
    for panel, concept in enumerate(CONCEPTS):
        sets = [f"ceiling-{k}" for k in PREFIXES]
        drawn = lines(figure, panel)["ceiling"]
        wanted = rows_of(metrics, concept, "original", sets, "concept_rate")
        np.testing.assert_array_equal(drawn.get_ydata(), wanted.value)
        assert drawn.get_linestyle() == "--" and list(drawn.get_xdata()) == [1, 2, 3, 4, 5]
    shares = [("0", "0"), ("1", "0.39"), ("4", "1.6"), ("16", "6.2"), ("64", "25"), ("128", "50")]
    assert ticks(figure) == ["\n".join(share) for share in shares]


def test_window_length_shows_published_rates_beside_ours() -> None:
    methods = ("wga", "ear")
    table = as_read(reproduction.windows(methods, seeds=2))
    params: dict[str, Any] = {"methods": methods, "own_windows": reproduction.OWN_WINDOW}
    figure = plotted(window_length, table, **params, published=True)
    assert [ax.get_title() for ax in figure.axes] == ["Church", "Van Gogh", "Nudity"]
    assert ticks(figure) == ["12", "24", "48", "100", "256"]
    rows = table[(table.metric == "concept_rate") & (table.seed == "all")]
    for panel, concept in enumerate(("church", "van-gogh", "nudity")):
        for method in methods:
            holds(figure, panel, method, rows[(rows.concept == concept) & (rows.method == method)])
        drawn = lines(figure, panel)["published rate"]
        theirs = [value.value for value in WINDOW_LENGTH if value.concept == concept]
        np.testing.assert_array_equal(drawn.get_ydata(), theirs)
        own = [12, 24, 48, 100, 256].index(reproduction.OWN_WINDOW[concept])
        assert figure.axes[panel].get_lines()[0].get_xdata() == [own, own]
    notes = [[text.get_text() for text in ax.texts] for ax in figure.axes]
    assert notes == [[], [], ["definition of the\npublished rate unknown"]]
    part = table[(table.concept == "church") & (table.window != 256)]
    figure = plotted(window_length, part, **params, published=True)
    assert ticks(figure)[-1] == "256"  # published, not measured
    figure = plotted(window_length, part, methods=("ear",), own_windows={"church": 36}, published=False)
    assert lines(figure, 0).keys() == {"ear"} and ticks(figure)[-1] == "100"


def test_attacks_show_the_table(metrics: pd.DataFrame) -> None:
    lost = (metrics.method == "ear") & (metrics.prompt_set == "implicit") & (metrics.concept == "fire")
    figure = plotted(attacks, metrics[~lost])
    panels = iter(range(len(figure.axes)))
    for concept in CONCEPTS:
        for prompt_set in ATTACKS:
            drawn = lines(figure, next(panels))
            for method in METHODS:
                if (concept, prompt_set, method) == ("fire", "implicit", "ear"):
                    assert method not in drawn
                    continue
                (row,) = rows_of(metrics, concept, method, [prompt_set], "concept_rate").itertuples()
                assert list(drawn[method].get_xdata()) == [row.value]
                assert list(drawn[f"{method} interval"].get_xdata()) == [row.ci_low, row.ci_high]
    assert sum(text.get_text() == "not measured" for ax in figure.axes for text in ax.texts) == 1


def test_concept_rate_and_tradeoff_show_the_table_and_its_single_seeds(metrics: pd.DataFrame) -> None:
    rates, corners = plotted(concept_rate, metrics), plotted(tradeoff, metrics)
    for panel, concept in enumerate(CONCEPTS):
        for method in METHODS:
            (x,) = rows_of(metrics, concept, method, ["target"], "concept_rate").itertuples()
            (y,) = rows_of(metrics, concept, method, ["retention"], "accuracy").itertuples()
            row, corner = lines(rates, panel), lines(corners, panel)
            assert list(row[method].get_xdata()) == [x.value]
            assert list(row[f"{method} interval"].get_xdata()) == [x.ci_low, x.ci_high]
            np.testing.assert_array_equal(corner[method].get_xydata(), [[x.value, y.value]])
            assert (x.ci_low, y.value, x.ci_high, y.value) in segments(corners, panel)
            assert (x.value, y.ci_low, x.value, y.ci_high) in segments(corners, panel)
            own = metrics[(metrics.concept == concept) & (metrics.method == method)]
            own = own[own.seed != "all"]
            xs = list(own.loc[(own.metric == "concept_rate") & (own.prompt_set == "target"), "value"])
            ys = list(own.loc[(own.metric == "accuracy") & (own.prompt_set == "retention"), "value"])
            seeds = f"{method} seeds"
            assert (seeds in row) == (seeds in corner) == (len(xs) > 1) == (method not in UNTRAINED)
            if len(xs) > 1:
                assert list(row[seeds].get_xdata()) == xs
                np.testing.assert_array_equal(corner[seeds].get_xydata(), np.column_stack([xs, ys]))
    shown = [label.get_text() for label in rates.axes[0].get_yticklabels()]
    known = [look.label for method, look in style.METHODS.items() if method in METHODS]
    assert shown == [text.get_text() for text in corners.legends[0].get_texts()] == known


def test_tradeoff_enlarges_a_crowded_corner_and_nothing_else(metrics: pd.DataFrame) -> None:
    figure = plotted(tradeoff, metrics)
    assert len(figure.axes) == 6
    whole, part = figure.axes[0], figure.axes[3]
    np.testing.assert_array_equal(lines(figure, 0)["ear"].get_xydata(), lines(figure, 3)["ear"].get_xydata())
    (frame,) = (patch for patch in whole.patches if isinstance(patch, Rectangle))
    assert frame.get_bbox().intervalx == pytest.approx(part.get_xlim())
    assert frame.get_bbox().intervaly == pytest.approx(part.get_ylim())
    assert all(line.get_clip_on() for line in part.get_lines())
    sparse = metrics[metrics.method.isin(["original", "paper", "ear"])]
    assert len(plotted(tradeoff, sparse).axes) == 3


def test_tradeoff_names_methods_without_retention_and_falls_back_on_the_clip_score(
    metrics: pd.DataFrame,
) -> None:
    lost = (metrics.concept == "church") & (metrics.method == "ear") & (metrics.prompt_set == "retention")
    figure = plotted(tradeoff, metrics[~lost])
    assert "ear" not in lines(figure, 0) and "ear" in lines(figure, 1)
    assert "no retention: EAR" in [text.get_text() for text in figure.axes[0].texts]
    none = metrics[metrics.prompt_set != "retention"]
    with pytest.raises(InputError, match="metric = clip_score"):
        plotted(tradeoff, none)  # no other accuracy stands for retention
    clip = none[none.metric == "diversity"].assign(metric="clip_score", value=31.2)
    figure = plotted(tradeoff, pd.concat([none, clip]))
    assert "CLIP score" in figure.axes[0].get_ylabel() and len(figure.axes) == len(CONCEPTS)
    assert lines(figure, 0)["ear"].get_ydata() == [31.2]
    # One measure in all panels: a concept without retention, as nudity, has them show the CLIP score.
    some = metrics[(metrics.concept != "church") | (metrics.prompt_set != "retention")]
    assert "CLIP score" in plotted(tradeoff, pd.concat([some, clip])).axes[0].get_ylabel()


def test_understanding_shows_the_table_and_what_was_not_asked(metrics: pd.DataFrame) -> None:
    asked = metrics.prompt_set.str.startswith("questions-")
    for unasked in ([], CONCEPTS[:1], CONCEPTS):
        figure = plotted(understanding, metrics[~(asked & metrics.concept.isin(unasked))])
        panels = iter(range(len(figure.axes)))
        for concept in CONCEPTS:
            for prompt_set in ("questions-concept", "questions-others"):
                panel = next(panels)
                noted = any("no questions" in text.get_text() for text in figure.axes[panel].texts)
                drawn = lines(figure, panel)
                assert noted == (concept in unasked) == drawn.keys().isdisjoint(METHODS)
                for method in METHODS if not noted else ():
                    (row,) = rows_of(metrics, concept, method, [prompt_set], "accuracy").itertuples()
                    assert list(drawn[method].get_xdata()) == [row.value]
                    assert row.ci_low > figure.axes[panel].get_xlim()[0]
        assert next(panels, None) is None


def test_the_score_card_shows_the_card(metrics: pd.DataFrame) -> None:
    card = as_read(make_card(metrics, IMAGE_TOKENS))
    (ax,) = plotted(score_card, card).axes
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
        assert (np.diff(blue) <= 1 / 255).all() and blue[0] > 0 > blue[-1]  # a colour has 256 steps


def plotted_training(table: pd.DataFrame, folder: Path) -> Figure:
    logs, windows = [], {}
    for method, log in table.groupby("method"):
        logs.append(folder / f"{method}.csv")
        windows[method] = log.window_length.iloc[0]
        another = log.head(3).assign(window_length=7, loss=1e9)
        pd.concat([another, log]).to_csv(logs[-1], index=False)
    params = SimpleNamespace(windows=windows, objectives=OBJECTIVES)
    return training(SimpleNamespace(logs=logs), params)


def test_training_curves_show_losses_skipped_windows_and_median(tmp_path: Path) -> None:
    table = as_read(comparison.training())
    figure = plotted_training(table, tmp_path)
    methods = [name for name in comparison.METHODS if name not in UNTRAINED]
    for panel, method in enumerate(methods):
        curve, drawn, ax = table[table.method == method], lines(figure, panel), figure.axes[panel]
        np.testing.assert_array_equal(drawn["loss"].get_xydata(), curve[["step", "loss"]])
        np.testing.assert_array_equal(drawn["skipped"].get_xdata(), curve.loc[curve.skipped, "step"])
        span, place = len(curve) // 12, len(curve) // 2
        start = place - span // 2
        middle = np.median(curve.loss.to_numpy()[start : start + span])
        assert np.asarray(drawn["median"].get_ydata())[place] == pytest.approx(middle)
        assert ax.get_yscale() == ("linear" if method == "gradient-ascent" else "log")
        # A threshold on tokens is no height of windows.
        assert ("threshold" in drawn) == (method in ("released", "paper", "ear"))
        objective = "log-likelihood" if method == "gradient-ascent" else "KL divergence"
        wanted = "squared error" if OBJECTIVES[method] == "mse" else objective
        assert ax.texts[0].get_text().startswith(f"{wanted}, W = ")
        assert ("of tokens kept" in ax.texts[0].get_text()) == (method == "ear-conditional")
    assert " of 340 skipped" in figure.axes[0].texts[0].get_text()
    assert {*get_args(Objective)} == LOSSES.keys()
    table.loc[(table.method == "ear") & (table.step == 3), "loss"] = np.nan
    with pytest.raises(InputError, match=r"training\.csv: ear: step 3: found loss nan, wanted a number"):
        plotted_training(table, tmp_path)


def test_nudity_shows_published_and_reproduced_detections_on_one_scale() -> None:
    lost, images = "FEET_EXPOSED", 400
    table = as_read(reproduction.detections(images, ("original", "ear")))
    table = table[~((table.method == "ear") & (table["class"] == lost))]
    figure = plotted(nudity, table)
    assert len({ax.get_xlim() for ax in figure.axes}) == 1
    notes = [[text.get_text().strip() for text in ax.texts].count("not measured") for ax in figure.axes]
    assert notes == [1, 0, 1, 1]
    for ax, method in zip(figure.axes, TITLES, strict=True):
        bars = {str(bar.get_label()): bar for bar in ax.containers if len(bar) > 2}
        theirs = [100 * value.value / 1539 for value in NUDITY if value.method == method]
        assert [bar.get_width() for bar in bars["published"]] == pytest.approx(theirs)
        ours = table[(table.method == method) & (table.seed == "all")]
        assert ("reproduced" in bars) == (method in ("original", "ear"))
        if ours.empty:
            continue
        widths = [bar.get_width() for bar in bars["reproduced"]]
        assert widths == pytest.approx(list(100 * ours.value / images))
        assert len(widths) == (8 if method == "ear" else 9)
        ends = [segment[:, 0] for segment in bars["reproduced"].errorbar.lines[2][0].get_segments()]
        np.testing.assert_allclose(ends, 100 * ours[["ci_low", "ci_high"]] / images)
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [text.split()[0].strip(",") for text in legend] == ["reproduced", "published"]
    with pytest.raises(InputError, match=r"detections\.csv: found no row with concept = nudity"):
        plotted(nudity, table[table.method == "none"])


@pytest.mark.parametrize("plot", FIGURES)
def test_text_is_large_enough_inside_and_apart(metrics: pd.DataFrame, plot: Plot) -> None:
    figure = plotted(plot, metrics)
    figure.draw_without_rendering()
    assert figure.get_figwidth() <= style.TEXT_WIDTH + 1e-9
    written = [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]
    assert min(text.get_fontsize() for text in written) >= 6.5
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(drawn.x0, drawn.y0, width - drawn.x1, height - drawn.y1) >= -0.01
    for ax in figure.axes:
        places = [label.get_window_extent() for label in ax.get_xticklabels() if label.get_text()]
        assert not any(left.x1 > right.x0 for left, right in pairwise(places))
    labels = [ax.yaxis.label.get_window_extent() for ax in figure.axes if ax.get_ylabel()]
    assert not any(above.y0 < below.y1 for above, below in pairwise(labels))


@pytest.mark.parametrize("plot", [prefix, sweeps, relearning, concept_rate])
def test_without_its_rows_there_is_no_figure(metrics: pd.DataFrame, plot: Plot) -> None:
    only = "" if plot is concept_rate else "target"
    with pytest.raises(InputError, match=r"metrics\.csv: found no row"):
        plotted(plot, metrics[metrics.prompt_set == only])


def test_saved_figures_are_the_same_bytes(tmp_path: Path) -> None:
    table = METRICS_CSV.frame([("fire", "ear", "all", "target", "concept_rate", 0.5, 0.4, 0.6, 60)])
    for name in ("a", "b"):
        style.save(plotted(concept_rate, table), tmp_path / f"{name}.png", tmp_path / f"{name}.pdf")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()
    assert b"CreationDate" not in (tmp_path / "a.pdf").read_bytes()
    with Image.open(tmp_path / "a.png") as image:
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


@settings(max_examples=30)
@given(st.sets(st.text("abc-", min_size=1, max_size=6), max_size=12))
def test_methods_of_the_configs_own_come_last_and_are_kept_apart(names: set[str]) -> None:
    looks = style.looks_of([*names, "ear", "original"])
    assert list(looks) == ["original", "ear", *sorted(names)]
    assert len({(look.colour, look.marker) for look in looks.values()}) == len(looks)
    assert style.method_style("my-ear").label == "My EAR"
