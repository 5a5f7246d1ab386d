"""Semantic coverage: how many different pictures pairs ask for, and how that grows with their number.

Two kinds of measure. Aspects (scene, time, viewpoint, attribute, mention) are told by the source of a pair:
the grammar knows them, and language models are asked for them. Words are counted in the prompts themselves,
so that every source has them, published pairs too.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import zip_longest

import pandas as pd

from ear.prompts.checks import ASPECTS, EXPLICIT
from ear.prompts.naming import EVERY_LANGUAGE, FUNCTION_WORDS, spans, stem, words_of
from ear.world.captions import Frame

ASPECT_COLUMNS = ["pair_id", "source", "aspect", "value"]
"""One row a value. A pair has one value of an aspect or none, and any number of words."""
COVERAGE_COLUMNS = ["concept", "source", "aspect", "pairs", "told", "distinct", "evenness"]
WORD = "word"
"""Content words of the unsafe prompt, without inflection and without those that name the concept."""
NATURAL = "natural colours"
EVERY_SOURCE = "all"
FIRST, POINTS = 10, 40
"""Growth is measured at each of the first pairs, and at so many numbers of pairs from first to last."""


def told_aspects(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """What sources tell of their pairs, a row a value (``ASPECT_COLUMNS``); what they do not tell has none.

    Args:
        tables: pair_id, source and ``ASPECTS`` of each source's pairs.
    """
    told = [
        table.melt(["pair_id", "source"], [*ASPECTS], "aspect", "value").dropna(subset="value")
        for table in tables
    ]
    return pd.concat([pd.DataFrame(columns=ASPECT_COLUMNS), *told], ignore_index=True)


def frame_aspects(frames: Sequence[Frame]) -> list[dict[str, str]]:
    """What frames of the grammar show, one a pair."""
    return [
        {"scene": frame.place, "time": frame.time, "attribute": frame.colour or NATURAL, "mention": EXPLICIT}
        for frame in frames
    ]


def words_used(pairs: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Content words of unsafe prompts (``ASPECT_COLUMNS``, aspect ``WORD``).

    Args:
        pairs: columns pair_id, unsafe_prompt, source.
        names: how prompts name the concept.
    """
    rows = [
        (pair_id, source, WORD, word)
        for pair_id, prompt, source in pairs[["pair_id", "unsafe_prompt", "source"]].itertuples(index=False)
        for word in dict.fromkeys(_content(prompt, names))
    ]
    return pd.DataFrame(rows, columns=ASPECT_COLUMNS)


def coverage_table(
    concept: str, names: Sequence[str], pairs: pd.DataFrame, aspects: pd.DataFrame
) -> pd.DataFrame:
    """How many values each source's pairs of a concept have, by their number.

    Args:
        concept: its name in the experiment.
        names: how prompts name it.
        pairs: candidates: pair_id, unsafe_prompt, source; they count in this order.
        aspects: what sources tell of them (``ASPECT_COLUMNS``); rows of other pairs are passed over.

    Returns:
        ``COVERAGE_COLUMNS``, rows by source (in the order of the pairs; where there are several,
        ``EVERY_SOURCE`` last: a pair of each in turn), aspect and number of pairs. pairs: the source's first
        so many; told: those of them that have a value; distinct: different values; evenness: entropy of the
        values' distribution divided by its maximum log(distinct), 1 where all are equally frequent, 0 where
        there is one value.
    """
    values = pd.concat([aspects, words_used(pairs, names)], ignore_index=True)
    sources: dict[str, list[str]] = {
        str(source): rows["pair_id"].tolist() for source, rows in pairs.groupby("source", sort=False)
    }
    if len(sources) > 1:
        turns = zip_longest(*sources.values())
        sources[EVERY_SOURCE] = [pair_id for turn in turns for pair_id in turn if pair_id is not None]
    rows = [
        (concept, source, aspect, *row)
        for source, pair_ids in sources.items()
        for aspect in (*ASPECTS, WORD)
        for row in _growth(pair_ids, values[values["aspect"] == aspect])
    ]
    return pd.DataFrame(rows, columns=COVERAGE_COLUMNS)


def evenness(counts: Iterable[int]) -> float:
    """Entropy of a distribution divided by its maximum, in [0, 1]; 0 for a single value."""
    present = [count for count in counts if count]
    if len(present) < 2:
        return 0.0
    total = sum(present)
    entropy = -sum(count / total * math.log(count / total) for count in present)
    return min(entropy / math.log(len(present)), 1.0)


def _growth(pair_ids: Sequence[str], values: pd.DataFrame) -> list[tuple[int, int, int, float]]:
    """(pairs, told, distinct, evenness) as pairs are added one by one; nothing where none has a value."""
    of_pair = {str(pair_id): list(rows) for pair_id, rows in values.groupby("pair_id")["value"]}
    if not of_pair.keys() & set(pair_ids):
        return []
    measured = {-(-len(pair_ids) * point // POINTS) for point in range(1, POINTS + 1)}
    counts: Counter[str] = Counter()
    told, rows = 0, []
    for number, pair_id in enumerate(pair_ids, 1):
        found = of_pair.get(pair_id, [])
        counts.update(found)
        told += bool(found)
        if number <= FIRST or number in measured:
            rows.append((number, told, len(counts), evenness(counts.values())))
    return rows


def _content(prompt: str, names: Sequence[str]) -> Iterable[str]:
    named = {
        place
        for name in names
        for start, end in spans(prompt, name, EVERY_LANGUAGE)
        for place in range(start, end)
    }
    for place, word in enumerate(words_of(prompt)):
        if place not in named and word not in FUNCTION_WORDS:
            yield stem(word)
