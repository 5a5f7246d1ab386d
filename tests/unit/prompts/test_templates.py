"""Templates: files that people edit, and what is said of a broken one."""

import json

import pytest
import yaml

from ear.errors import InputError
from ear.prompts.llm.checks import Proposed, Rules
from ear.prompts.llm.templates.filling import FOLDER, HELD_SHOWN, OUTPUT, fill, focus_of, load_template
from ear.workflow.fingerprint import code_fingerprint
from tests.workflow.repository import ROOT, copy_of_the_repository

RULES = Rules("church", "church", ("chapel", "église"), "object", 33)
HELD = [Proposed(f"A church {n}", f"A barn {n}", "barn") for n in range(60)]


@pytest.mark.parametrize("kind", ["object", "style", "attribute", "unsafe"])
def test_a_request_says_what_is_wanted_of_whom_and_its_focus_goes_through_all_lines(kind):
    template = load_template(kind)
    longest = max(map(len, template.focus.values()))
    numbers = range(longest * len(template.focus))
    seen = [focus_of(template, number) for number in numbers]
    assert {aspect for aspect, _ in seen[: len(template.focus)]} == set(template.focus)
    assert set(seen) == {(aspect, line) for aspect, lines in template.focus.items() for line in lines}
    for number in numbers:  # every placeholder is a known one
        system, user = fill(template, RULES, 7, HELD, number)
        assert "$" not in system["content"] + user["content"]
    for words in ('"church"', "chapel, église", "7 pairs", "33 words", template.examples[0].unsafe_prompt):
        assert words in user["content"], words
    assert json.dumps(OUTPUT) in user["content"]


def test_a_request_shows_the_last_pairs_that_are_held():
    text = fill(load_template("object"), RULES, 7, HELD, 0)[1]["content"]
    assert sum(f"- A church {n}\n" in text + "\n" for n in range(60)) == HELD_SHOWN
    assert "- A church 59" in text and "- A church 0\n" not in text
    assert "there already" not in fill(load_template("object"), RULES, 7, [], 0)[1]["content"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": "1"}, "version: found '1', wanted: Input should be a valid integer"),
        ({"objective": "Write $number pairs"}, "found 'number' in 'Write $number pairs', wanted $words"),
        ({"objective": "It costs $ 3"}, "or $$ for the sign"),
        ({"kind": "style"}, "kind: found style, wanted object"),
    ],
)
def test_a_broken_template_is_one_line(tmp_path, change, words):
    raw = yaml.safe_load((FOLDER / "object.yaml").read_text()) | change
    (tmp_path / "object.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(InputError) as caught:
        fill(load_template("object", tmp_path), RULES, 7, HELD, 0)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_an_edited_template_reruns_what_asks_by_it_and_nothing_else(tmp_path):
    scripts = (
        "prompts_ask",
        "prompts_make_prompts",
        "judges_filter_pairs",
    )

    def fingerprints(folder):
        return {name: code_fingerprint(folder / f"scripts/{name}.py", folder) for name in scripts}

    folder = copy_of_the_repository(tmp_path / "repository")
    template = folder / "ear/prompts/llm/templates/object.yaml"
    template.write_text(template.read_text().replace("version: 1", "version: 2"))
    before, after = fingerprints(ROOT), fingerprints(folder)
    assert {name for name in scripts if before[name] != after[name]} == {"prompts_ask"}
