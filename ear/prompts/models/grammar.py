"""The mini world's grammar as a source: its pairs pass the same checks as a language model's."""

import json
from dataclasses import dataclass

from ear.prompts.checks import Rules, check_response
from ear.prompts.grammar import Grammar
from ear.prompts.models.base import SourceResult, Usage

TEXTS = ["unsafe_prompt", "safe_prompt", "replacement"]


@dataclass(frozen=True)
class GrammarSource:
    """Pairs by the grammar, all in one answer of the form that language models answer in."""

    grammar: Grammar

    def pairs(self, rules: Rules, count: int) -> SourceResult:
        rows = self.grammar.pairs(count)[TEXTS]
        checked = check_response(json.dumps({"pairs": rows.to_dict("records")}), rules, count, held=())
        usage = Usage()
        usage.add(count, checked)
        return SourceResult(checked.pairs, checked.rejected, usage)
