"""The report page in a real Chromium: choice, addresses, keys, the larger view, blur, phones, no network."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.browser import Tab, browser
from tests.report_inputs import HOSTILE, LONG, PROMPTS, colour

pytestmark = [
    pytest.mark.chromium,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not on PATH"),
]

IDS = "[...document.querySelectorAll('.case')].map((one) => one.dataset.id)"
HASH = "Object.fromEntries(new URLSearchParams(location.hash.slice(1)))"
FOCUSED = "(document.activeElement.closest('.case') || { dataset: {} }).dataset.id"
READY = "document.documentElement.dataset.gallery === 'ready'"
COUNT = "document.getElementById('count').textContent"
TROUBLE = "document.getElementById('trouble')"
LARGER = "document.getElementById('larger')"
PIXELS = """(() => {
  const copy = new OffscreenCanvas(64, 64).getContext('2d');
  copy.drawImage(document.querySelectorAll('.case canvas')[%d], 0, 0);
  return [...copy.getImageData(12, 32, 20, 1).data];
})()"""
CENTRE = PIXELS + ".slice(0, 3)"
EDGE = f"Math.max(...{PIXELS % 0}.map((value, place, row) => Math.abs(value - (place < 4 ? value : row[place - 4]))))"


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


def address(report: Path, **wanted: str | int) -> str:
    return f"{report.as_uri()}#{urlencode(wanted)}" if wanted else report.as_uri()


def choose(tab: Tab, name: str, value: str) -> None:
    change = f"field.checked = {value}" if name == "failures" else f"field.value = '{value}'"
    tab.run(
        f"(() => {{ const field = document.getElementById('filters').elements['{name}']; {change};"
        " field.dispatchEvent(new Event('input', { bubbles: true })); })()"
    )
    tab.wait(READY)


def close(found: list[int], wanted: tuple[int, int, int]) -> bool:
    return max(abs(a - b) for a, b in zip(found, wanted, strict=True)) < 25


def test_the_choice_is_shown_side_by_side_and_written_into_the_address(tab: Tab, report: Path) -> None:
    tab.open(address(report))
    assert {one for one in tab.requests if not one.startswith("data:")} == {report.as_uri()}
    for name, value in (("method", "ear"), ("set", "prefix-16"), ("seed", "1")):
        choose(tab, name, value)
    assert tab.run(HASH) == {"concept": "church", "method": "ear", "set": "prefix-16", "seed": "1"}
    assert tab.run(IDS) == [f"church/prefix-16/{number}" for number in range(PROMPTS)]
    for number in range(PROMPTS):
        assert close(tab.run(CENTRE % (2 * number)), colour("church", "original", 0, "prefix-16", number))
        assert close(tab.run(CENTRE % (2 * number + 1)), colour("church", "ear", 1, "prefix-16", number))
    tops = "[...document.querySelectorAll('.case canvas')].map((one) => one.getBoundingClientRect().top)"
    assert len(set(tab.run(tops)[:2])) == 1
    assert tab.run(COUNT) == f"{PROMPTS} of {PROMPTS} prompts, 0 with failures"
    # A method without that seed, or a set that only the original has, still shows something.
    choose(tab, "method", "wga")
    assert tab.run(HASH)["seed"] == "0"
    choose(tab, "set", "ceiling-16")
    assert tab.run("document.querySelectorAll('.case canvas').length") == PROMPTS
    assert "of the original only" in tab.run(COUNT)


def test_filters_by_text_and_failures(tab: Tab, report: Path) -> None:
    tab.open(address(report, concept="church", method="ear", set="target", seed=0))
    order = [f"church/target/{number}" for number in range(PROMPTS)]
    assert tab.run(IDS) == order
    prompts = tab.run("[...document.querySelectorAll('.case h3')].map((one) => one.textContent)")
    assert prompts == [HOSTILE, "a boat 1", "a boat 2", LONG]
    assert tab.run("document.querySelectorAll('img[src=x], .case h3 *').length") == 0
    choose(tab, "failures", "true")
    assert tab.run(IDS) == [order[1]] and tab.run(COUNT) == f"1 of {PROMPTS} prompts, 1 with failures"
    choose(tab, "failures", "false")
    choose(tab, "text", "A BOAT 2")
    assert tab.run(IDS) == [order[2]]
    choose(tab, "text", "nothing of the kind")
    assert tab.run(IDS) == []
    choose(tab, "text", "")
    choose(tab, "set", "retention")
    assert "tree, another object" in tab.run("document.querySelector('.case .wrong').textContent")


def test_an_address_opens_its_case(tab: Tab, report: Path) -> None:
    wanted = {"concept": "church", "method": "ear", "set": "target", "seed": "1", "prompt": "church/target/3"}
    tab.size(1280, 500)
    tab.open(address(report, **wanted))
    tab.wait(f"{FOCUSED} === 'church/target/3'")
    box = tab.run("document.activeElement.getBoundingClientRect().top")
    assert 0 < box < 500 and tab.run(HASH) == wanted
    # Another address in the same tab, then one that the page cannot follow.
    tab.run("location.hash = 'concept=fire&method=wga&set=retention&seed=0&prompt=fire/retention/1'")
    tab.wait(f"{FOCUSED} === 'fire/retention/1'")
    tab.run("location.hash = 'concept=church&method=nobody&set=target&prompt=church/target/99'")
    tab.wait(f"!{TROUBLE}.hidden")
    assert "church/target/99 is not among" in tab.run(f"{TROUBLE}.textContent")


def test_cases_and_the_larger_view_by_keyboard(tab: Tab, report: Path) -> None:
    tab.open(address(report, concept="church", method="ear", set="target", seed=0))
    tab.run("document.getElementById('filters').elements.failures.focus()")
    tab.key("Tab")
    assert tab.run(FOCUSED) == "church/target/0"
    for key, number in (("j", 1), ("ArrowRight", 2), ("j", 3), ("j", 3), ("k", 2), ("ArrowLeft", 1)):
        tab.key(key)
        assert tab.run(FOCUSED) == tab.run(HASH)["prompt"] == f"church/target/{number}"
    assert tab.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    tab.key("Enter")
    assert tab.run(f"{LARGER}.open && {LARGER}.querySelectorAll('canvas').length") == 2
    assert tab.run("document.getElementById('larger-title').textContent") == "a boat 1"
    tab.key("ArrowRight")
    assert "church/target/2, 3 of 4" in tab.run("document.getElementById('larger-place').textContent")
    tab.key("Escape")
    tab.wait(f"{FOCUSED} === 'church/target/2'")
    assert not tab.run(f"{LARGER}.open")


def test_small_pictures_are_enlarged_by_whole_factors(tab: Tab, report: Path) -> None:
    tab.open(address(report, concept="church", method="ear", set="target", seed=0))
    tab.run("document.querySelector('.case button').click()")
    drawn = tab.run(
        "[...document.querySelectorAll('.pixels')].filter((one) => one.offsetWidth)"
        ".map((one) => [one.offsetWidth, one.offsetHeight, getComputedStyle(one).imageRendering])"
    )
    assert len(drawn) > 2 * PROMPTS and max(width for width, *_ in drawn) >= 4 * 64
    for width, height, rendering in drawn:
        assert width == height and width % 64 == 0 and rendering == "pixelated"


def test_sensitive_pictures_stay_blurred_until_agreed(tab: Tab, report: Path) -> None:
    tab.open(address(report, concept="fire", method="ear", set="target", seed=1))
    blurred = tab.run(EDGE)
    switch = "document.getElementById('unblur').click()"
    tab.run(f"window.confirm = (text) => {{ window.asked = text; return false; }}; {switch}")
    assert "may disturb" in tab.run("window.asked") and tab.run(EDGE) == blurred
    assert not [one for one in tab.requests if "sensitive" in one]
    tab.run(f"window.confirm = () => true; {switch}")
    tab.wait(f"{READY} && {EDGE} > {2 * blurred}")
    for number in range(PROMPTS):
        assert close(tab.run(CENTRE % (2 * number + 1)), colour("fire", "ear", 1, "target", number))
    loaded = {one.rsplit("/", 1)[1] for one in tab.requests if "sensitive" in one}
    assert loaded == {"sensitive-fire-original-0.js", "sensitive-fire-ear-1.js"}
    tab.run(switch)
    tab.wait(f"{READY} && {EDGE} === {blurred}")


def test_an_archive_says_that_unblurred_pictures_are_not_there(
    chromium: Tab, report: Path, tmp_path: Path
) -> None:
    shutil.copy(report, tmp_path)
    chromium.open(address(tmp_path / "report.html", concept="fire", method="ear", set="target", seed=0))
    blurred = chromium.run(EDGE)
    chromium.run("window.confirm = () => true; document.getElementById('unblur').click()")
    chromium.wait(f"!{TROUBLE}.hidden && {READY}")
    assert "report/sensitive-fire-" in chromium.run(f"{TROUBLE}.textContent")
    assert chromium.run(EDGE) == blurred


def test_nothing_runs_over_the_edge_of_a_phone_and_all_can_be_touched(tab: Tab, report: Path) -> None:
    tab.size(390, 844, phone=True)
    tab.open(address(report, concept="fire", method="ear", set="target", seed=0))
    assert tab.run("document.documentElement.scrollWidth <= innerWidth")
    tab.run("document.querySelectorAll('.case button')[3].click()")
    assert tab.run(f"{LARGER}.scrollWidth <= {LARGER}.clientWidth && {LARGER}.clientWidth <= innerWidth")
    small = tab.run(
        "[...document.querySelectorAll('#filters label, button, summary')].map((one) => [one, one.getBoundingClientRect()])"
        ".filter(([one, box]) => box.width > 0 && (box.height < 40 || box.width < 40)).map(([one]) => one.outerHTML)"
    )
    assert small == []


def test_without_scripts_all_but_the_gallery_is_there(tab: Tab, report: Path) -> None:
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        tab.open(address(report), until="document.querySelector('#provenance') !== null")
        shown = tab.run("document.body.innerText")
        assert "The gallery needs JavaScript" in shown and "Score card" in shown and "Provenance" in shown
        assert tab.run("document.getElementById('filters').hidden")
    finally:
        tab.call("Emulation.setScriptExecutionDisabled", value=False)
