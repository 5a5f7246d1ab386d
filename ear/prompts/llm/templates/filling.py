"""Templates: what a language model is asked, one YAML file a kind of concept, filled for each request."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template as Text
from typing import Annotated, Any

from pydantic import Field

from ear.errors import InputError
from ear.models.catalogue import Section
from ear.prompts.llm.checks import ASPECTS, EXPLICIT, IMPLICIT, LETTERS_A_WORD, SHORT, Proposed, Rules
from ear.workflow.texts import read_yaml, validated

FOLDER = Path(__file__).parent
HELD_SHOWN = 40
"""Pairs already held that a request lists, the last ones: longer lists cost more and are read less."""

Words = Annotated[str, Field(min_length=1)]
Lines = Annotated[list[Words], Field(min_length=1)]
_SIDES = ("unsafe_prompt", "safe_prompt", "replacement")


def _schema(long: Any, short: Any, array: Mapping[str, int], closed: Mapping[str, bool]) -> dict[str, Any]:
    """JSON schema of an answer, from those of a prompt and of few words, and bounds of lists and objects."""
    aspects = dict.fromkeys(ASPECTS, short) | {"mention": {"enum": [EXPLICIT, IMPLICIT]}}
    pair = {
        **dict(zip(_SIDES, (long, long, short), strict=True)),
        "aspects": {"type": "object", "properties": aspects, **closed},
    }
    items = {"type": "object", "required": [*_SIDES], "properties": pair, **closed}
    pairs = {"type": "array", "items": items, **array}
    return {"type": "object", "required": ["pairs"], "properties": {"pairs": pairs}, **closed}


_TEXT = {"type": "string"}
OUTPUT = _schema(_TEXT, _TEXT, {}, {})
"""JSON schema of an answer, as requests show it. Their texts are in the recordings' keys."""


def bounded_schema(rules: Rules, count: int) -> dict[str, Any]:
    """JSON schema that an answer is held to while it is written: ``OUTPUT``, so that it comes to an end.

    Args:
        rules: what pairs must satisfy.
        count: most pairs of an answer.
    """
    long, short = (_TEXT | {"maxLength": LETTERS_A_WORD * words} for words in (rules.max_words, SHORT))
    return _schema(long, short, {"minItems": 1, "maxItems": count}, {"additionalProperties": False})


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
