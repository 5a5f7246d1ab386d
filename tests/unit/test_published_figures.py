"""The paper's figures show the published values and the numbers of the tables, exactly, and tell them apart."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ear.errors import InputError
from ear.figures import nudity, style, window_length
from ear.published import NUDITY, NUDITY_COUNTS, NUDITY_METHODS, WINDOW_LENGTH
from tests import reproduction


def lines(figure: Figure, panel: int) -> dict[str, Line2D]:
    return {str(line.get_label()): line for line in figure.axes[panel].get_lines()}


def segments(figure: Figure, panel: int) -> set[tuple[float, ...]]:
    collections = [c for c in figure.axes[panel].collections if isinstance(c, LineCollection)]
    return {tuple(np.asarray(segment).ravel()) for c in collections for segment in c.get_segments()}


@pytest.mark.parametrize("methods", [("ear",), ("wga", "ear")])
def test_window_length_shows_published_rates_beside_ours(methods: tuple[str, ...]) -> None:
    table = reproduction.windows(methods, seeds=2)
    figure = window_length.draw(table, reproduction.OWN_WINDOW, WINDOW_LENGTH)
    assert [ax.get_title() for ax in figure.axes] == ["Church", "Van Gogh", "Nudity"]
    rows = table[table.metric == "concept_rate"]
    for panel, concept in enumerate(("church", "van-gogh", "nudity")):
        drawn, ends = lines(figure, panel), segments(figure, panel)
        for method in methods:
            ours = rows[(rows.concept == concept) & (rows.method == method)]
            pooled = ours[ours.seed == "all"]
            np.testing.assert_array_equal(drawn[method].get_xydata(), pooled[["window", "value"]])
            assert drawn[method].get_color() == style.METHODS[method].colour
            own = pooled.loc[pooled.window == reproduction.OWN_WINDOW[concept], ["window", "value"]]
            np.testing.assert_array_equal(drawn[f"{method} own"].get_xydata(), own)
            seeds = ours.loc[ours.seed != "all", ["window", "value"]]
            np.testing.assert_array_equal(drawn[f"{method} seeds"].get_xydata(), seeds)
            assert {(r.window, r.ci_low, r.window, r.ci_high) for r in pooled.itertuples()} <= ends
        theirs = [value for value in WINDOW_LENGTH if value.concept == concept]
        points = [(value.window, value.value) for value in theirs]
        np.testing.assert_array_equal(drawn["published"].get_xydata(), points)
        assert {(w, v - 0.005, w, v + 0.005) for w, v in points} <= ends
    notes = [[text.get_text() for text in ax.texts] for ax in figure.axes]
    assert notes == [[], [], ["definition of the\npublished rate unknown"]]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend[-1] == "published" and legend[-3] == "EAR, reproduced"


def test_window_length_shows_published_rates_of_measured_concepts_alone() -> None:
    table = reproduction.windows()
    table = table[(table.concept == "church") & (table.window != 256)]
    figure = window_length.draw(table, {"church": 48}, WINDOW_LENGTH)
    assert [ax.get_title() for ax in figure.axes] == ["Church"]
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == ["12", "24", "48", "100", "256"]  # 256 is published and was not measured


def bars(figure: Figure, panel: int) -> dict[str, BarContainer]:
    found = [c for c in figure.axes[panel].containers if isinstance(c, BarContainer)]
    return {str(bar.get_label()): bar for bar in found}


@pytest.mark.parametrize("images", [1539, 400])
def test_nudity_shows_published_and_reproduced_detections_on_one_scale(images: int) -> None:
    table = reproduction.detections(images)
    figure = nudity.draw(table)
    assert len({ax.get_xlim() for ax in figure.axes}) == 1
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names[0] == "Male genitalia" and names[-2:] == ["Female breast", "Buttocks"] and len(names) == 9
    for panel, method in enumerate(NUDITY_METHODS):
        ours = table[(table.method == method) & (table.seed == "all")].set_index("class")
        assert list(ours.index) == list(NUDITY_COUNTS)
        drawn, intervals = bars(figure, panel), lines(figure, panel)
        widths = {name: [bar.get_width() for bar in bars] for name, bars in drawn.items()}
        assert widths["reproduced"] == pytest.approx(list(100 * ours.value / images))
        theirs = [100 * value.value / 1539 for value in NUDITY if value.method == method]
        assert widths["published"] == pytest.approx(theirs)
        for place, name in enumerate(NUDITY_COUNTS):
            ends = 100 * ours.loc[name, ["ci_low", "ci_high"]].to_numpy(dtype=float) / images
            assert list(intervals[f"{name} interval"].get_xdata()) == pytest.approx(list(ends))
            ours_bar, their_bar = drawn["reproduced"][place], drawn["published"][place]
            assert ours_bar.get_y() < place < their_bar.get_y() + their_bar.get_height()
            assert ours_bar.get_y() + ours_bar.get_height() == pytest.approx(their_bar.get_y())
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [text.split()[0].strip(",") for text in legend] == ["reproduced", "published"]
    assert "per 100 images" in figure.get_supxlabel()


def test_nudity_says_which_models_and_classes_were_not_measured() -> None:
    table = reproduction.detections(methods=("original", "ear"))
    table = table[~((table.method == "ear") & (table["class"] == "FEET_EXPOSED"))]
    figure = nudity.draw(table)
    notes = [[text.get_text().strip() for text in ax.texts].count("not measured") for ax in figure.axes]
    assert notes == [1, 0, 1, 1]
    assert [sorted(bars(figure, panel)) for panel in range(4)] == [
        ["published"],
        ["published", "reproduced"],
        ["published"],
        ["published", "reproduced"],
    ]
    assert len(bars(figure, 3)["reproduced"]) == 8
    with pytest.raises(InputError, match=r"detections\.csv: found no row with concept = nudity"):
        nudity.draw(table[table.method == "none"])


def test_text_stays_inside_its_panel() -> None:
    figures = [
        nudity.draw(reproduction.detections()),
        window_length.draw(reproduction.windows(("wga", "ear")), reproduction.OWN_WINDOW, WINDOW_LENGTH),
    ]
    for figure in figures:
        figure.canvas.draw()
        for ax in figure.axes:
            for text in ax.texts:
                box = text.get_window_extent()
                assert ax.bbox.x0 <= box.x0 and box.x1 <= ax.bbox.x1, text.get_text()
