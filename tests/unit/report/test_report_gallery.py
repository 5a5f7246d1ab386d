"""What the gallery of the report is made of: its cases, its sheets, and the files beside the page."""

import base64
import io
import json
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ear.report.figures.images import ImageSource, image_sources
from ear.report.gallery import SHEET_COLUMNS, Gallery, make_gallery, script_json
from tests.report_inputs import PROMPTS, RUNS, SIDE, colour

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@pytest.fixture(scope="module")
def gallery(inputs: dict[str, Any]) -> Gallery:
    return make_gallery(inputs["galleries"])


def runs_of(gallery: Gallery, concept: str) -> dict[tuple[str, int], dict[str, Any]]:
    found = next(one for one in gallery.cases["concepts"] if one["name"] == concept)
    return {(run["method"], run["seed"]): run for run in found["runs"]}


def tile(text: str, number: int) -> np.ndarray:
    """Pixels (64, 64, 3) of one picture of a sheet."""
    with Image.open(io.BytesIO(base64.b64decode(text))) as image:
        whole = np.asarray(image.convert("RGB"))
    row, column = divmod(number, SHEET_COLUMNS)
    return whole[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE]


def read_side_file(text: str) -> dict[str, str]:
    assert text.startswith("earSheets(") and text.endswith(");\n")
    found: dict[str, str] = json.loads(text[len("earSheets(") : -len(");\n")])
    return found


@settings(max_examples=30)
@given(VALUES)
def test_no_text_can_leave_the_script_that_holds_it(value: Any) -> None:
    text = script_json(value)
    assert json.loads(text) == value
    assert text.isascii() and not set(text) & set("<>&") and "\n" not in text


def test_all_seeds_and_sets_are_there_in_order(gallery: Gallery) -> None:
    for concept in ("church", "fire"):
        assert list(runs_of(gallery, concept)) == list(RUNS)
    church = gallery.cases["concepts"][0]
    assert list(church["sets"]) == ["target", "retention", "ceiling-16", "prefix-4", "prefix-16"]
    assert {len(one["ids"]) for one in church["sets"].values()} == {PROMPTS}
    runs = runs_of(gallery, "church")
    assert [run for run, one in runs.items() if "ceiling-16" in one["sets"]] == [("original", 0)]


def test_verdicts_are_those_of_the_first_sample(gallery: Gallery) -> None:
    runs = runs_of(gallery, "church")
    failed = {"target": "kskk", "retention": "kwkk", "prefix-4": "kkkk"}
    for (method, seed), run in runs.items():
        for prompt_set, of_ear in failed.items():
            original = "ssss" if prompt_set != "retention" else "kkkk"
            wanted = {"original": original, "wga": "kkkk", "ear": of_ear}[method]
            assert run["sets"][prompt_set]["verdicts"] == wanted, (method, seed, prompt_set)
    assert runs["ear", 1]["sets"]["target"]["scores"] == [0.121, 0.901, 0.101, 0.111]


def test_tiles_show_the_right_pictures(gallery: Gallery) -> None:
    for method, seed in RUNS:
        for prompt_set in ("target", "prefix-16"):
            for number in range(PROMPTS):
                found = tile(gallery.sheets[f"church-{method}-{seed}/{prompt_set}"], number)
                wanted = colour("church", method, seed, prompt_set, number)
                assert np.abs(found[32, 12].astype(int) - wanted).max() < 25
                assert found[32, 32].min() > 230


def test_sensitive_pictures_are_unblurred_in_their_own_files_only(gallery: Gallery) -> None:
    assert set(gallery.files) == {f"sensitive-fire-{method}-{seed}.js" for method, seed in RUNS}
    runs = runs_of(gallery, "fire")
    for method, seed in RUNS:
        name = f"fire-{method}-{seed}"
        blurred = {"target", "prefix-4", "prefix-16"} | ({"ceiling-16"} if method == "original" else set())
        assert {key for key, one in runs[method, seed]["sets"].items() if one["blurred"]} == blurred
        plain = read_side_file(gallery.files[f"sensitive-{name}.js"])
        assert set(plain) == {f"{name}/{prompt_set}/unblurred" for prompt_set in blurred}
        for prompt_set in blurred:

            def edge(text: str) -> int:  # the steepest step across the white bar, left of it
                row = tile(text, 0)[32, :, 0].astype(int)
                return max(abs(b - a) for a, b in pairwise(row[20:32]))

            dark = plain[f"{name}/{prompt_set}/unblurred"]
            assert edge(gallery.sheets[f"{name}/{prompt_set}"]) < edge(dark) / 2
    assert not any("sensitive" in run for run in runs_of(gallery, "church").values())


def test_fewer_prompts_are_shown_where_the_page_would_be_too_large(inputs: dict[str, Any]) -> None:
    sources = {"church": inputs["galleries"]["church"][:1]}
    sheets = 4 + 1
    for pixels, prompts in ((sheets * 3 * SIDE**2, 3), (sheets * 3 * SIDE**2 - 1, 2), (0, 1)):
        (concept,) = make_gallery(sources, pixels).cases["concepts"]
        assert {len(one["ids"]) for one in concept["sets"].values()} == {prompts}
        assert {one["total"] for one in concept["sets"].values()} == {PROMPTS}


def test_files_of_runs_are_told_apart() -> None:
    runs = [
        ("a", "original", 0, None, False),
        ("a", "ear", 1, 4, False),
        ("b", "ear", 7, 8, True),
    ]
    names = ["-".join(map(str, run[:3])) for run in runs]
    manifests = [f"{name}/{shard}" for name in names for shard in range(2)]
    found = image_sources(runs, SimpleNamespace(manifests=manifests, verdicts=names))
    assert list(found) == ["a", "b"] and [one.method for one in found["a"]] == ["original", "ear"]
    files = (Path("b-ear-7/0"), Path("b-ear-7/1")), Path("b-ear-7")
    assert found["b"] == [ImageSource("b", "ear", 7, 8, True, *files)]
