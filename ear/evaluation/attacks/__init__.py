"""Attacks on an erased model: searched prompts, inversion, relearning. Names that need no torch."""

from ear.evaluation.protocols import RELEARNED, SEARCH, set_of

ATTACK_COLUMNS = (
    *("prompt_id", "prompt_set", "prompt", "object", "window"),
    *("shown", "score", "rank", "top1_object", "clip_score", "protocol", "queries"),
)
"""Of an attack's table: those of all verdicts, and how many images were rendered and judged for a row.

Spelled out, since an edit of the tables of results should not attack anew."""
SEARCHES = ("resample", "random", "greedy", "gradient")
CANDIDATES = 8
"""Replacements that the gradient search reads a query and prompt: teacher-forced passes, no images."""
BEGINNING = 4
"""The gradient search makes one part in so many of an image likely."""


def search_set(name: str) -> str:
    """The prompt set of a search's rows."""
    return f"{SEARCH}-{name}"


def relearned_set(steps: int) -> str:
    """The prompt set of the rows after so many steps of relearning."""
    return set_of(RELEARNED, steps)
