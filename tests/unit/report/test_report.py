"""The report page: self-contained, true to its tables, safe with hostile text, and alive in a browser."""

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from ear.errors import InputError
from ear.report.page import render_caption, render_report
from tests.report_inputs import CAPTIONS, HOSTILE, METHODS, SIDE, colour, write_inputs


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
        if tag == "td" and self._table == "metrics" and found.get("class") != "cost":
            value = found.get("data-value")
            self.values[self._row].append(None if value is None else float(value))

    def handle_data(self, data: str) -> None:
        self.text += data

    def having(self, tag: str) -> list[dict[str, str | None]]:
        return [found for name, found in self.tags if name == tag]


@pytest.fixture(scope="module")
def page(report: Path) -> Page:
    return Page(report.read_text(encoding="utf-8"))


def test_nothing_is_asked_of_the_network(page: Page, report: Path) -> None:
    for _, found in page.tags:
        assert (found.get("src") or "data:image/").startswith("data:image/")
        assert (found.get("href") or "#").startswith("#")
    assert not {tag for tag, _ in page.tags} & {"link", "iframe", "object", "embed", "base"}
    text = report.read_text(encoding="utf-8")
    text = re.sub(r'(<script type="text/plain"[^>]*>)[^<]*', r"\1", text)  # base64 may spell anything
    text = re.sub(r"base64,[A-Za-z0-9+/=]+", "", text)
    assert "url(" not in text and "@import" not in text and "http" not in text.replace("http-equiv", "")
    assert "fetch(" not in text and "XMLHttpRequest" not in text
    assert any("default-src 'none'" in (meta.get("content") or "") for meta in page.having("meta"))


def test_numbers_equal_the_table(page: Page, report: Path) -> None:
    card = pd.read_csv(report.parent / "score-card.csv")
    order = ("erasure", "prefix", "worst", "retention", "fidelity", "kernel-distance")
    assert set(page.values) == {(concept, method) for concept in ("church", "fire") for method in METHODS}
    for (concept, method), values in page.values.items():
        own = card[(card.concept == concept) & (card.method == method)]
        rows = own.set_index("axis")["value"]
        assert values == [rows.get(axis) for axis in order]
    text = report.read_text(encoding="utf-8")
    worst = card[(card.axis == "prefix") & (card.method == "wga") & (card.concept == "church")].iloc[0]
    wanted = f'title="prefix-4, n = 40">{100 * worst.value:.1f}* %<small>[{100 * worst.ci_low:.1f}, '
    assert wanted in text and "Retention\u00a0↑" in text
    assert page.text.count("2 seeds") == 2  # EAR's


def test_costs_of_erasing_stand_beside_the_scores_where_they_are_known(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    table = text[text.index('id="metrics"') :].split("</table>")[0]
    rows = re.findall(r'<tr data-concept="(\w+)" data-method="([\w-]+)">(.*?)</tr>', table, re.DOTALL)
    found = {row[:2]: re.findall(r'<td class="cost">(.*?)</td>', row[2]) for row in rows}
    known = {("church", "ear"): ["12.3", "70.1"], ("church", "wga"): ["3457", "0.95"]}
    assert len(found) == 2 * len(METHODS)
    assert found == {row: ["–", "–"] for row in found} | known
    assert "Time\u00a0(s)" in table and "Memory\u00a0(GB)" in table


def test_a_method_whose_images_no_judge_has_seen_has_a_caution(page: Page) -> None:
    assert "Church, WGA: caution: the judge has not seen such images (FID 9.9, original 1.2)." in page.text
    assert page.text.count("caution: ") == 1


def test_images_lead_the_page_and_their_verdicts_frame_them(page: Page, report: Path) -> None:
    sections = [found["id"] for found in page.having("section")]
    assert sections == ["before-after", "kept", "gallery", "attacks", "results", "more", "provenance"]
    images = [found for found in page.having("img") if "see the caption" not in str(found["alt"])]
    # A concept has pairs of 2 + 1 prompts, and 2 + 3 prompts with all of three methods.
    assert len(images) == 2 * (3 * 2 + 5 * 3) and all(
        "pixels" in str(image["class"]).split() for image in images
    )
    pairs = images[:6]
    found = [str(image["alt"]).endswith("; concept found") for image in pairs]
    # Prompt 1 is the one that EAR fails on, and the one of which it shows a tree.
    assert found == [True, False, True, True, False, False]
    assert [str(image["class"]).split()[0] for image in pairs[2:4]] == ["shown", "shown"]
    with Image.open(io.BytesIO(base64.b64decode(str(pairs[0]["src"]).partition(",")[2]))) as image:
        assert image.size == (SIDE, SIDE) and image.getpixel((12, 32)) == colour(
            "church", "original", 0, "target", 0
        )


def test_a_concept_has_one_line_of_numbers(report: Path) -> None:
    card = pd.read_csv(report.parent / "score-card.csv").set_index(["concept", "method", "axis"])
    text = report.read_text(encoding="utf-8")
    table = text[text.index('id="headline"') :].split("</table>")[0]
    cells = re.findall(r"<td>(.*?) → <b>(.*?)</b>", table.replace("\u00a0", " "))
    wanted = [
        [card.loc[(concept, method, axis)] for method in ("original", "ear")]
        for concept in ("church", "fire")
        for axis in ("erasure", "worst", "retention")
    ]
    for texts, rows in zip(cells, wanted, strict=True):
        assert [text.split("*")[0].split(" ")[0] for text in texts] == [
            f"{100 * row.value:.1f}" for row in rows
        ]


def test_figures_of_one_caption_stand_together(page: Page) -> None:
    charts = [img for img in page.having("img") if "see the caption" in (img.get("alt") or "")]
    assert len(charts) == 5 and all(
        (img.get("src") or "").startswith("data:image/webp;base64,") for img in charts
    )
    assert page.text.count("What is erased, what is kept?") == 1 and "upper left corner" in page.text
    assert page.text.count("Does the loss fall") == page.text.count("compare courses") == 1


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
    assert text.index("</h1>") < text.index("Stand-ins") < text.index("<nav")


def test_hostile_text_stays_text(page: Page) -> None:
    assert not [found for _, found in page.tags if any(name.startswith("on") for name in found)]
    assert [found for found in page.having("img") if found.get("src") == "x"] == []
    kinds = [found.get("type") or "script" for found in page.having("script")]
    assert (
        kinds.count("script") == kinds.count("application/json") == 1
    )  # and the sheets, which are no scripts
    assert set(kinds) == {"script", "application/json", "text/plain"}
    assert page.text.count(HOSTILE) >= 1 + 1 + 1 + 2  # title (twice), warning, provenance


def test_the_same_input_gives_the_same_bytes_and_a_missing_file_leaves_them(
    report: Path, tmp_path: Path
) -> None:
    inputs = write_inputs(tmp_path)
    render_report(tmp_path / "report.html", tmp_path / "report", **inputs)
    names = sorted(path.name for path in (report.parent / "report").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "report").iterdir()) != []
    (tmp_path / "church" / "ear" / "0" / "target1.png").unlink()
    with pytest.raises(InputError, match=r"target1\.png: not found, wanted the image"):
        render_report(tmp_path / "report.html", tmp_path / "report", **inputs)
    for name in ("report.html", *(f"report/{name}" for name in names)):
        assert (tmp_path / name).read_bytes() == (report.parent / name).read_bytes()


@pytest.mark.parametrize("caption", sorted(CAPTIONS.glob("*.rst")), ids=lambda path: path.stem)
def test_captions_are_sound(caption: Path) -> None:
    html = render_caption(caption)
    assert html.startswith("<p>") and "system-message" not in html and "{{" not in html
