"""Which images the grids and the gallery show, framed by which verdict, blurred or not."""

import itertools
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from ear.errors import InputError
from ear.report import style
from ear.report.figures.grids import LETTERS_PER_INCH, MAX_WIDTH, draw_overview, draw_samples, wrap
from ear.report.figures.images import ImageSource, choose_prompts, image_table, kept_set, wrong_object
from ear.report.figures.visual_filter import BINS, borderline, filter_scores
from ear.report.gallery import make_gallery
from ear.workflow.files import write_csv
from tests import comparison

COLUMNS = ["prompt_id", "prompt_set", "prompt", "object", "window", "seed", "file"]


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
                    manifest.append((prompt_id, prompt_set, f"a {named} {place}", named, window, 5, file))
                    shown = prompt_set == "target" and place > 0 and (method == "original" or window == 4)
                    seen = "house" if place == 2 and method != "original" else named
                    verdicts.append((prompt_id, window, shown, seen))
        files = [folder / method / name for name in ("manifest.csv", "verdicts.csv")]
        pd.DataFrame(manifest, columns=COLUMNS).to_csv(files[0], index=False)
        columns = ["prompt_id", "window", "shown", "top1_object"]
        pd.DataFrame(verdicts, columns=columns).assign(score=0.5).to_csv(files[1], index=False)
        window = None if method == "original" else 16
        sources.append(ImageSource("church", method, 0, window, False, (files[0],), files[1]))
    return sources


def frames(figure: Figure) -> dict[str, str]:
    labels = [str(ax.get_label()).rpartition("|") for ax in figure.axes]
    return {name: verdict for name, _, verdict in labels}


def test_image_table_joins_verdicts_of_the_wanted_window(tmp_path: Path) -> None:
    sources = write_images(tmp_path)
    table = image_table(sources[::-1])
    assert list(table.method) == ["original"] * 6 + ["ear"] * 6
    assert not table.loc[table.method == "ear", "shown"].any()  # W = 4 shows the concept, W = 16 does not
    assert all(path.endswith("-16.png") for path in table.loc[table.method == "ear", "path"])
    verdicts = pd.read_csv(sources[0].verdicts)
    pd.concat([verdicts, verdicts.tail(1)]).to_csv(sources[0].verdicts, index=False)
    with pytest.raises(InputError, match="found several rows for one prompt_id/window"):
        image_table(sources)
    verdicts.iloc[:-1].to_csv(sources[0].verdicts, index=False)
    with pytest.raises(InputError, match="found no verdict on church/retention/2"):
        image_table(sources)


def test_prompts_are_chosen_by_the_original_alone(tmp_path: Path) -> None:
    table = image_table(write_images(tmp_path))
    assert choose_prompts(table, "target", 2) == ["church/target/1", "church/target/2"]
    assert choose_prompts(table, "target", 3)[2] == "church/target/0", "others only fill the number"
    assert choose_prompts(table, "retention", 2) == ["church/retention/0", "church/retention/1"]
    assert kept_set(table) == "retention" and kept_set(table.head(3)) == "general"


def test_samples_frame_each_image_by_its_verdict(tmp_path: Path) -> None:
    figure = draw_samples(image_table(write_images(tmp_path)), "church", 2, {})
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


def test_overview_shows_original_and_method_of_every_concept(tmp_path: Path) -> None:
    table = image_table(write_images(tmp_path))
    without = table.replace(
        {"prompt_set": {"retention": "general"}}
    )  # as nudity, whose judge knows no objects
    figure = draw_overview({"church": table, "fire": without}, "ear", target_prompts=2)
    assert len([ax for ax in figure.axes if ax.images]) == 2 * 2 * 3


def test_text_of_the_grids_stays_inside_and_methods_share_the_width_of_a_page(tmp_path: Path) -> None:
    table = image_table(write_images(tmp_path, tuple(comparison.METHODS)))
    table["prompt"] = (
        "a landscape with a yellow lighthouse on fire by the sea at sunset, in the style of Van Gogh"
    )
    told = dict.fromkeys(comparison.METHODS, "caution: " + "the judge has not seen such images " * 4)
    for figure in (draw_samples(table, "church", 4, told), draw_overview({"church": table}, "ear", 2)):
        assert figure.get_figwidth() <= MAX_WIDTH + 1e-9
        figure.draw_without_rendering()
        width, height = figure.bbox.size
        for text in figure.texts:
            box = text.get_window_extent()
            assert min(box.x0, box.y0, width - box.x1, height - box.y1) >= 0, text.get_text()
        labels = {look.label for look in style.looks_of(comparison.METHODS).values()}
        heads = [text for text in figure.texts if text.get_text().replace("\n", " ") in labels]
        boxes = sorted((text.get_window_extent() for text in heads), key=lambda box: box.x0)
        assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


@settings(max_examples=30)
@given(st.lists(st.text("abcdefgh", min_size=1, max_size=12), max_size=30), st.integers(1, 4))
def test_wrapped_prompts_lose_words_only_with_an_ellipsis(words: list[str], lines: int) -> None:
    wrapped = wrap(" ".join(words), 2.0, lines)
    assert wrapped.count("\n") < lines
    assert all(len(line) <= 2.0 * LETTERS_PER_INCH for line in wrapped.split("\n"))
    assert wrapped.split() == words or wrapped.endswith("…")


def test_what_asks_for_an_unsafe_concept_is_blurred_and_general_images_stand_without_a_verdict(
    tmp_path: Path,
) -> None:
    rows = [(f"{name}/0", name, "a prompt", "boat", 0, 5, f"{name}.png") for name in ("target", "general")]
    for row in rows:
        Image.new("RGB", (64, 64), "red").save(tmp_path / row[-1])
    files = [tmp_path / "manifest.csv", tmp_path / "verdicts.csv"]
    pd.DataFrame(rows, columns=COLUMNS).to_csv(files[0], index=False)
    said = pd.DataFrame({"prompt_id": ["target/0", "general/0"], "shown": [True, None], "window": 0})
    said.assign(top1_object=None, score=None).to_csv(files[1], index=False)
    for unsafe in (True, False):
        source = ImageSource("church", "original", 0, None, unsafe, (files[0],), files[1])
        images = image_table([source]).set_index("prompt_set")
        assert images["blurred"].to_dict() == {"target": unsafe, "general": False}
        assert images["shown"].to_dict() == {"target": True, "general": False}
        assert not wrong_object(images.reset_index()).any()
    (run,) = make_gallery({"church": [source]}).cases["concepts"][0]["runs"]
    assert {name: one["verdicts"] for name, one in run["sets"].items()} == {"target": "s", "general": "u"}


def test_borderline_pairs_are_the_nearest_to_the_threshold(tmp_path: Path) -> None:
    rows, scores = [], {"unsafe": [0.9, 0.52, 0.99, 0.4, 1.0], "safe": [0.1, 0.2, 0.49, 0.0, 0.0]}
    checks = 255 * (np.indices((16, 16)).sum(axis=0) % 2)
    for side, of_side in scores.items():
        for number, score in enumerate(of_side):
            name = f"{side}{number}.png"
            Image.fromarray(checks.astype(np.uint8)).convert("RGB").save(tmp_path / name)
            rows.append((f"church/pair/{number}/{side}", side, f"{side} prompt {number}", name, score))
    images = pd.DataFrame(rows, columns=["prompt_id", "prompt_set", "prompt", "file", "score"])
    files = SimpleNamespace(manifest=tmp_path / "manifest.csv", verdicts=tmp_path / "verdicts.csv")
    write_csv(files.manifest, images.drop(columns="score"))
    table = images[["prompt_id", "score"]].assign(shown=images["score"] >= 0.5, threshold=0.5)
    write_csv(files.verdicts, table)
    shown = borderline(files, SimpleNamespace(concept="church", blurred=False))
    nearest = [f"church/pair/{number}" for number in (2, 1, 3, 0, 4)]
    verdicts = iter(["shown", "none", "shown", "none", "none", "none", "shown", "none", "shown", "none"])
    wanted = {f"{side}|{pair}": next(verdicts) for pair in nearest for side in ("unsafe", "safe")}
    assert list(frames(shown).items()) == list(wanted.items())
    written = {text.get_text() for text in shown.texts}
    assert {"0.990", "0.490", "+ unsafe prompt 2\n− safe prompt 2", "Church, threshold 0.500"} <= written
    write_csv(files.verdicts, table.assign(threshold=np.nan))  # one half stands for the threshold
    blurred = borderline(files, SimpleNamespace(concept="church", blurred=True))
    assert list(frames(blurred)) == list(wanted)
    pixels = [np.asarray(one.axes[0].images[0].get_array()) for one in (shown, blurred)]
    assert pixels[0].std() > 3 * pixels[1].std() > 0
    write_csv(files.verdicts, table.iloc[:-1])
    with pytest.raises(InputError, match="found no verdict on church/pair/4/safe"):
        borderline(files, SimpleNamespace(concept="church", blurred=False))


def test_histograms_hold_every_image_once_and_show_the_threshold(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = pd.DataFrame({"prompt_set": ["unsafe"] * 40 + ["safe"] * 30, "score": rng.random(70)})
    images["threshold"] = 0.5
    second = images.assign(second_score=rng.random(70), second_threshold=np.nan)
    tables = {"church": images, "windmill": second}
    files = SimpleNamespace(verdicts=[tmp_path / name for name in tables])
    for path, table in zip(files.verdicts, tables.values(), strict=True):
        write_csv(path, table)
    figure = filter_scores(files, SimpleNamespace(concepts=list(tables)))
    titles = ["Church", "Windmill", "Windmill, second judge"]
    assert [ax.get_title() for ax in figure.axes] == titles  # none of the church: it has no second judge
    columns = [(images, "score"), (second, "score"), (second, "second_score")]
    for ax, (table, column) in zip(figure.axes, columns, strict=True):
        for patch, side in zip(ax.patches, ("unsafe", "safe"), strict=True):
            # Its outline goes from bin to bin along the top, then back along the bottom.
            tops = np.asarray(patch.get_xy())[1 : 2 * (len(BINS) - 1) : 2, 1]  # type: ignore[attr-defined]
            scores = table.loc[table["prompt_set"] == side, column].clip(BINS[0], BINS[-1])
            wanted, _ = np.histogram(scores, BINS)
            np.testing.assert_array_equal(tops, wanted)
        found = [line.get_xdata()[0] for line in ax.get_lines() if line.get_label() == "threshold"]
        assert found == ([0.5] if column == "score" else [])
    figure.draw_without_rendering()
    legend = figure.legends[0].get_window_extent()
    assert legend.x0 >= 0 and legend.x1 <= figure.bbox.x1
