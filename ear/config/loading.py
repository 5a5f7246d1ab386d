"""From parsed YAML to a typed config, or to one line that says what to mend."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ear.config.models import Config
from ear.errors import InputError


def parse_config(raw: Mapping[str, Any], source: str) -> Config:
    """Check a config.

    Args:
        raw: parsed YAML.
        source: its file, for the message.

    Raises:
        InputError: one line: source, key, what was found, what is wanted; the number of further errors if
            there are any.
    """
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        errors = error.errors()
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise InputError(f"{source}: {_line(errors[0])}{more}") from None


def _line(error: ErrorDetails) -> str:
    """One validation error as "key: found …, wanted …"."""
    context = error.get("ctx", {})
    key = ".".join(str(part) for part in error["loc"] if part != "[key]")
    kind = error["type"]
    if kind == "value_error" and not key:
        return str(context["error"])  # a check across keys names its key itself
    if kind == "extra_forbidden":
        return f"{key}: unknown key, wanted {_allowed_keys(error['loc'])}"
    if kind == "missing":
        return f"{key}: missing, wanted: {_description(error['loc'])}"
    if kind == "value_error":
        return f"{key}: found {_short(error['input'])}, {context['error']}"
    if kind in ("dict_type", "model_type"):
        return f"{key}: found {_short(error['input'])}, wanted a mapping: {_description(error['loc'])}"
    wanted = re.sub(
        r"^(Input should be|String should|List should|Value should) | after validation, not \d+$",
        "",
        error["msg"],
    )
    return f"{key}: found {_short(error['input'])}, wanted {wanted}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _node(location: tuple[int | str, ...]) -> dict[str, Any]:
    """The part of the JSON schema at a location of the config."""
    schema = Config.model_json_schema()
    node: dict[str, Any] = schema
    for part in location:
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
        node = node.get("properties", {}).get(part) or _anonymous(node)
    return schema["$defs"][node["$ref"].rsplit("/", 1)[1]] | node if "$ref" in node else node


def _anonymous(node: dict[str, Any]) -> dict[str, Any]:
    """Schema of the entries of a list, or of a mapping whose keys are free names."""
    return next(iter(node.get("patternProperties", {}).values()), None) or node.get("items") or {}


def _allowed_keys(location: tuple[int | str, ...]) -> str:
    return "one of " + ", ".join(_node(location[:-1]).get("properties", {}))


def _description(location: tuple[int | str, ...]) -> str:
    return _node(location).get("description", "it").splitlines()[0]
