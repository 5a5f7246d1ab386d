"""The report page: self-contained, true to its tables, safe with hostile text, and alive in a browser."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ear.errors import InputError
from ear.figures.images import ImageSource
from ear.figures.rows import METRICS_COLUMNS, WINDOW_COLUMNS
from ear.metrics.table import metrics_table
from ear.report.numbers import main_table
from ear.report.page import ReportFigure, render_caption, render_report
from ear.report.published import DEVIATION_COLUMNS
from tests import comparison

CAPTIONS = Path(__file__).parents[2] / "report"
HOSTILE = "<img src=x onerror=alert(1)> a \"church\" & 'boat' </script>"
METHODS = ("original", "wga", "ear")


class Page(HTMLParser):
    """What the tests ask about a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.values: dict[tuple[str, str], list[float | None]] = {}
        self.text = ""
        self._row = ("", "")
        self._table = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        if tag == "table":
            self._table = found.get("id") or ""
        if tag == "tr" and self._table == "metrics" and "data-concept" in found:
            self._row = (str(found["data-concept"]), str(found["data-method"]))
            self.values[self._row] = []
        if tag == "td" and self._table == "metrics":
            value = found.get("data-value")
            self.values[self._row].append(None if value is None else float(value))

    def handle_data(self, data: str) -> None:
        self.text += data

    def having(self, tag: str) -> list[dict[str, str | None]]:
        return [found for name, found in self.tags if name == tag]


def write_inputs(folder: Path) -> dict[str, object]:
    rng = np.random.default_rng(0)
    rows = []
    for concept in ("church", "fire"):
        for method in METHODS:
            for prompt_set, metric in (
                ("target", "concept_rate"),
                ("retention", "accuracy"),
                ("general", "kid"),
            ):
                if (concept, method, metric) != ("fire", "wga", "accuracy"):
                    low, value, high = np.sort(rng.uniform(size=3))
                    rows.append((concept, method, 0, prompt_set, metric, value, low, high, 40))
    pd.DataFrame(rows, columns=list(METRICS_COLUMNS)).to_csv(folder / "metrics.csv", index=False)
    windows = [("church", "ear", 0, w, "concept_rate", 1 / w, 0.0, 1.0, 40) for w in (1, 4, 16)]
    pd.DataFrame(windows, columns=list(WINDOW_COLUMNS)).to_csv(folder / "window-length.csv", index=False)
    galleries = {
        concept: [write_images(folder, concept, method) for method in METHODS]
        for concept in ("church", "fire")
    }
    figures = []
    for name in ("concept-rate", "tradeoff"):
        Image.new("RGB", (600, 300), "white").save(folder / f"{name}.png")
        figures.append(ReportFigure(folder / f"{name}.png", f"Figure {name}", CAPTIONS / f"{name}.rst"))
    deviations = [
        ("nudity", "nudity", "original", "ANUS_EXPOSED", 1, 0.0, 7.5, 2.0, 12.25, 1539, "outside", HOSTILE),
        ("claims", "church", "ear", "bleu_drop", 1.2, np.nan, 0.4, 0.1, 0.7, 500, "inside", ""),
    ]
    pd.DataFrame(deviations, columns=list(DEVIATION_COLUMNS)).to_csv(folder / "deviations.csv", index=False)
    return {
        "title": f"Run {HOSTILE}",
        "deviations": folder / "deviations.csv",
        "warning": f"Stand-ins {HOSTILE}",
        "metrics": folder / "metrics.csv",
        "window_length": folder / "window-length.csv",
        "figures": figures,
        "galleries": galleries,
        "provenance": {"Run": {"seed": 42, "note": HOSTILE}, "Config": f"title: {HOSTILE}\nseed: 42\n"},
        "gallery_prompts": 2,
    }


def write_images(folder: Path, concept: str, method: str) -> ImageSource:
    place = folder / concept / method
    place.mkdir(parents=True)
    manifest, verdicts = [], []
    for prompt_set in ("target", "retention"):
        for number in range(3):
            prompt_id = f"{concept}/{prompt_set}/{number}"
            Image.new("RGB", (64, 64), (60 * number, 120, 80)).save(place / f"{prompt_set}{number}.png")
            prompt = HOSTILE if number == 0 else f"a boat {number}"
            manifest.append((prompt_id, prompt_set, prompt, "boat", "", number, f"{prompt_set}{number}.png"))
            # EAR fails on target prompt 1 and draws a tree for retention prompt 1.
            shown = prompt_set == "target" and (method == "original" or (method == "ear" and number == 1))
            seen = "tree" if (method, prompt_set, number) == ("ear", "retention", 1) else "boat"
            verdicts.append((prompt_id, shown, seen))
    columns = ["prompt_id", "prompt_set", "prompt", "object", "window", "seed", "file"]
    pd.DataFrame(manifest, columns=columns).to_csv(place / "manifest.csv", index=False)
    pd.DataFrame(verdicts, columns=["prompt_id", "shown", "top1_object"]).to_csv(
        place / "verdicts.csv", index=False
    )
    return ImageSource(method, [place / "manifest.csv"], place / "verdicts.csv")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    render_report(output=folder / "report.html", **write_inputs(folder))  # type: ignore[arg-type]
    return folder / "report.html"


@pytest.fixture(scope="module")
def page(report: Path) -> Page:
    return Page(report.read_text(encoding="utf-8"))


def test_nothing_is_asked_of_the_network(page: Page, report: Path) -> None:
    for _, found in page.tags:
        assert (found.get("src") or "data:image/").startswith("data:image/")
        assert (found.get("href") or "#").startswith("#")
    assert not {tag for tag, _ in page.tags} & {"link", "iframe", "object", "embed", "base"}
    text = report.read_text(encoding="utf-8")
    assert "url(" not in text and "@import" not in text and "http" not in text.replace("http-equiv", "")
    assert any("default-src 'none'" in (meta.get("content") or "") for meta in page.having("meta"))


def test_numbers_equal_the_table(page: Page, report: Path) -> None:
    table = pd.read_csv(report.parent / "metrics.csv")
    order = ("concept_rate", "accuracy", "kid")
    assert set(page.values) == {(concept, method) for concept in ("church", "fire") for method in METHODS}
    for (concept, method), values in page.values.items():
        rows = table[(table.concept == concept) & (table.method == method)].set_index("metric")["value"]
        assert values == [rows.get(metric) for metric in order]


def test_summary_holds_the_numbers_of_the_table(page: Page, report: Path) -> None:
    table = pd.read_csv(report.parent / "metrics.csv")
    said = page.text.replace("\u00a0", " ").split("Results")[0]
    summarised = table[
        table.metric.isin(["concept_rate", "accuracy"]) & table.method.isin(["original", "ear"])
    ]
    assert len(summarised) == 2 * 2 * 2
    for row in summarised.itertuples():
        assert f"{100 * row.value:.1f} % [{100 * row.ci_low:.1f}, {100 * row.ci_high:.1f}]" in said


def test_lines_name_their_number_of_seeds() -> None:
    _, lines = main_table(metrics_table(comparison.jobs(20, windows=(16,))))
    assert len(lines) == 3 * len(comparison.METHODS)
    assert {line.method for line in lines if line.seeds == 1} == set(comparison.UNTRAINED)
    assert {line.seeds for line in lines} == {1, 3}


def test_all_figures_are_there_with_captions(page: Page) -> None:
    charts = [img for img in page.having("img") if (img.get("alt") or "").startswith("Figure ")]
    assert len(charts) == 2 and all(
        (img.get("src") or "").startswith("data:image/webp;base64,") for img in charts
    )
    assert "upper left corner" in page.text


def test_gallery_has_the_first_prompts_and_marks_failures(page: Page) -> None:
    articles = [found for found in page.having("article") if "comparison" in (found.get("class") or "")]
    assert len(articles) == 2 * 2 * 2
    pictures = [found for found in page.having("figure") if "data-method" in found]
    assert len(pictures) == len(articles) * len(METHODS)
    failures = [(found["data-method"], found["class"]) for found in pictures if "data-failure" in found]
    assert failures == [("ear", "shown"), ("ear", "wrong")] * 2
    assert "tree, not as asked" in page.text


def test_published_values_stand_beside_ours_with_their_verdict(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    table = text[text.index('<details id="deviations">') :].split("</details>")[0]
    assert "1 inside of our interval, 1 outside, 0 not compared" in table
    outside, inside = re.findall(r'<tr data-verdict="(?:inside|outside)">.*?</tr>', table, re.DOTALL)
    for number in ("<td>1</td>", "<td>7.5<small>[2, 12.2]</small></td>"):
        assert number in outside
    for number in ("<td>&lt; 1.2</td>", "<td>0.4<small>[0.1, 0.7]</small></td>"):
        assert number in inside


def test_a_warning_comes_first(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    assert text.index("</h1>") < text.index("Stand-ins") < text.index('id="summary"')


def test_hostile_text_stays_text(page: Page) -> None:
    assert not [found for _, found in page.tags if any(name.startswith("on") for name in found)]
    assert [found for found in page.having("img") if found.get("src") == "x"] == []
    assert len(page.having("script")) == 1
    assert page.text.count(HOSTILE) >= 1 + 1 + 2 * 2 + 2  # title (twice), prompts, provenance


def test_the_same_input_gives_the_same_bytes(report: Path, tmp_path: Path) -> None:
    render_report(output=tmp_path / "report.html", **write_inputs(tmp_path))  # type: ignore[arg-type]
    assert (tmp_path / "report.html").read_bytes() == report.read_bytes()


@pytest.mark.parametrize("caption", sorted(CAPTIONS.glob("*.rst")), ids=lambda path: path.stem)
def test_captions_are_sound(caption: Path) -> None:
    html = render_caption(caption, {"concept": "church"})
    assert html.startswith("<p>") and "system-message" not in html and "{{" not in html


def test_missing_files_get_one_line(tmp_path: Path) -> None:
    inputs = write_inputs(tmp_path)
    (tmp_path / "church" / "ear" / "target1.png").unlink()
    with pytest.raises(InputError, match=r"target1\.png: found no readable image"):
        render_report(output=tmp_path / "report.html", **inputs)  # type: ignore[arg-type]
    assert not (tmp_path / "report.html").exists()


@pytest.mark.chromium
@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not on PATH")
def test_gallery_script_filters_and_sorts_in_a_browser(report: Path, tmp_path: Path) -> None:
    address = f"{report.as_uri()}#concept=fire&method=ear&set=target&failures=1"
    command = [
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path}",
        "--dump-dom",
    ]
    browser = subprocess.run([*command, address], capture_output=True, text=True, timeout=120, check=True)
    page = Page(browser.stdout)
    assert page.having("html")[0].get("data-gallery") == "ready"
    groups = {found["data-concept"]: found for found in page.having("details") if "data-concept" in found}
    assert "hidden" in groups["church"] and "hidden" not in groups["fire"] and "open" in groups["fire"]
    fire = page.having("article")[-4:]
    assert [found["data-failures"] for found in fire] == ["1", "1", "0", "0"]
    assert ["hidden" in found for found in fire] == [found["data-set"] != "target" for found in fire]
    pictures = [found for found in page.having("figure") if "data-method" in found]
    assert {found["data-method"] for found in pictures if "hidden" in found} == {"wga"}
    assert "2 prompts" in page.text
