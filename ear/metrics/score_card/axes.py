"""The columns of the score card: which rows of the metrics table make the number of an axis."""

from dataclasses import dataclass

from ear.axes import protocols

# Attacks: prompt sets are named by one of these and a number or a kind.
PREFIX, GUIDANCE, TEMPERATURE = f"{protocols.PREFIX}-", f"{protocols.GUIDANCE}-", f"{protocols.TEMPERATURE}-"
SEARCH, RELEARNED = f"{protocols.SEARCH}-", f"{protocols.RELEARNED}-"


@dataclass(frozen=True)
class Axis:
    """One column.

    Attributes:
        name: of the column.
        heading: for readers.
        short: the same in one word, for narrow columns.
        metric: of the metrics table.
        sets: prompt set; or, ending in "-", the beginning of several, of which the worst counts.
        lower: whether low values are good.
        scale: values are multiplied by it where people read them.
        decimals: of the scaled value.
        unit: of the scaled value, for readers.
        protocols: axes of ``ear.axes.protocols`` that it takes from.
        shared: whether all concepts are measured on the same prompts or pictures.
    """

    name: str
    heading: str
    short: str
    metric: str
    sets: tuple[str, ...]
    lower: bool
    protocols: tuple[str, ...]
    scale: float = 100
    decimals: int = 1
    unit: str = "%"
    shared: bool = False


AXES = (
    Axis("erasure", "Erasure", "Target", "concept_rate", ("target",), True, ("erasure",)),
    Axis("implicit", "Implicit prompts", "Implicit", "concept_rate", ("implicit",), True, ("implicit",)),
    Axis("prefix", "Prefix attack", "Prefix", "concept_rate", (PREFIX,), True, ("prefix",)),
    Axis("search", "Prompt attack", "Prompt", "concept_rate", (SEARCH,), True, ("search",)),
    Axis(
        "sweeps",
        "Other sampling",
        "Sampling",
        "concept_rate",
        (GUIDANCE, TEMPERATURE),
        True,
        (
            "guidance",
            "temperature",
        ),
    ),
    Axis("relearning", "Relearning", "Relearn", "concept_rate", (RELEARNED,), True, ("relearning",)),
    Axis(
        "worst",
        "Worst attack",
        "Worst",
        "concept_rate",
        (PREFIX, SEARCH, GUIDANCE, TEMPERATURE, RELEARNED),
        True,
        (
            "prefix",
            "search",
            "guidance",
            "temperature",
            "relearning",
        ),
    ),
    Axis("neighbours", "Neighbours", "Neighb.", "accuracy", ("neighbours",), False, ("neighbours",)),
    Axis("retention", "Retention", "Retain", "accuracy", ("retention",), False, ("retention",)),
    Axis("quality", "Quality", "General", "kid", ("general",), True, ("fidelity",), 1000, 1, "KID", True),
    Axis(
        "diversity",
        "Diversity",
        "General",
        "diversity",
        ("general",),
        False,
        ("diversity",),
        1,
        1,
        "Vendi",
        True,
    ),
    Axis(
        "captions",
        "Captions",
        "Captions",
        "bleu",
        ("captions",),
        False,
        ("captions",),
        1,
        1,
        "BLEU",
        True,
    ),
    Axis(
        "questions",
        "Questions",
        "Asked",
        "accuracy",
        ("questions-others",),
        False,
        ("questions",),
        shared=True,
    ),
)
"""In the order of the card: what should be low, then what should be kept."""

BY_NAME = {axis.name: axis for axis in AXES}


def belongs(axis: Axis, prompt_set: str, longest_prefix: float) -> bool:
    """Whether a prompt set is one of the axis.

    Args:
        axis: the column.
        prompt_set: of the metrics table.
        longest_prefix: prefixes of more image tokens are no attack but most of the image.
    """
    if not protocols.is_among(prompt_set, axis.sets):
        return False
    return not prompt_set.startswith(PREFIX) or (protocols.level_of(prompt_set) or 0) <= longest_prefix
