"""From the file of a config to a typed config, or to one line that says what to mend."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ear.config.consistency import check, nearest
from ear.config.experiment import Config
from ear.config.sections import Section
from ear.errors import InputError
from ear.models.catalogue import Shape
from ear.workflow.texts import read_json, read_yaml

S = TypeVar("S", bound=Section)


def read_config(path: str | Path) -> Mapping[str, Any]:
    """Read the file of a config: Snakemake's reader keeps the last of two equal keys, and names no line.

    Raises:
        InputError: it is no YAML (or JSON, by its suffix) with keys at its top, or has a key twice.
    """
    wanted = "wanted the YAML of an experiment, as in config.yaml"
    raw = (read_json if Path(path).suffix == ".json" else read_yaml)(path, wanted)
    if not isinstance(raw, dict):
        raise InputError(f"{path}: found {'nothing' if raw is None else type(raw).__name__}, {wanted}")
    return raw


def is_recipe(raw: Mapping[str, Any]) -> bool:
    """Whether a config says how the mini world's models are trained, in place of an experiment."""
    return "training" in raw


def check_config_files(paths: Sequence[str | Path]) -> None:
    """Check the files that an experiment is given by, before Snakemake's own reading of them counts.

    Raises:
        InputError: there are several, which Snakemake would merge key by key, or it is no config.
    """
    if len(paths) > 1:
        raise InputError(
            f"--configfile: found {', '.join(map(str, paths))}, wanted one file: "
            "write the target before --configfile, and another experiment into a file of its own"
        )
    for path in paths:
        read_config(path)


def parse_config(raw: Mapping[str, Any], source: str, shapes: Mapping[str, Shape] | None = None) -> Config:
    """Check a config.

    Args:
        raw: parsed YAML.
        source: its file, for the message.
        shapes: asset → shape of the backbone that it is.

    Raises:
        InputError: a line for each error: source, key, what was found, what is wanted; unknown keys come
            first, since a key that is spelled wrongly is often missing as well.
    """
    config = checked(Config, raw, source, shapes=shapes or {})
    try:
        check(config)
    except ValueError as error:
        raise InputError(f"{source}: {error}") from None
    return config


def checked(model: type[S], raw: Mapping[str, Any], source: str, **context: Any) -> S:
    """A config of some kind, validated with a context; errors as ``parse_config`` tells them."""
    try:
        return model.model_validate(raw, context=context)
    except ValidationError as error:
        errors = sorted(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        raise InputError("\n".join(f"{source}: {_line(model, one)}" for one in errors)) from None


def _line(model: type[Section], error: ErrorDetails) -> str:
    """One validation error as "key: found …, wanted …"."""
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    key, node = _place(model, error["loc"])
    description = node.get("description", "it").splitlines()[0]
    # What may hold a secret by mistake is not shown.
    found = "a hidden value" if node.get("writeOnly") else _short(value)
    if kind == "value_error":  # a check across keys names its key itself
        where = f"{key}: " if isinstance(value, Mapping) else f"{key}: found {found}, "
        return f"{where if key else ''}{context['error']}"
    if kind == "extra_forbidden":
        known = list(_place(model, error["loc"][:-1])[1]["properties"])
        near = nearest(str(error["loc"][-1]), known)
        meant = f"did you mean {near}? " if near else ""
        return f"{key}: unknown key, {meant}wanted one of {', '.join(known)}"
    if kind == "missing":
        return f"{key} is required: {description}"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        tag = node["discriminator"]
        tags = ", ".join(tag["mapping"])
        return f"{key}.{tag['propertyName']}: found {context.get('tag', 'none')}, wanted one of {tags}"
    if kind in ("dict_type", "model_type", "model_attributes_type"):
        return f"{key}: found {_short(value)}, wanted a mapping: {description}"
    wanted = re.sub(r"^(Input|String|List|Value) should( be)? | after validation, not \d+$", "", error["msg"])
    if kind == "string_pattern_mismatch":
        free = error["loc"][-1] == "[key]"  # a name of the user's own
        wanted = (
            "lower-case letters, digits and hyphens"
            if free
            else f"{description} (pattern {context['pattern']})"
        )
    number = {"float_type": _number(float, value), "int_type": _number(int, value)}.get(kind)
    return f"{key}: found {found}, wanted {wanted}" + (
        f": YAML reads this as text, write {number}" if number else ""
    )


def _number(of: type[int] | type[float], text: Any) -> str | None:
    """How YAML wants a number that somebody wrote otherwise: 4e-3 is 0.004 there, 1e30 is 1.0e+30."""
    try:
        return yaml.safe_dump(of(text)).split()[0] if isinstance(text, str) else None
    except ValueError:
        return None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _place(model: type[Section], location: tuple[int | str, ...]) -> tuple[str, dict[str, Any]]:
    """The key that an error's location stands for, and the part of the JSON schema that describes it."""
    schema = _schema(model)

    def resolved(node: dict[str, Any]) -> dict[str, Any]:
        if "anyOf" in node:  # an optional section
            node = next(one for one in node["anyOf"] if one.get("type") != "null") | node
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]] | node
        return node

    node, key = schema, []
    for part in location:
        choice = node.get("discriminator", {}).get("mapping", {}).get(part)
        if choice is not None:  # pydantic puts the tag of a union into the location
            node = resolved({"$ref": choice})
            continue
        if part != "[key]":
            key.append(str(part) if str(part).isprintable() else repr(part))
        # Entries of a list, or of a mapping whose keys are free names, have one description.
        named = next(iter(node.get("patternProperties", {}).values()), None)
        entry = named or node.get("additionalProperties") or node.get("items") or {}
        node = resolved(node.get("properties", {}).get(part) or entry)
    return ".".join(key), node


@cache
def _schema(model: type[Section]) -> dict[str, Any]:
    return model.model_json_schema()
