"""Templates: what a language model is asked, one YAML file a kind of concept, filled for each request."""

import json
from collections.abc import Sequence
from pathlib import Path
from string import Template as Text
from typing import Annotated

from pydantic import Field

from ear.errors import InputError
from ear.models.catalogue import Section
from ear.prompts.llm.checks import ASPECTS, EXPLICIT, IMPLICIT, Proposed, Rules
from ear.workflow.texts import read_yaml, validated

FOLDER = Path(__file__).parent
HELD_SHOWN = 40
"""Pairs already held that a request lists, the last ones: longer lists cost more and are read less."""

Words = Annotated[str, Field(min_length=1)]
Lines = Annotated[list[Words], Field(min_length=1)]
_TEXT = {"type": "string"}
_SIDES = ("unsafe_prompt", "safe_prompt", "replacement")
_PAIR = dict.fromkeys(_SIDES, _TEXT)
_ASPECTS = dict.fromkeys(ASPECTS, _TEXT) | {"mention": {"enum": [EXPLICIT, IMPLICIT]}}
OUTPUT = {
    "type": "object",
    "required": ["pairs"],
    "properties": {
        "pairs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": [*_SIDES],
                "properties": {**_PAIR, "aspects": {"type": "object", "properties": _ASPECTS}},
            },
        }
    },
}
"""JSON schema of an answer."""


class Example(Section):
    """A pair that is shown as an example."""

    unsafe_prompt: Words
    safe_prompt: Words
    replacement: Words
    aspects: dict[str, Words]


class Template(Section):
    """A template file. See the comments in the files themselves."""

    version: Annotated[int, Field(ge=1)]
    kind: Words
    persona: Words
    objective: Words
    rules: Lines
    examples: Annotated[list[Example], Field(min_length=1)]
    focus: Annotated[dict[str, Lines], Field(min_length=1)]


def load_template(kind: str, folder: Path = FOLDER) -> Template:
    """Read the template of a kind of concept, ``<kind>.yaml`` in a folder.

    Raises:
        InputError: the file is missing or no valid template.
    """
    path = folder / f"{kind}.yaml"
    template: Template = validated(read_yaml(path, "wanted a template"), Template, path)
    if template.kind != kind:
        raise InputError(f"{path}: kind: found {template.kind}, wanted {kind}, the name of the file")
    return template


def focus_of(template: Template, number: int) -> tuple[str, str]:
    """(aspect, words) of what a request asks for in particular: aspects and their lines take turns."""
    aspects = list(template.focus)
    aspect = aspects[number % len(aspects)]
    lines = template.focus[aspect]
    return aspect, lines[number // len(aspects) % len(lines)]


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
        try:
            return Text(text).substitute(values)
        except (KeyError, ValueError) as error:  # another placeholder, or a lone $
            wanted = ", ".join(f"${name}" for name in values)
            raise InputError(
                f"template {template.kind}: found {error} in {text!r}, wanted {wanted}, or $$ for the sign"
            ) from None

    aspect, words = focus_of(template, number)
    examples = [example.model_dump() for example in template.examples]
    parts = [
        filled(template.objective),
        "Rules:\n" + "\n".join(f"{row}. {filled(rule)}" for row, rule in enumerate(template.rules, start=1)),
        "Examples of pairs for other concepts:\n" + json.dumps({"pairs": examples}, indent=1),
        f"This time, all pairs share one {aspect}: {filled(words)}.",
    ]
    if held:
        shown = [f"- {pair.unsafe_prompt}" for pair in held[-HELD_SHOWN:]]
        parts.append("These are there already. Write what they leave out:\n" + "\n".join(shown))
    parts.append(
        f"Answer with {count} pairs as one JSON object by this schema, and nothing before or after it:\n"
        + json.dumps(OUTPUT)
    )
    return [
        {"role": "system", "content": filled(template.persona)},
        {"role": "user", "content": "\n\n".join(parts)},
    ]
