"""Templates: what a language model is asked, one YAML file a kind of concept, filled for each request."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template as Text
from typing import Annotated, Any, Self

from jsonschema import Draft202012Validator, SchemaError, ValidationError
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic import ValidationError as FieldError

from ear.errors import InputError
from ear.prompts.checks import Proposed, Rules
from ear.texts import read_yaml

FOLDER = Path(__file__).parent
HELD_SHOWN = 40
"""Pairs already held that a request lists, the last ones: longer lists cost more and are read less."""

Words = Annotated[str, Field(min_length=1)]
PLACEHOLDERS = {"words", "names", "count", "max_words"}


class Template(BaseModel):
    """A template file. See the comments in the files themselves."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    version: Annotated[int, Field(ge=1)]
    kind: Words
    persona: Words
    objective: Words
    rules: Annotated[list[Words], Field(min_length=1)]
    examples: Annotated[list[dict[str, Any]], Field(min_length=1)]
    focus: Annotated[dict[str, Annotated[list[Words], Field(min_length=1)]], Field(min_length=1)]
    output: dict[str, Any]

    @model_validator(mode="after")
    def _usable(self) -> Self:
        """Placeholders are known ones, and the examples fit the schema that they are shown with."""
        focus = (line for lines in self.focus.values() for line in lines)
        for text in (self.persona, self.objective, *self.rules, *focus):
            filled = Text(text)
            if not filled.is_valid() or (unknown := set(filled.get_identifiers()) - PLACEHOLDERS):
                found = "a lone $" if not filled.is_valid() else f"${min(unknown)}"
                wanted = ", ".join(f"${name}" for name in sorted(PLACEHOLDERS))
                raise ValueError(f"found {found} in {text!r}, wanted {wanted}, or $$ for the sign itself")
        try:
            Draft202012Validator.check_schema(self.output)
            Draft202012Validator(self.output).validate({"pairs": self.examples})
        except SchemaError as error:
            raise ValueError(f"output: found no JSON schema ({error.message})") from None
        except ValidationError as error:
            place = error.json_path.replace("$.pairs", "examples")
            raise ValueError(f"{place}: {error.message}, wanted it as output says") from None
        return self


@dataclass(frozen=True)
class Focus:
    """What a request asks for in particular."""

    aspect: str
    words: str


def load_template(kind: str, folder: Path = FOLDER) -> Template:
    """Read the template of a kind of concept.

    Args:
        kind: object, style, attribute or unsafe.
        folder: that holds ``<kind>.yaml``.

    Raises:
        InputError: one line: the file, the key, what was found, what is wanted.
    """
    path = folder / f"{kind}.yaml"
    try:
        template = Template.model_validate(read_yaml(path, "wanted a template"))
    except FieldError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        raise InputError(f"{path}: {place + ': ' if place else ''}{said}") from None
    if template.kind != kind:
        raise InputError(f"{path}: kind: found {template.kind}, wanted {kind}, as the file is named")
    return template


def focus_of(template: Template, number: int) -> Focus:
    """What a request asks for in particular: aspects take turns, and so do the lines of each."""
    aspects = list(template.focus)
    aspect = aspects[number % len(aspects)]
    lines = template.focus[aspect]
    return Focus(aspect, lines[number // len(aspects) % len(lines)])


def fill(
    template: Template, rules: Rules, count: int, held: Sequence[Proposed], number: int
) -> list[dict[str, str]]:
    """The chat of a request.

    Args:
        template: of the concept's kind.
        rules: the concept, and what its pairs must satisfy.
        count: pairs to ask for.
        held: pairs that are kept already.
        number: of the request, from 0; decides the focus.
    """
    values = {
        "words": rules.words,
        "names": ", ".join(rules.also_named) or "it has none",
        "count": count,
        "max_words": rules.max_words,
    }

    def filled(text: str) -> str:
        return Text(text).substitute(values)

    focus = focus_of(template, number)
    parts = [
        filled(template.objective),
        "Rules:\n" + "\n".join(f"{row}. {filled(rule)}" for row, rule in enumerate(template.rules, start=1)),
        "Examples of pairs for other concepts:\n" + json.dumps({"pairs": template.examples}, indent=1),
        f"This time, all pairs share one {focus.aspect}: {filled(focus.words)}.",
    ]
    if held:
        shown = [f"- {pair.unsafe_prompt}" for pair in held[-HELD_SHOWN:]]
        parts.append("These are there already. Write what they leave out:\n" + "\n".join(shown))
    parts.append(
        f"Answer with {count} pairs as one JSON object by this schema, and nothing before or after it:\n"
        + json.dumps(template.output)
    )
    return [
        {"role": "system", "content": filled(template.persona)},
        {"role": "user", "content": "\n\n".join(parts)},
    ]
