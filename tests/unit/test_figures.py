"""Figures show the numbers of their tables, exactly, and the same figure gives the same bytes."""

import io
import itertools
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from PIL import Image

from ear.erasure.presets import Objective
from ear.errors import InputError
from ear.figures import (
    concept_rate,
    overview,
    samples,
    style,
    tradeoff,
    training,
    window_length,
)
from ear.figures.grid import PROMPT_WIDTH_PER_INCH, wrap
from ear.figures.images import IMAGE_COLUMNS, ImageSource, choose_prompts, image_table
from ear.metrics.columns import METRICS_CSV, WINDOW_LENGTH_CSV
from ear.metrics.table import Job
from ear.metrics.table import metrics_table as make_metrics_table
from tests import comparison

CONCEPTS = ("church", "van-gogh", "fire")


def metrics_table(methods: tuple[str, ...] = ("original", "released", "ear")) -> pd.DataFrame:
    rng = np.random.default_rng(7)
    rows = []
    for concept in CONCEPTS:
        for method in methods:
            for prompt_set, metric in (("target", "concept_rate"), ("retention", "accuracy")):
                for seed in ("0",) if method == "original" else ("0", "1", "all"):
                    low, value, high = np.sort(rng.uniform(0.05, 0.95, 3))
                    rows.append((concept, method, seed, prompt_set, metric, value, low, high, 60))
    return METRICS_CSV.frame(rows)


def expected(table: pd.DataFrame, concept: str, method: str, metric: str) -> pd.Series:
    rows = table[(table.concept == concept) & (table.method == method) & (table.metric == metric)]
    return rows.iloc[-1]  # the row over all seeds is the last; the original has one row


def lines(figure: Figure, panel: int) -> dict[str, Line2D]:
    return {str(line.get_label()): line for line in figure.axes[panel].get_lines()}


def segments(figure: Figure, panel: int) -> set[tuple[float, ...]]:
    collections = [c for c in figure.axes[panel].collections if isinstance(c, LineCollection)]
    return {tuple(np.asarray(segment).ravel()) for c in collections for segment in c.get_segments()}


def test_concept_rate_shows_the_table() -> None:
    table = metrics_table()
    figure = concept_rate.draw(table)
    assert [ax.get_title() for ax in figure.axes] == ["Church", "Van Gogh", "Fire"]
    for panel, concept in enumerate(CONCEPTS):
        drawn = lines(figure, panel)
        for method in ("original", "released", "ear"):
            row = expected(table, concept, method, "concept_rate")
            np.testing.assert_array_equal(drawn[method].get_xdata(), [row.value])
            np.testing.assert_array_equal(drawn[f"{method} interval"].get_xdata(), [row.ci_low, row.ci_high])
            assert drawn[method].get_color() == style.METHODS[method].colour
    assert "lower is better" in figure.get_supxlabel()


def test_concept_rate_says_what_was_not_measured() -> None:
    table = metrics_table()
    lost = (table.concept == "fire") & (table.method == "ear")
    table.loc[lost, "value"] = np.nan
    figure = concept_rate.draw(table)
    assert "ear" not in lines(figure, 2)
    assert [text.get_text() for text in figure.axes[2].texts] == ["not measured"]


def test_tradeoff_shows_the_table() -> None:
    table = metrics_table()
    figure = tradeoff.draw(table)
    for panel, concept in enumerate(CONCEPTS):
        for method in ("original", "released", "ear"):
            x = expected(table, concept, method, "concept_rate")
            y = expected(table, concept, method, "accuracy")
            np.testing.assert_array_equal(lines(figure, panel)[method].get_xydata(), [[x.value, y.value]])
            assert (x.ci_low, y.value, x.ci_high, y.value) in segments(figure, panel)
            assert (x.value, y.ci_low, x.value, y.ci_high) in segments(figure, panel)


@pytest.fixture(scope="module")
def ten_methods() -> pd.DataFrame:
    return read_metrics(comparison.jobs(60, windows=(16,)))


def read_metrics(jobs: list[Job]) -> pd.DataFrame:
    table = make_metrics_table(jobs)
    return pd.read_csv(io.StringIO(table.to_csv(index=False)))


def seed_values(table: pd.DataFrame, concept: str, method: str, metric: str, prompt_set: str) -> list[float]:
    rows = table[(table.concept == concept) & (table.method == method) & (table.seed != "all")]
    return rows.loc[(rows.metric == metric) & (rows.prompt_set == prompt_set), "value"].tolist()


def test_single_seeds_are_drawn_beside_their_mean_as_they_are_in_the_table(ten_methods: pd.DataFrame) -> None:
    rates, corners = concept_rate.draw(ten_methods), tradeoff.draw(ten_methods)
    for panel, concept in enumerate(CONCEPTS):
        for method in comparison.METHODS:
            x = seed_values(ten_methods, concept, method, "concept_rate", "target")
            y = seed_values(ten_methods, concept, method, "accuracy", "retention")
            for figure, below in ((rates, panel), (corners, panel), (corners, panel + 3)):
                drawn = lines(figure, below)
                assert (f"{method} seeds" in drawn) == (len(x) > 1) == (method not in comparison.UNTRAINED)
            if len(x) > 1:
                assert list(lines(rates, panel)[f"{method} seeds"].get_xdata()) == x
                assert lines(rates, panel)[method].get_xdata() == pytest.approx([np.mean(x)])
                seeds = lines(corners, panel)[f"{method} seeds"].get_xydata()
                np.testing.assert_array_equal(seeds, np.column_stack([x, y]))


def test_tradeoff_enlarges_a_crowded_corner_and_nothing_else(ten_methods: pd.DataFrame) -> None:
    figure = tradeoff.draw(ten_methods)
    assert len(figure.axes) == 6 and len(figure.legends) == 1
    whole, part = figure.axes[0], figure.axes[3]
    np.testing.assert_array_equal(lines(figure, 0)["ear"].get_xydata(), lines(figure, 3)["ear"].get_xydata())
    (frame,) = (patch for patch in whole.patches if isinstance(patch, Rectangle))
    assert frame.get_bbox().intervalx == pytest.approx(part.get_xlim())
    assert frame.get_bbox().intervaly == pytest.approx(part.get_ylim())
    figure.canvas.draw()
    assert not any(line.get_clip_on() is False for line in part.get_lines())
    sparse = ten_methods[ten_methods.method.isin(["original", "paper", "ear"])]
    assert len(tradeoff.draw(sparse).axes) == 3


def test_ten_methods_stand_in_their_order(ten_methods: pd.DataFrame) -> None:
    rows = [label.get_text() for label in concept_rate.draw(ten_methods).axes[0].get_yticklabels()]
    legend = [text.get_text() for text in tradeoff.draw(ten_methods).legends[0].get_texts()]
    known = [look.label for method, look in style.METHODS.items() if method in comparison.METHODS]
    wanted = [*known, "EAR conditional"]
    assert rows == legend == wanted


def test_tradeoff_leaves_out_and_names_methods_without_retention() -> None:
    table = metrics_table()
    table = table[~((table.concept == "church") & (table.method == "ear") & (table.metric == "accuracy"))]
    figure = tradeoff.draw(table)
    assert "ear" not in lines(figure, 0) and "ear" in lines(figure, 1)
    assert "no retention: EAR" in [text.get_text() for text in figure.axes[0].texts]


def test_tradeoff_takes_no_other_accuracy_for_retention() -> None:
    rates = metrics_table().query("metric == 'concept_rate'")
    others = [rates.assign(prompt_set="neighbours", metric="accuracy")]
    others.append(rates.assign(prompt_set="general", metric="clip_score"))
    assert tradeoff.draw(pd.concat([rates, *others])).axes[0].get_ylabel().startswith("CLIP score")


@pytest.mark.parametrize(("gap", "legends"), [(0.6, 0), (0.004, 1)])
def test_tradeoff_names_points_directly_only_where_names_are_clear(gap: float, legends: int) -> None:
    rows = []
    for place, method in enumerate(("original", "ear")):
        for prompt_set, metric in (("target", "concept_rate"), ("retention", "accuracy")):
            value = 0.8 - gap * place
            rows.append(("church", method, 0, prompt_set, metric, value, value - 0.02, value + 0.02, 60))
    figure = tradeoff.draw(METRICS_CSV.frame(rows))
    names = {text.get_text() for text in figure.axes[0].texts} & {"Original", "EAR"}
    assert len(figure.legends) == legends
    assert names == (set() if legends else {"Original", "EAR"})


def test_window_length_shows_the_table_and_rings_the_own_window() -> None:
    rng = np.random.default_rng(3)
    rows = []
    for concept in CONCEPTS:
        for window in (64, 1, 16, 4):
            low, value, high = np.sort(rng.uniform(size=3))
            rows.append((concept, "ear", 0, window, "concept_rate", value, low, high, 60))
            rows.append((concept, "ear", 0, window, "accuracy", 0.5, 0.4, 0.6, 60))
    table = WINDOW_LENGTH_CSV.frame(rows)
    figure = window_length.draw(table, {"church": 16, "van-gogh": 4, "fire": 12})
    ax = figure.axes[0]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "4", "16", "64"]
    for concept in CONCEPTS:
        wanted = table[(table.concept == concept) & (table.metric == "concept_rate")].sort_values("window")
        np.testing.assert_array_equal(lines(figure, 0)[concept].get_xydata(), wanted[["window", "value"]])
        for row in wanted.itertuples():
            assert (row.window, row.ci_low, row.window, row.ci_high) in segments(figure, 0)
    own = table[(table.concept == "church") & (table.metric == "concept_rate") & (table.window == 16)]
    np.testing.assert_array_equal(lines(figure, 0)["church own"].get_xydata(), own[["window", "value"]])
    assert not np.size(lines(figure, 0)["fire own"].get_xdata())  # W = 12 was not measured


def training_table() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    parts = []
    for method, window, threshold in (("ear", 16, 1.0), ("wga", 16, np.nan), ("single-step", 1, np.nan)):
        loss = rng.lognormal(size=120)
        part = pd.DataFrame({"method": method, "window_length": window, "step": range(120), "loss": loss})
        skipped = loss <= threshold
        parts.append(part.assign(threshold=threshold, skipped=skipped, kept=1.0 - skipped))
    return pd.concat(parts, ignore_index=True)


def test_training_curves_show_losses_skipped_windows_and_median() -> None:
    table = training_table()
    figure = training.draw(table)
    for panel, method in enumerate(("single-step", "wga", "ear")):
        curve, drawn = table[table.method == method], lines(figure, panel)
        np.testing.assert_array_equal(drawn["loss"].get_xydata(), curve[["step", "loss"]])
        np.testing.assert_array_equal(drawn["skipped"].get_xdata(), curve.loc[curve.skipped, "step"])
        middle = np.median(curve.loss.to_numpy()[60 - 5 : 60 + 5])  # ten windows, a twelfth
        assert np.asarray(drawn["median"].get_ydata())[60] == pytest.approx(middle)
        assert figure.axes[panel].get_yscale() == "log"
        assert ("threshold" in drawn) == (method == "ear")
    skipped = table[table.method == "ear"].skipped.mean()
    assert f"{skipped:.0%} skipped" in figure.axes[2].texts[0].get_text()


@pytest.mark.parametrize("objective", get_args(Objective))
def test_training_curves_name_every_objective(objective: str) -> None:
    heading = training.draw(training_table(), {"ear": objective}).axes[2].texts[0].get_text()
    assert heading.startswith(f"{training.LOSSES[objective]}, W = 16")


def test_training_curves_of_other_objectives_and_thresholds() -> None:
    objectives = dict.fromkeys(comparison.METHODS, "mse") | {"gradient-ascent": "ascent", "obliviate": "kl"}
    figure = training.draw(comparison.training(), objectives)
    panels = {ax.get_title(): ax for ax in figure.axes if ax.get_title()}
    labels = [style.method_style(method).label for method in comparison.METHODS]
    assert list(panels) == [label for label in labels if label not in ("Original", "Negative prompt")]
    scales = {label: ax.get_yscale() for label, ax in panels.items()}
    assert {label for label, scale in scales.items() if scale == "linear"} == {"Gradient ascent"}
    assert panels["Obliviate (KL)"].texts[0].get_text() == "KL divergence, W = 64"
    assert "of tokens kept" in panels["EAR conditional"].texts[0].get_text()
    with_line = [
        label for label, ax in panels.items() if "threshold" in [line.get_label() for line in ax.get_lines()]
    ]
    assert with_line == ["Released", "Paper", "EAR"]  # a threshold on tokens is no height of windows


def test_training_curves_want_one_window_length_a_method() -> None:
    table = training_table()
    table.loc[table.step < 9, "window_length"] = 4
    with pytest.raises(InputError, match=r"single-step: found window lengths 4, 1, wanted one"):
        training.draw(table)


def test_several_seeds_without_a_row_over_all_are_an_error() -> None:
    table = metrics_table()
    table = table[~((table.concept == "fire") & (table.method == "ear") & (table.seed == "all"))]
    with pytest.raises(InputError, match=r"metrics\.csv: fire/ear: found several rows"):
        concept_rate.draw(table)


def test_missing_rows_are_errors() -> None:
    table = metrics_table()
    with pytest.raises(InputError, match="metric = clip_score"):
        tradeoff.draw(table[table.metric == "concept_rate"])


def test_saved_figures_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        style.save(concept_rate.draw(metrics_table()), tmp_path / f"{name}.png", tmp_path / f"{name}.pdf")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()
    assert b"CreationDate" not in (tmp_path / "a.pdf").read_bytes()
    with Image.open(tmp_path / "a.png") as image:
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


# The original misses the concept in target prompt 0; the erased model shows it at W = 4 and not at W = 16.
def write_images(folder: Path, methods: tuple[str, ...] = ("original", "ear")) -> list[ImageSource]:
    sources = []
    for number, method in enumerate(methods):
        manifest, verdicts = [], []
        for prompt_set in ("target", "retention"):
            for place in range(3):
                prompt_id = f"church/{prompt_set}/{place}"
                for window in ("",) if method == "original" else (4, 16):
                    file = f"{prompt_set}{place}-{window}.png"
                    (folder / method).mkdir(parents=True, exist_ok=True)
                    Image.new("RGB", (64, 64), (40 * place, 90, 60 * number)).save(folder / method / file)
                    named = "church" if prompt_set == "target" else "boat"
                    manifest.append(
                        (prompt_id, prompt_set, f"a {named} {place}", named, window, 5, file, "0")
                    )
                    shown = prompt_set == "target" and place > 0 and (method == "original" or window == 4)
                    seen = "house" if place == 2 and method != "original" else named
                    verdicts.append((prompt_id, window, shown, seen))
        columns = ["prompt_id", "prompt_set", "prompt", "object", "window", "seed", "file", "sha256"]
        pd.DataFrame(manifest, columns=columns).to_csv(folder / method / "manifest.csv", index=False)
        columns = ["prompt_id", "window", "shown", "top1_object"]
        pd.DataFrame(verdicts, columns=columns).to_csv(folder / method / "verdicts.csv", index=False)
        files = [folder / method / name for name in ("manifest.csv", "verdicts.csv")]
        sources.append(ImageSource(method, files[:1], files[1], None if method == "original" else 16))
    return sources


def frames(figure: Figure) -> dict[str, str]:
    return {
        str(ax.get_label()): str(patch.get_label())
        for ax in figure.axes
        for patch in ax.patches
        if "|" in str(ax.get_label()) and isinstance(patch, Rectangle)
    }


def test_image_table_joins_verdicts_of_the_wanted_window(tmp_path: Path) -> None:
    table = image_table(write_images(tmp_path)[::-1])
    assert list(table.columns) == list(IMAGE_COLUMNS)
    assert list(table.method) == ["original"] * 6 + ["ear"] * 6
    assert not table.loc[table.method == "ear", "shown"].any()  # W = 4 shows the concept, W = 16 does not
    assert all(path.endswith("-16.png") for path in table.loc[table.method == "ear", "path"])


def test_image_table_names_the_image_without_a_verdict(tmp_path: Path) -> None:
    sources = write_images(tmp_path)
    verdicts = pd.read_csv(sources[0].verdicts)
    verdicts.iloc[:-1].to_csv(sources[0].verdicts, index=False)
    with pytest.raises(InputError, match="found no verdict on church/retention/2"):
        image_table(sources)


def test_prompts_are_chosen_by_the_original_alone(tmp_path: Path) -> None:
    table = image_table(write_images(tmp_path))
    assert choose_prompts(table, "target", 2) == ["church/target/1", "church/target/2"]
    assert choose_prompts(table, "target", 3)[2] == "church/target/0", "others only fill the number"
    assert choose_prompts(table, "retention", 2) == ["church/retention/0", "church/retention/1"]


def test_samples_frame_each_image_by_its_verdict(tmp_path: Path) -> None:
    figure = samples.draw(image_table(write_images(tmp_path)), "church", target_prompts=2, kept_prompts=3)
    assert frames(figure) == {
        "original|church/target/1": "shown",
        "original|church/target/2": "shown",
        "ear|church/target/1": "none",
        "ear|church/target/2": "none",  # a house where a church was asked: that is erasure, not a fault
        "original|church/retention/0": "none",
        "original|church/retention/1": "none",
        "original|church/retention/2": "none",
        "ear|church/retention/0": "none",
        "ear|church/retention/1": "none",
        "ear|church/retention/2": "wrong",
    }


def test_text_of_the_grids_stays_inside(tmp_path: Path) -> None:
    table = image_table(write_images(tmp_path))
    table["prompt"] = (
        "a landscape with a yellow lighthouse on fire by the sea at sunset, in the style of Van Gogh"
    )
    for figure in (samples.draw(table, "church"), overview.draw({"church": table}, "ear", 2)):
        figure.canvas.draw()
        width, height = figure.bbox.size
        for text in figure.texts:
            box = text.get_window_extent()
            assert min(box.x0, box.y0, width - box.x1, height - box.y1) >= 0, text.get_text()


def test_many_methods_share_the_width_of_a_page(tmp_path: Path) -> None:
    table = image_table(write_images(tmp_path, tuple(comparison.METHODS)))
    figure = samples.draw(table, "church")
    assert figure.get_figwidth() <= samples.MAX_WIDTH + 1e-9
    figure.canvas.draw()
    heads = [
        text
        for text in figure.texts
        if text.get_text().replace("\n", " ")
        in {style.method_style(method).label for method in comparison.METHODS}
    ]
    boxes = sorted((text.get_window_extent() for text in heads), key=lambda box: box.x0)
    assert len(boxes) == 10 and boxes[-1].x1 <= figure.bbox.x1
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_overview_shows_original_and_method_of_every_concept(tmp_path: Path) -> None:
    table = image_table(write_images(tmp_path))
    figure = overview.draw({"church": table, "fire": table}, "ear", target_prompts=2, kept_prompts=1)
    assert len([ax for ax in figure.axes if ax.images]) == 2 * 2 * 3
    with pytest.raises(InputError, match="target: found 3 prompts, wanted 4"):
        overview.draw({"church": table}, "ear", target_prompts=4)


@given(st.lists(st.text("abcdefgh", min_size=1, max_size=12), max_size=30), st.integers(1, 4))
def test_wrapped_prompts_lose_words_only_with_an_ellipsis(words: list[str], lines: int) -> None:
    wrapped = wrap(" ".join(words), 2.0, lines)
    assert wrapped.count("\n") < lines
    assert all(len(line) <= 2.0 * PROMPT_WIDTH_PER_INCH for line in wrapped.split("\n"))
    assert wrapped.split() == words or wrapped.endswith("…")
