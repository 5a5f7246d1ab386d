"""Concepts of the mini world: all that it can erase is accepted, all else refused when the config is read."""

import copy

import pytest

from ear.config import parse_config
from ear.errors import InputError
from ear.world.scenes import GROUPS, OBJECTS
from ear.world.sentences import CONCEPTS
from tests.unit.config.test_config import MINI, ROOT, SHAPES

POSSIBLE = [(kind, words) for kind, names in CONCEPTS.items() for words in names]


def with_concept(**keys):
    raw = copy.deepcopy(MINI)
    raw["concepts"]["mine"] = {"judge": {"by": "zero-shot"}, "window": 8} | keys
    return raw


def test_whatever_the_world_can_erase_can_be_a_concept():
    for kind, words in POSSIBLE:
        # Alone: the words of another concept of the experiment may be refused.
        raw = with_concept(kind=kind, words=words)
        raw["concepts"] = {"mine": raw["concepts"]["mine"]}
        assert parse_config(raw, "config.yaml", SHAPES).concepts["mine"].words == words


@pytest.mark.parametrize("words", ["dragon", "churches", "red"])
def test_what_it_cannot_is_refused_with_the_list(words):
    with pytest.raises(InputError) as refused:
        parse_config(with_concept(kind="object", words=words), "config.yaml", SHAPES)
    (line,) = str(refused.value).splitlines()
    assert line.startswith(f"config.yaml: concepts.mine.words: found {words!r}, wanted ")
    for possible in (*OBJECTS, "in the style of Van Gogh", "in sepia", "on fire"):
        assert possible in line


@pytest.mark.parametrize(
    ("kind", "words", "right"),
    [("style", "castle", "object"), ("style", "on fire", "attribute")],
)
def test_a_wrong_kind_is_named(kind, words, right):
    raw = with_concept(kind=kind, words=words)
    raw["concepts"] = {"mine": raw["concepts"]["mine"]}
    with pytest.raises(InputError, match=rf"mine\.kind: found {kind}, wanted {right} for '{words}'"):
        parse_config(raw, "config.yaml", SHAPES)


def test_the_page_on_own_concepts_lists_them_with_the_classifiers_labels():
    page = (ROOT / "docs/how-to/own-concept.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    listed = {(row[0], words) for row in rows if row[0] in CONCEPTS for words in row[1].split(", ")}
    assert listed == set(POSSIBLE)
    for row in rows:
        if row[0] in CONCEPTS:
            group, label = row[2].split(", ")
            assert label == "the same word" or label.strip("`") in GROUPS[group.strip("`")]
