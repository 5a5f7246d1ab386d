"""From parsed YAML to a typed config, or to one line that says what to mend."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ear.config.models import Config, Shape
from ear.config.section import Section
from ear.config.texts import nearest
from ear.errors import InputError

S = TypeVar("S", bound=Section)


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
    return checked(Config, raw, source, shapes=shapes or {})


def checked(model: type[S], raw: Mapping[str, Any], source: str, **context: Any) -> S:
    """A config of some kind, validated with a context; errors as ``parse_config`` tells them."""
    try:
        return model.model_validate(raw, context=context)
    except ValidationError as error:
        errors = sorted(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        raise InputError("\n".join(f"{source}: {_line(model, one)}" for one in errors)) from None


def _line(model: type[Section], error: ErrorDetails) -> str:
    """One validation error as "key: found …, wanted …"."""
    context = error.get("ctx", {})
    key, node = _place(model, error["loc"])
    kind = error["type"]
    if kind == "value_error" and not key:
        return str(context["error"])  # a check across keys names its key itself
    if kind == "extra_forbidden":
        known = list(_place(model, error["loc"][:-1])[1]["properties"])
        near = nearest(str(error["loc"][-1]), known)
        return (
            f"{key}: unknown key, "
            + (f"did you mean {near}? " if near else "")
            + f"wanted one of {', '.join(known)}"
        )
    if kind == "missing":
        return f"{key}: missing, wanted: {_description(node)}"
    if kind == "value_error":
        return f"{key}: found {_shown(error, node)}, {context['error']}"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        key, tag = f"{key}.{context['discriminator'].strip(chr(39))}", context.get("tag", "none")
        return f"{key}: found {tag}, wanted one of {', '.join(node['discriminator']['mapping'])}"
    if kind in ("dict_type", "model_type", "model_attributes_type"):
        return f"{key}: found {_short(error['input'])}, wanted a mapping: {_description(node)}"
    wanted = re.sub(
        r"^(Input should be|String should|List should|Value should) | after validation, not \d+$",
        "",
        error["msg"],
    )
    if kind in ("float_type", "int_type") and (number := _number(error["input"])):
        wanted += f": YAML reads this as text, write {number}"
    return f"{key}: found {_shown(error, node)}, wanted {wanted}"


def _number(value: Any) -> str | None:
    """How YAML wants a number that somebody wrote otherwise: 4e-3 is 4.0e-3 there, 1e5 is 1.0e+5."""
    parts = (
        re.fullmatch(r"([-+]?\d+)(\.\d*)?(?:[eE]([-+]?)(\d+))?", value.strip())
        if isinstance(value, str)
        else None
    )
    if parts is None:
        return None
    whole, fraction, sign, power = parts.groups()
    return (
        f"{whole}{fraction or '.0'}e{sign or '+'}{power}"
        if power
        else f"{whole}{fraction or ''} without quotes"
    )


def _shown(error: ErrorDetails, node: dict[str, Any]) -> str:
    return "something else" if node.get("writeOnly") else _short(error["input"])


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
        node = resolved(node.get("properties", {}).get(part) or _anonymous(node))
    return ".".join(key), node


@cache
def _schema(model: type[Section]) -> dict[str, Any]:
    return model.model_json_schema()


def _anonymous(node: dict[str, Any]) -> dict[str, Any]:
    """Schema of the entries of a list, or of a mapping whose keys are free names."""
    named = next(iter(node.get("patternProperties", {}).values()), None)
    return named or node.get("additionalProperties") or node.get("items") or {}


def _description(node: dict[str, Any]) -> str:
    return node.get("description", "it").splitlines()[0]
