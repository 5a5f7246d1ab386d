"""Text, JSON and YAML that somebody else wrote: read whole, or one line that says why not."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from ear.errors import InputError, one_line


def read_json(path: str | Path, wanted: str = "wanted a JSON file") -> Any:
    """Read a UTF-8 JSON file, or raise an InputError that ends with ``wanted``."""
    text = read_text(path, wanted)
    if not text.strip():
        raise InputError(f"{path}: empty, {wanted}")
    return parse_json(text, str(path), wanted)


def parse_json(text: str, where: str, wanted: str) -> Any:
    """Read JSON that somebody else wrote.

    Args:
        text: of one JSON value.
        where: the file, or file and row, for the message.
        wanted: end of the message, from "wanted" on.

    Raises:
        InputError: it is not JSON, nested too deeply, has a number too long to read or a key twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_keys_once)
    except json.JSONDecodeError as error:
        raise InputError(f"{where}:{error.lineno}: not JSON ({error.msg}), {wanted}") from None
    except RecursionError:
        raise InputError(f"{where}: found JSON nested too deeply to be read, {wanted}") from None
    except ValueError as error:
        raise InputError(f"{where}: {error}, {wanted}") from None


def _keys_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        key = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"found key {key!r} twice in one object")
    return found


class _Loader(yaml.SafeLoader):
    """YAML whose mappings have each key once: PyYAML keeps the last value and says nothing."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if (key.tag, key.value) in seen:
                problem = f"found key {key.value!r} twice"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            seen.add((key.tag, key.value))
        return node


def read_yaml(path: str | Path, wanted: str = "wanted a YAML file") -> Any:
    """Read a UTF-8 YAML file in which no mapping has a key twice, or raise an InputError with the line."""
    text = read_text(path, wanted)
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise InputError(f"{path}{line}: not YAML ({error.problem or error.context}), {wanted}") from None
    except RecursionError:
        raise InputError(f"{path}: found YAML nested too deeply to be read, {wanted}") from None
    # PyYAML's constructors raise what Python does: "a: 2001-13-45" a ValueError, "!!int" alone an IndexError.
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise InputError(f"{path}: not YAML ({one_line(error)}), {wanted}") from None


def validated(raw: Any, kind: Any, path: str | Path) -> Any:
    """What was read from a file as a type that pydantic knows, or an InputError: file, key, found, wanted."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_python(raw)
    except ValidationError as error:
        first, *others = error.errors()
        key = ".".join(str(part) for part in first["loc"] if part != "[key]")
        found = repr(first["input"])[:60] if first["type"] != "missing" else "nothing"
        more = f" (and {len(others)} more)" if others else ""
        said = one_line(first["msg"].removeprefix("Value error, "))
        raise InputError(f"{path}: {key}: found {found}, wanted: {said}{more}") from None


def read_text(path: str | Path, wanted: str) -> str:
    """Read a UTF-8 text file without the byte order mark that some editors put at its start."""
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: not found, {wanted}") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}, {wanted}") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}:{line}: found bytes that are not UTF-8, {wanted}") from None


def text_fault(value: Any) -> str | None:
    """What keeps a value from being a text that can be drawn, captioned and written, if anything."""
    if value is None or value != value:  # NaN: an empty cell
        return "nothing"
    if not isinstance(value, str) or not value.strip():
        return repr(value)[:60]
    if "\0" in value:  # it ends a cell of a table
        return f"a NUL character in {value[:60]!r}"
    try:
        value.encode()
    except UnicodeEncodeError:  # JSON can spell half of a surrogate pair
        return f"half of a character in {value[:60]!r}"
    return None
