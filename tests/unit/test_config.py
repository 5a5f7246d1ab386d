"""The config: what is accepted, what is refused and in which words."""

import copy
import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import yaml

from ear.config import parse_config
from ear.config.models import Config
from ear.erasure.presets import Settings
from ear.errors import InputError

ROOT = Path(__file__).parents[2]
CONFIGS = [ROOT / "config.yaml", *sorted((ROOT / "configs").glob("*.yaml"))]
MINI = yaml.safe_load((ROOT / "config.yaml").read_text())


def changed(path, value):
    """The mini config with one key set, or removed where the value is ``...``."""
    raw = copy.deepcopy(MINI)
    node = raw
    *parents, last = path.split(".")
    for part in parents:
        node = node[int(part) if isinstance(node, list) else part]
    if value is ...:
        del node[last]
    else:
        node[int(last) if isinstance(node, list) else last] = value
    return raw


# (key, value, what the message must name besides the key)
BROKEN = [
    ("typo", 1, ["unknown key", "experiment", "concepts"]),
    ("sampling.temprature", 1.0, ["unknown key", "guidance", "temperature"]),
    ("concepts.church.windows", [4], ["unknown key", "window"]),
    ("experiment", "My Run", ["'My Run'"]),
    ("experiment", "../elsewhere", ["'../elsewhere'"]),
    ("seed", ..., ["missing"]),
    ("seed", "42", ["'42'", "integer"]),
    ("seed", -1, ["-1", "greater than or equal to 0"]),
    ("seeds", [], ["[]", "at least 1"]),
    ("seeds", [1, 1], ["[1, 1]", "once"]),
    ("world", ..., ["missing"]),
    ("world.vq.grid", 7, ["7", "4, 8 or 16"]),
    ("backbone.dtype", "fp16", ["'fp16'", "float32", "bfloat16"]),
    ("backbone.device", "gpu", ["'gpu'", "cpu", "cuda"]),
    ("sampling.guidance", 0.5, ["0.5", "greater than or equal to 1"]),
    ("sampling.temperature", float("nan"), ["nan", "finite"]),
    ("concepts", {}, ["{}", "at least 1"]),
    ("concepts.church", "church", ["'church'", "mapping"]),
    ("concepts.church.kind", "thing", ["'thing'", "object", "style", "attribute"]),
    ("concepts.church.window", 65, ["65", "64"]),
    ("concepts.church.judge.group", "colour", ["'colour'", "object"]),
    ("erasure.learning_rate", "1e-4", ["'1e-4'", "number"]),
    ("erasure.layers", 7, ["7", "world.architecture.layers = 6"]),
    ("erasure.threshold", {"value": 0.1, "quantile": 0.1}, ["value", "quantile", "either"]),
    ("erasure.windows.2", 0, ["0", "greater than or equal to 1"]),
    ("methods.ear.variant", "eer", ["'eer'", "released", "single-step"]),
    ("methods.ear.variant", "none", ["none", "released"]),
    ("methods.original", ..., ["original"]),
    ("methods.ear.variant", "wga", ["wga", "another name"]),
    ("methods.ear.choices", {"context": "none"}, ["choices.context", "another name"]),
    ("methods.ear.choices", {"contxt": "none"}, ["unknown key", "context"]),
    ("methods.ear.choices", {"eta": -1.0}, ["eta", "-1.0", "greater than or equal to 0"]),
    ("methods.ear.choices", {"layers": 7}, ["choices.layers", "7", "world.architecture.layers = 6"]),
    ("methods.ear.strength", 1.0, ["1.0", "none"]),
    ("methods.mine", {"variant": "negative-prompt"}, ["mine.strength", "a number"]),
    ("methods.mine", {"variant": "ear", "choices": {"window": 65}}, ["choices.window", "65", "64"]),
    (
        "methods.mine",
        {"variant": "negative-prompt", "strength": 1.0, "choices": {"eta": 1.0}},
        ["mine.choices", "trains nothing"],
    ),
    (
        "methods.mine",
        {"variant": "obliviate", "choices": {"context": "none"}},
        ["mine.choices", "none", "aligned and conditional"],
    ),
    ("erasure.optimiser", "lion", ["'lion'", "adam", "sgd"]),
    ("erasure.micro_batch", 0, ["0", "greater than or equal to 1"]),
    ("evaluation.window_prompts", 301, ["301", "prompts.target = 300"]),
    ("evaluation.shown_method", "paper", ["paper", "ear"]),
]


@pytest.mark.parametrize(
    ("key", "value", "words"), BROKEN, ids=[f"{key}={value}" for key, value, _ in BROKEN]
)
def test_broken_config_is_one_line_with_key_found_and_wanted(key, value, words):
    with pytest.raises(InputError) as caught:
        parse_config(changed(key, value), "my.yaml")
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("my.yaml: ")
    assert key.split(".")[-1] in message or key.rsplit(".", 1)[0] in message
    for word in words:
        assert word in message


def test_further_errors_are_counted():
    raw = changed("seed", -1) | {"typo": 1}
    with pytest.raises(InputError, match=r"\(and 1 more\)"):
        parse_config(raw, "my.yaml")


@pytest.mark.parametrize("path", CONFIGS, ids=[path.name for path in CONFIGS])
def test_configs_of_the_repository_are_valid(path):
    config = parse_config(yaml.safe_load(path.read_text()), path.name)
    assert config.experiment == ("mini" if path.name == "config.yaml" else path.stem)


def test_every_field_is_described():
    schema = Config.model_json_schema()
    for name, model in {"Config": schema, **schema["$defs"]}.items():
        assert model.get("description"), name
        for key, field in model["properties"].items():
            target = schema["$defs"].get(field.get("$ref", "").rsplit("/", 1)[-1], {})
            assert field.get("description") or target.get("description"), f"{name}.{key}"


def test_schema_file_is_in_step():
    schema = json.loads((ROOT / "schemas/config.schema.json").read_text())
    assert schema == Config.model_json_schema(), "make it anew: python -m ear.config"


def test_windows_of_a_method():
    config = parse_config(MINI, "config.yaml")
    assert config.trained_windows("church", "single-step") == [1]
    assert config.trained_windows("church", "wga") == [config.concepts["church"].window]
    assert set(config.erasure.windows) <= set(config.trained_windows("church", "ear"))


def test_a_method_is_its_variant_the_experiment_and_its_own_choices():
    raw = changed(
        "methods.mine", {"variant": "ear", "choices": {"rows": "conditional", "eta": 2.0, "window": "image"}}
    )
    config = parse_config(raw, "config.yaml")
    ear, mine = config.settings("church", "ear"), config.settings("church", "mine")
    assert mine.variant == replace(ear.variant, rows="conditional", window=64)
    assert mine == replace(ear, variant=mine.variant, eta=2.0)
    assert (ear.layers, ear.eta) == (MINI["erasure"]["layers"], MINI["erasure"]["eta"])
    assert ear.variant.window == MINI["concepts"]["church"]["window"]
    assert config.settings("church", "wga").threshold is None
    assert Settings.from_dict(json.loads(json.dumps(asdict(mine)))) == mine


def test_a_negative_prompt_trains_nothing():
    config = parse_config(
        changed("methods.negative-prompt", {"variant": "negative-prompt", "strength": 1.0}), "config.yaml"
    )
    assert "negative-prompt" in config.erasing_methods
    assert "negative-prompt" not in config.trained_methods
    assert config.method_window("church", "negative-prompt") is None
    assert config.trained_windows("church", "negative-prompt") == []
