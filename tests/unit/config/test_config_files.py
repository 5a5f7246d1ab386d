"""Configs as people write them: typos, texts for numbers, repeated keys, labels that no judge has."""

import copy
import json
import re
import subprocess
import sys

import pytest
import timm
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ear.config import parse_config
from ear.config.__main__ import main, reference
from ear.config.experiment import Config
from ear.config.parsing import check_config_files
from ear.config.recipe import Recipe
from ear.errors import InputError
from ear.judges.classifier import _label_names
from ear.judges.imagenet import imagenet_labels
from tests.unit.config.test_config import MINI, PAPER, ROOT, SHAPES, changed

CHURCH = "concepts.church"


def lines_of(raw, shapes=SHAPES):
    with pytest.raises(InputError) as caught:
        parse_config(raw, "my.yaml", shapes)
    lines = str(caught.value).splitlines()
    assert all(line.startswith("my.yaml: ") for line in lines)
    return [line.removeprefix("my.yaml: ") for line in lines]


def test_unknown_keys_come_first_and_every_error_has_a_line():
    raw = copy.deepcopy(MINI)
    raw["samplin"] = raw.pop("sampling")
    raw["concepts"]["church"]["windw"] = raw["concepts"]["church"].pop("window")
    raw["seed"] = -1
    lines = lines_of(raw)
    assert [line.split(":")[0] for line in lines[:2]] == [f"{CHURCH}.windw", "samplin"]
    assert "unknown key, did you mean window?" in lines[0] and "did you mean sampling?" in lines[1]
    assert {line.split(" is required")[0].split(":")[0] for line in lines[2:]} == {
        "seed",
        "sampling",
        f"{CHURCH}.window",
    }


@settings(max_examples=30)
@given(st.floats(1e-30, 1e30))
@example(4e-3)
def test_a_number_that_yaml_reads_as_text_is_spelled_out(number):
    text = f"{number:e}".replace("e+", "e")  # 4e-3 and 1e5 are texts in YAML
    (line,) = lines_of(changed("erasure.learning_rate", text))
    found = yaml.safe_load(line.rpartition("YAML reads this as text, write ")[2])
    assert isinstance(found, float) and found == float(text)
    assert lines_of(changed("seed", "42"))[0].endswith("write 42")


JUDGE = f"{CHURCH}.judge"


@pytest.mark.parametrize(
    ("config", "key", "value", "said"),
    [
        (MINI, f"{JUDGE}.label", "light-house", "concepts.church.judge.label: found 'light-house', wanted a label of the judge, as 'lighthouse'"),
        (MINI, f"{JUDGE}.label", "zebra", "wanted one of church, house, lighthouse"),
        (MINI, f"{JUDGE}.top_k", 99, "concepts.church.judge.top_k: found 99, wanted at most 8, its labels"),
        (MINI, "concepts.fire.second_judge", {"by": "classifier", "group": "fire", "label": "smoke", "top_k": 1}, "fire.second_judge.label: found 'smoke'"),
        (MINI, "concepts.fire.also_named", ["Church"], "concepts.fire: found 'church', a name of church"),
        (MINI, f"{CHURCH}.also_named", ["<image_placeholder>"], "also_named[0]: found <image_placeholder>, which reads like a special token"),
        (MINI, f"{CHURCH}.also_named", [" "], "also_named[0]: found ' ', wanted text"),
        (PAPER, f"{JUDGE}.top_k", 1001, "found 1001, wanted at most 1000"),
        (PAPER, f"{CHURCH}.neighbours", {"castel": "a castle"}, "neighbours.castel: found 'castel', wanted a label of the judge, as 'castle'"),
        (PAPER, f"{CHURCH}.implicit", ["a tower <lora:x:1>"], "implicit[0]: found <lora:x:1>"),
        (PAPER, f"{CHURCH}.implicit", ["a small chapel"], "implicit[0]: found 'chapel', wanted none of its names"),
        (PAPER, f"{CHURCH}.neighbours", {"castle": "<|User|> a castle"}, "neighbours.castle: found <|User|>"),
        (PAPER, "concepts.nudity.also_named", ["nude", "a nude child"], "nudity.also_named[1]: found a text that speaks of minors"),
    ],
)  # fmt: skip
def test_what_fails_in_a_job_is_refused_when_the_config_is_read(config, key, value, said):
    (line,) = lines_of(changed(key, value, config))
    assert said in line and "child" not in line


def test_the_labels_are_those_of_the_classifier():
    assert list(imagenet_labels()) == _label_names(timm.create_model("test_resnet", num_classes=1000))
    assert len(set(imagenet_labels())) == 1000 and "church" in imagenet_labels()


def test_the_config_is_read_without_heavy_imports():
    heavy = "{'torch', 'timm', 'transformers', 'open_clip', 'pandas'} & set(sys.modules)"
    code = f"""if True:
        import sys, yaml
        from ear.models.catalogue import load_catalogue, shapes_of
        from ear.config import parse_config
        shapes = shapes_of(load_catalogue("assets.yaml"))
        parse_config(yaml.safe_load(open("configs/janus-pro-7b.yaml")), "x", shapes)
        sys.exit(str({heavy}) if {heavy} else 0)"""
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("experiment: a\nseed: 1\nexperiment: b\n", ":3: not YAML (found key 'experiment' twice)"),
        ("experiment: a\n\tseed: 1\n", ":2: not YAML (found character"),
        ("concepts:\n  church:\n    window: 8\n   kind: object\n", ":4: not YAML"),
        ("just words\n", ": found str, wanted the YAML of an experiment"),
        ("", ": found nothing, wanted the YAML"),
    ],
)
def test_a_mistake_in_the_file_has_its_line(tmp_path, text, said):
    path = tmp_path / "my.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        check_config_files([path])
    assert str(caught.value).startswith(f"{path}{said}") and "\n" not in str(caught.value)


def test_the_command_that_checks_a_file_names_the_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    (tmp_path / "my.yaml").write_text("a:\n\tb: 1\n")
    assert main([str(tmp_path / "my.yaml")]) == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'my.yaml'}:2: not YAML (found character")
    assert main(["config.yaml", "configs/janus-pro-7b.yaml", "configs/mini-world.yaml"]) == 0


def test_two_configs_are_refused():
    with pytest.raises(
        InputError, match=r"found config\.yaml, configs/smoke\.yaml, wanted one file: write the target"
    ):
        check_config_files(["config.yaml", "configs/smoke.yaml"])


def test_every_command_of_the_docs_has_its_target_before_the_config():
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "configs").glob("*.yaml")]
    found = []
    for page in pages:
        if page.name != "troubleshooting.md":  # which shows the mistake
            command = r"snakemake [^\n`]*--configfile [^\s`]+([^\n`#)]*)"
            found += re.findall(command, page.read_text(encoding="utf-8"))
    assert len(found) > 10
    assert [words for words in found if re.match(r" [\w/.]", words)] == []


@settings(deadline=None, max_examples=30)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=5,
    ),
    st.sampled_from(["seed", "concepts.church", "methods.ear", "prompts.sources", "erasure.threshold"]),
)
def test_any_value_is_taken_or_a_line_each(value, key):
    try:
        parse_config(changed(key, value), "my.yaml", SHAPES)
    except InputError as error:
        assert all(line.startswith("my.yaml: ") for line in str(error).splitlines())


@pytest.mark.parametrize(("name", "of"), [("config", Config), ("recipe", Recipe)])
def test_every_field_is_described_and_the_schema_file_is_in_step(name, of):
    schema = of.model_json_schema()
    found = json.loads((ROOT / f"schemas/{name}.schema.json").read_text())
    assert found == schema, "make it anew: python -m ear.config"
    for name, model in {of.__name__: schema, **schema["$defs"]}.items():
        assert model.get("description"), name
        for key, field in model["properties"].items():
            target = schema["$defs"].get(field.get("$ref", "").rsplit("/", 1)[-1], {})
            assert field.get("description") or target.get("description"), f"{name}.{key}"


def test_the_page_on_keys_is_in_step_with_the_config():
    found = (ROOT / "docs/reference/config.md").read_text(encoding="utf-8")
    assert found == reference(Config.model_json_schema()), "make it anew: python -m ear.config"
