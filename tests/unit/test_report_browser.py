"""The report page in a real Chromium: choice, order, links, keys, the larger view, blur, phones, no network."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from ear.report.page import render_report
from tests.browser import Tab, browser
from tests.report_inputs import HOSTILE, LONG, PROMPTS, colour, write_inputs

pytestmark = [
    pytest.mark.chromium,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not on PATH"),
]

IDS = "[...document.querySelectorAll('.case')].map((one) => one.dataset.id)"
HASH = "Object.fromEntries(new URLSearchParams(location.hash.slice(1)))"
FOCUS = "document.activeElement.dataset.id || document.activeElement.name || document.activeElement.className"
READY = "document.documentElement.dataset.gallery === 'ready'"
CENTRE = """(() => {
  const canvas = document.querySelectorAll('.case .pair canvas')[%d];
  return [...canvas.getContext('2d').getImageData(12, 32, 1, 1).data].slice(0, 3);
})()"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("page")
    inputs: dict[str, Any] = write_inputs(place)
    render_report(place / "report.html", place / "report", **inputs)
    (place / "split").mkdir()
    render_report(place / "split" / "report.html", place / "split" / "report", **inputs, embedded_pixels=1000)
    return place


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browser(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.fixture
def tab(chromium: Tab) -> Iterator[Tab]:
    """The browser at desktop size; whatever a test does, nothing may go wrong or be asked of the network."""
    chromium.size(1280, 900)
    yield chromium
    assert chromium.errors == []
    assert not [one for one in chromium.requests if not one.startswith(("file:", "data:", "about:"))]


def address(page: Path, **wanted: str | int) -> str:
    return f"{page.as_uri()}#{urlencode(wanted)}" if wanted else page.as_uri()


def choose(tab: Tab, name: str, value: str) -> None:
    tab.run(
        f"(() => {{ const field = document.getElementById('filters').elements['{name}']; field.value = '{value}';"
        " field.dispatchEvent(new Event(field.name === 'text' ? 'input' : 'change', { bubbles: true })); })()"
    )
    tab.wait(READY)


def close(found: list[int], wanted: tuple[int, int, int]) -> bool:
    return max(abs(a - b) for a, b in zip(found, wanted, strict=True)) < 25


def test_nothing_is_loaded_but_the_page(tab: Tab, folder: Path) -> None:
    tab.open(address(folder / "report.html"))
    asked = {one for one in tab.requests if not one.startswith("data:")}
    assert asked == {(folder / "report.html").as_uri()}
    resources = tab.run("performance.getEntriesByType('resource').map((one) => one.name)")
    assert all(one.startswith("data:") for one in resources)
    took = tab.run("performance.getEntriesByType('navigation')[0].loadEventEnd")
    print(f"loaded in {took:.0f} ms, {(folder / 'report.html').stat().st_size / 1e6:.2f} MB")


def test_the_choice_is_shown_side_by_side_and_written_into_the_address(tab: Tab, folder: Path) -> None:
    tab.open(address(folder / "report.html"))
    for name, value in (("method", "ear"), ("set", "prefix-16"), ("seed", "1")):
        choose(tab, name, value)
    assert tab.run(HASH) == {"concept": "church", "method": "ear", "set": "prefix-16", "seed": "1"}
    assert tab.run(IDS) == [f"church/prefix-16/{number}" for number in range(PROMPTS)]
    for number in range(PROMPTS):
        assert close(tab.run(CENTRE % (2 * number)), colour("church", "original", 0, "prefix-16", number))
        assert close(tab.run(CENTRE % (2 * number + 1)), colour("church", "ear", 1, "prefix-16", number))
    lefts = tab.run(
        "[...document.querySelectorAll('.case canvas')].slice(0, 2).map((one) => one.getBoundingClientRect().top)"
    )
    assert lefts[0] == lefts[1]
    assert (
        tab.run("document.getElementById('count').textContent")
        == f"{PROMPTS} of {PROMPTS} prompts, 0 failures"
    )
    # A method without that seed, or a set that only the original has, still shows something.
    choose(tab, "method", "wga")
    assert tab.run(HASH)["seed"] == "0"
    choose(tab, "set", "ceiling-16")
    assert tab.run("document.querySelectorAll('.case canvas').length") == PROMPTS
    assert "of the original only" in tab.run("document.getElementById('count').textContent")


def test_orders_and_the_text_filter(tab: Tab, folder: Path) -> None:
    tab.open(address(folder / "report.html", concept="church", method="ear", set="target", seed=0))
    order = [f"church/target/{number}" for number in range(PROMPTS)]
    assert tab.run(IDS) == order
    choose(tab, "sort", "score")  # scores 0.12, 0.9, 0.10, 0.11
    assert tab.run(IDS) == [order[number] for number in (1, 0, 3, 2)]
    choose(tab, "sort", "failures")
    assert tab.run(IDS) == [order[number] for number in (1, 0, 2, 3)]
    assert tab.run("[...document.querySelectorAll('.case')].map((one) => 'failed' in one.dataset)") == [
        True, False, False, False,
    ]  # fmt: skip
    choose(tab, "text", "A BOAT 2")
    assert tab.run(IDS) == [order[2]]
    assert tab.run("document.getElementById('count').textContent") == f"1 of {PROMPTS} prompts, 0 failures"
    choose(tab, "text", "nothing of the kind")
    assert tab.run(IDS) == []
    choose(tab, "text", "")
    choose(tab, "set", "retention")
    assert "tree, not as asked" in tab.run("document.querySelector('.case .wrong').textContent")


def test_a_link_opens_its_case(tab: Tab, folder: Path) -> None:
    wanted = {"concept": "church", "method": "ear", "set": "target", "seed": "1", "sort": "failures"}
    tab.size(1280, 500)
    tab.open(address(folder / "report.html", **wanted, prompt="church/target/3"))
    assert tab.run("document.querySelector('.case.current').dataset.id") == "church/target/3"
    assert tab.run(FOCUS) == "church/target/3"
    box = tab.run(
        "(({ top, bottom }) => [top, bottom])(document.querySelector('.current').getBoundingClientRect())"
    )
    assert box[1] > 0 and box[0] < 500
    assert tab.run(HASH) == wanted | {"prompt": "church/target/3"}
    # Another link in the same tab, then one that the page cannot follow.
    tab.run("location.hash = 'concept=fire&method=wga&set=retention&seed=0&prompt=fire/retention/1'")
    tab.wait("(document.querySelector('.case.current') || { dataset: {} }).dataset.id === 'fire/retention/1'")
    tab.run("location.hash = 'concept=church&method=nobody&set=target&prompt=church/target/99'")
    tab.wait("!document.getElementById('trouble').hidden")
    assert "church/target/99 is not among" in tab.run("document.getElementById('trouble').textContent")
    tab.wait(READY)


def test_a_link_can_be_copied(tab: Tab, folder: Path) -> None:
    tab.open(address(folder / "report.html", concept="church", method="wga", set="target", seed=0))
    tab.run("navigator.clipboard.writeText = (text) => { window.copied = text; return Promise.resolve(); }")
    tab.run("document.querySelectorAll('.copy')[2].click()")
    tab.wait("window.copied !== undefined")
    copied = tab.run("window.copied")
    assert copied == tab.run("location.href")
    tab.open(copied)
    assert tab.run("document.querySelector('.case.current').dataset.id") == "church/target/2"


def test_cases_and_the_larger_view_by_keyboard(tab: Tab, folder: Path) -> None:
    tab.open(address(folder / "report.html", concept="church", method="ear", set="target", seed=0))
    tab.run("document.querySelector('#filters select').focus()")
    reached = []
    for _ in range(6 + 2 * PROMPTS):
        tab.key("Tab")
        reached.append(tab.run(FOCUS))
    assert reached[:6] == ["method", "set", "seed", "sort", "text", "church/target/0"]
    assert reached.count("copy") == reached.count("enlarge") == PROMPTS
    tab.run("document.querySelector('.case').focus()")
    for key, number in (("j", 1), ("ArrowRight", 2), ("j", 3), ("j", 3), ("k", 2), ("ArrowLeft", 1)):
        tab.key(key)
        assert tab.run(FOCUS) == f"church/target/{number}"
        assert tab.run(HASH)["prompt"] == f"church/target/{number}"
    assert tab.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    tab.key("Enter")
    assert tab.run("document.getElementById('larger').open")
    assert tab.run("document.getElementById('larger-title').textContent") == "a boat 1"
    assert tab.run("document.querySelectorAll('#larger canvas').length") == 2
    tab.key("ArrowRight")
    assert "church/target/2, 3 of 4" in tab.run("document.getElementById('larger-place').textContent")
    tab.key("Escape")
    tab.wait(f"({FOCUS}) === 'church/target/2'")
    assert not tab.run("document.getElementById('larger').open")


def test_sensitive_pictures_stay_blurred_until_agreed(tab: Tab, folder: Path) -> None:
    tab.open(address(folder / "report.html", concept="fire", method="ear", set="target", seed=1))
    drawn = "[...document.querySelectorAll('.case canvas')].map((one) => one.dataset.drawn)"
    assert set(tab.run(drawn)) == {"yes"}
    assert not [one for one in tab.requests if "sensitive" in one]
    tab.run("document.getElementById('reveal').click()")
    assert tab.run("document.getElementById('consent').open")
    tab.key("Escape")
    tab.wait("!document.getElementById('consent').open")
    assert set(tab.run(drawn)) == {"yes"}
    tab.run("document.querySelector('.case .unblur').click()")
    tab.run("document.querySelector('#consent [value=yes]').click()")
    tab.wait(f"{drawn}.includes('unblurred')")
    assert tab.run(drawn).count("unblurred") == 1  # one picture only, and no further question
    tab.run("document.getElementById('reveal').click()")
    tab.wait(f"{drawn}.every((one) => one === 'unblurred')")
    for number in range(PROMPTS):
        assert close(tab.run(CENTRE % (2 * number + 1)), colour("fire", "ear", 1, "target", number))
    loaded = {one.rsplit("/", 1)[1] for one in tab.requests if "sensitive" in one}
    assert loaded == {"sensitive-fire-original-0.js", "sensitive-fire-ear-1.js"}
    tab.run("document.getElementById('reveal').click()")
    tab.wait(f"{READY} && {drawn}.every((one) => one === 'yes')")


def test_an_archive_says_that_unblurred_pictures_are_not_there(
    chromium: Tab, folder: Path, tmp_path: Path
) -> None:
    shutil.copy(folder / "report.html", tmp_path)
    chromium.open(address(tmp_path / "report.html", concept="fire", method="ear", set="target", seed=0))
    chromium.run("document.getElementById('reveal').click()")
    chromium.run("document.querySelector('#consent [value=yes]').click()")
    chromium.wait("!document.getElementById('trouble').hidden")
    assert "report/sensitive-fire-" in chromium.run("document.getElementById('trouble').textContent")
    # The blurred pictures stay.
    assert chromium.run("document.querySelectorAll('.case canvas[data-drawn]').length") == 2 * PROMPTS


def test_side_files_are_loaded_when_chosen(tab: Tab, folder: Path) -> None:
    tab.open(address(folder / "split/report.html", concept="church", method="ear", set="prefix-4", seed=1))
    for number in range(PROMPTS):
        assert close(tab.run(CENTRE % (2 * number + 1)), colour("church", "ear", 1, "prefix-4", number))
    loaded = [one.rsplit("/", 1)[1] for one in tab.requests if one.endswith(".js")]
    assert sorted(loaded) == ["church-ear-1.js", "church-original-0.js"]


def test_a_missing_side_file_is_named(chromium: Tab, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "split", tmp_path / "moved")
    (tmp_path / "moved/report/church-ear-1.js").unlink()
    page = tmp_path / "moved/report.html"
    chromium.open(address(page, concept="church", method="ear", set="target", seed=1))
    said = chromium.run("document.getElementById('trouble').textContent")
    assert "report/church-ear-1.js" in said and "Copy the folder" in said
    assert not chromium.run("document.getElementById('trouble').hidden")
    states = chromium.run("[...document.querySelectorAll('.case canvas')].map((one) => one.dataset.drawn)")
    assert states == ["yes", "missing"] * PROMPTS
    choose(chromium, "seed", "0")
    assert chromium.run("document.getElementById('trouble').hidden")


def test_hostile_prompts_are_shown_as_they_are(tab: Tab, folder: Path) -> None:
    tab.open(address(folder / "report.html", concept="church", method="ear", set="target", seed=0))
    prompts = tab.run("[...document.querySelectorAll('.case h3')].map((one) => one.textContent)")
    assert prompts == [HOSTILE, "a boat 1", "a boat 2", LONG]
    assert tab.run("document.querySelectorAll('img[src=x], .case h3 *').length") == 0


@pytest.mark.parametrize("phone", [True, False], ids=["phone", "desktop"])
def test_nothing_runs_over_the_edge_and_all_can_be_touched(tab: Tab, folder: Path, phone: bool) -> None:
    tab.size(390 if phone else 1280, 844, phone)
    tab.open(address(folder / "report.html", concept="fire", method="ear", set="target", seed=0))
    assert tab.run("document.documentElement.scrollWidth <= innerWidth")
    tab.run("document.querySelectorAll('.enlarge')[3].click()")
    assert tab.run(
        "(({ left, right }) => left >= 0 && right <= innerWidth)(document.querySelector('#larger').getBoundingClientRect())"
    )
    assert tab.run(
        "document.querySelector('#larger').scrollWidth <= document.querySelector('#larger').clientWidth"
    )
    small = tab.run(
        "[...document.querySelectorAll('#filters select, #filters input, button, summary')].map((one) => [one, one.getBoundingClientRect()])"
        ".filter(([one, box]) => box.width > 0 && (box.height < 40 || box.width < 40)).map(([one]) => one.outerHTML)"
    )
    assert small == []
    unnamed = tab.run(
        "[...document.querySelectorAll('select, input')].filter((one) => !one.labels.length).length"
        " + [...document.querySelectorAll('canvas')].filter((one) => !one.ariaLabel).length"
    )
    assert unnamed == 0


def test_without_scripts_all_but_the_gallery_is_there(tab: Tab, folder: Path) -> None:
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        tab.call("Page.navigate", url=address(folder / "report.html"))
        tab.wait("document.readyState === 'complete' && document.querySelector('#provenance') !== null")
        shown = tab.run("document.body.innerText")
        assert "The gallery needs JavaScript" in shown and "Results" in shown and "Provenance" in shown
        assert tab.run("document.getElementById('filters').hidden")
    finally:
        tab.call("Emulation.setScriptExecutionDisabled", value=False)
