"""``python -m ear.config FILE`` checks a config; without a file it writes schemas/ and a page of docs/.

Editors complete and check configs by the schemas.
"""

import json
import sys
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ear.config.experiment import Config
from ear.config.parsing import is_recipe, parse_config, read_config
from ear.config.recipe import Recipe, parse_recipe
from ear.config.sections import Section
from ear.errors import InputError
from ear.models.catalogue import load_catalogue, shapes_of
from ear.workflow.files import write_json, write_text

SCHEMAS: dict[str, type[Section]] = {"config": Config, "recipe": Recipe}


def main(files: list[str]) -> int:
    """Print what is wrong with each file and return 1, or return 0."""
    if not files:
        for name, model in SCHEMAS.items():
            write_json(f"schemas/{name}.schema.json", model.model_json_schema())
        write_text("docs/reference/config.md", reference(Config.model_json_schema()))
    try:
        for path in files:
            raw = read_config(path)
            if is_recipe(raw):
                parse_recipe(raw, path)
            else:
                parse_config(raw, path, shapes_of(load_catalogue("assets.yaml")))
            print(f"{path}: ok")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def reference(schema: Mapping[str, Any]) -> str:
    """The page on all keys of an experiment's config, made from its JSON schema."""
    parts = [
        "# Keys of the config",
        "Made from the typed config by `python -m ear.config`. "
        "[config.yaml](../../config.yaml) is a whole example.",
    ]
    for name, section in {"The whole file": schema, **schema["$defs"]}.items():
        rows = "\n".join(
            _row(key, field, section.get("required", ())) for key, field in section["properties"].items()
        )
        first = section["description"].split("\n\n")[0].replace("\n", " ").replace("``", "`")
        parts.append(
            f"## {name}\n\n{first}\n\n| key | value | default | meaning |\n|---|---|---|---|\n{rows}"
        )
    return "\n\n".join(parts) + "\n"


def _row(key: str, field: Mapping[str, Any], required: Collection[str]) -> str:
    empty: Any = {} if field.get("type") == "object" else []  # pydantic leaves out what a factory makes
    default = field.get("default", empty)
    shown = "its own" if isinstance(default, dict) and default else f"`{json.dumps(default)}`"
    shown = "required" if key in required else shown
    meaning = field.get("description", "").replace("|", "\\|").replace("``", "`").replace("<", "\\<")
    return f"| `{key}` | {', '.join(dict.fromkeys(_values(field)))} | {shown} | {meaning} |"


def _values(field: Mapping[str, Any]) -> Iterator[str]:
    """What a key may be, in words: kinds, single values, or links to sections."""
    if "$ref" in field:
        name = field["$ref"].rsplit("/", 1)[-1]
        yield f"[{name}](#{name.lower()})"
    for one in field.get("anyOf", field.get("oneOf", ())):
        yield from _values(one)
    for value in field.get("enum", [field["const"]] if "const" in field else ()):
        yield f"`{value}`"
    match field.get("type"):
        case "array":
            yield "list of " + " or ".join(_values(field["items"]))
        case "object":
            inside = [*field.get("patternProperties", {}).values(), field.get("additionalProperties")]
            yield "names with " + " or ".join(_values(inside[0]))
        case "null":
            yield "`null`"
        case str(kind) if "enum" not in field and "const" not in field:
            yield kind


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
