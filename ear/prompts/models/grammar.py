"""The mini world's grammar as a source: its pairs pass the same checks as a language model's."""

import json

from ear.prompts.checks import Rules, check_response
from ear.prompts.coverage import frame_aspects
from ear.prompts.grammar import Grammar
from ear.prompts.models.base import SourceResult, Usage

TEXTS = ["unsafe_prompt", "safe_prompt", "replacement"]


def grammar_pairs(grammar: Grammar, rules: Rules, count: int) -> SourceResult:
    """Pairs by the grammar, all in one answer of the form that language models answer in."""
    rows = grammar.pairs(count)[TEXTS].to_dict("records")
    told = frame_aspects(grammar.pair_frames(count))
    proposed = [row | {"aspects": aspects} for row, aspects in zip(rows, told, strict=True)]
    checked = check_response(json.dumps({"pairs": proposed}), rules, count, held=())
    usage = Usage()
    usage.add(count, checked)
    return SourceResult(checked.pairs, checked.rejected, usage)
