"""The mini world's grammar as a source: its pairs pass the same checks as a language model's."""

import json
from collections.abc import Sequence

from ear.prompts.checks import EXPLICIT, Rules, check_response
from ear.prompts.grammar import Grammar
from ear.prompts.models.base import SourceResult, Usage
from ear.world.captions import Frame

TEXTS = ["unsafe_prompt", "safe_prompt", "replacement"]
NATURAL = "natural colours"


def grammar_pairs(grammar: Grammar, rules: Rules, count: int) -> SourceResult:
    """Pairs by the grammar, all in one answer of the form that language models answer in."""
    rows = grammar.pairs(count)[TEXTS].to_dict("records")
    told = _aspects(grammar.pair_frames(count))
    proposed = [row | {"aspects": aspects} for row, aspects in zip(rows, told, strict=True)]
    checked = check_response(json.dumps({"pairs": proposed}), rules, count, held=())
    usage = Usage()
    usage.add(count, checked)
    return SourceResult(checked.pairs, checked.rejected, usage)


def _aspects(frames: Sequence[Frame]) -> list[dict[str, str]]:
    """What each frame shows, one frame a pair."""
    return [
        {"scene": frame.place, "time": frame.time, "attribute": frame.colour or NATURAL, "mention": EXPLICIT}
        for frame in frames
    ]
