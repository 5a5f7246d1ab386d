"""Readers of tables, JSON and YAML: any bytes are what was asked for, or one line that names the file."""

import json

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ear.errors import InputError
from ear.images.reading import read_captions
from ear.judges.zero_shot import Calibration
from ear.models.catalogue import load_catalogue
from ear.models.lock import read_lock
from ear.prompts.coco import captioned_manifest
from ear.prompts.published import read_pairs, read_targets
from ear.workflow.files import read_csv
from ear.workflow.texts import read_json, read_yaml

DEEP = b"[" * 100_000


def line_of(path, read):
    """The one line that a reader ends with."""
    with pytest.raises(InputError) as caught:
        read()
    message = str(caught.value)
    assert "\n" not in message and str(path) in message
    return message


CONTEXTS = {
    "csv": lambda path: read_csv(path, ["prompt"]),
    "json": read_json,
    "yaml": read_yaml,
    "targets.csv": lambda path: read_targets(path, "x", "unsafe"),
    "targets.json": lambda path: read_targets(path, "x", "unsafe"),
    "pairs.json": lambda path: read_pairs(path, "x", "unsafe"),
    "catalogue": load_catalogue,
    "lock": read_lock,
    "calibration": Calibration.read,
    "captions": lambda path: captioned_manifest(path.parent, path, path.parent, 1, 0),
}
# fmt: off
SIGNS = [b"prompt", b"a,b\n", b'"', b"\n", b"\t", b"- ", b": ", b"{", b"}", b"[", b"]", b",", b"\0", b"\xff", b"1e999"]
SIGNS += [b"\xef\xbb\xbf", b"&a", b"*a", b"<<: *a", b"!!int", b"!!bool x", b"!!timestamp x", b"2001-13-45", b"1_0"]
SIGNS += [b"\\ud800", b"\r", b"'", b"|", b"?"]
# fmt: on


@pytest.mark.parametrize("kind", CONTEXTS)
@settings(deadline=None, max_examples=30)
@example(content=b'"\n"')
@given(content=st.one_of(st.binary(max_size=40), st.lists(st.sampled_from(SIGNS), max_size=12).map(b"".join)))
def test_any_bytes_are_read_or_one_line(tmp_path_factory, kind, content):
    path = tmp_path_factory.getbasetemp() / f"any.{kind}"
    path.write_bytes(content)
    try:
        CONTEXTS[kind](path)
    except InputError as error:
        assert "\n" not in str(error) and str(path) in str(error)


@pytest.mark.parametrize("kind", [kind for kind in CONTEXTS if "csv" not in kind])
def test_deep_nesting_is_one_line(tmp_path, kind):
    path = tmp_path / f"deep.{kind}"
    path.write_bytes(DEEP)
    assert "nested too deeply" in line_of(path, lambda: CONTEXTS[kind](path))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "found key 'c' twice in one object"),
        ("1" * 5000, "integer"),
        ('{"a": 1', ":1: not JSON"),
    ],
)
def test_what_json_must_not_hold(tmp_path, content, said):
    path = tmp_path / "a.json"
    path.write_text(content)
    assert said in line_of(path, lambda: read_json(path))
    path.write_text("\ufeff" + json.dumps({"a": 1}))
    assert read_json(path) == {"a": 1}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n", ":5: not YAML (found key 'c' twice)"),
        ("a:\n\tb: 1\n", ":2: not YAML (found character '\\t'"),
        ("a:\n  b: 1\n c: 2\n", ":3: not YAML"),
        ("a: *b\n", ":1: not YAML"),
        ("a: 2001-13-45\n", "not YAML"),
    ],
)
def test_what_yaml_must_not_hold(tmp_path, content, said):
    path = tmp_path / "a.yaml"
    path.write_text(content)
    assert said in line_of(path, lambda: read_yaml(path))


def test_keys_of_an_anchor_may_be_overridden(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: &a {x: 1, y: 2}\nb: &b {<<: *a, x: 3}\nc: {<<: *b, y: 4}\n")
    assert read_yaml(path)["c"] == {"x": 3, "y": 4}


@pytest.mark.parametrize("caption", ["\ud800 a cat", " \n", "a\0b"])
def test_a_caption_that_is_none_is_named(tmp_path, caption):
    path = tmp_path / "captions.json"
    rows = [{"image_id": 7, "caption": text} for text in ("a cat", caption)]
    path.write_text(json.dumps({"annotations": rows}))
    message = line_of(path, lambda: captioned_manifest(tmp_path, path, tmp_path, 1, 0))
    assert "entry 1" in message and "caption (text)" in message and message.isprintable()


@pytest.mark.parametrize(
    ("references", "said"),
    [('["a cat", " "]', "entry 1: found"), ("[3]", "entry 0: found"), (DEEP.decode(), "nested too deeply")],
)
def test_a_reference_that_is_none_is_named(tmp_path, references, said):
    path = tmp_path / "captions.csv"
    pd.DataFrame({"image_id": [42], "references": [references], "caption": ["a"]}).to_csv(path, index=False)
    line = line_of(path, lambda: read_captions([path]))
    assert "42: references: " in line and said in line
