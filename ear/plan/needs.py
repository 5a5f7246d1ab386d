"""GPU memory of each stage: what it needs as configured, and what fits on a card."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ear.chat import CAPTION_TOKENS
from ear.config import Config
from ear.memory import (
    PAIR_ROWS,
    PAIRS_AT_ONCE,
    USABLE,
    Dimensions,
    answering,
    drawing,
    frozen_states,
    gradients,
    largest,
    relearning,
    training,
)
from ear.plan.rates import CAPTION_BATCH, PROMPT
from ear.plan.work import Goals, Windows
from ear.plan.workload import jobs_of

CAPTION_PROMPT = 100
"""Tokens around a picture that is asked about: a system prompt and the question."""
LONGEST = {"Six-CD_Nudity.csv": 545}
"""Published file → tokens of its longest prompt (CLIP's tokenizer) and of the template; else ``PROMPT``."""


@dataclass(frozen=True)
class Need:
    """Memory of one kind of work.

    Attributes:
        what: it is.
        unit: of what is done at once.
        wanted: how many at once; fewer where they do not fit.
        weights: bytes of the model's weights.
        beside: so many at once → bytes beside the weights.
    """

    what: str
    unit: str
    wanted: int
    weights: int
    beside: Callable[[int], float]

    def bytes_of(self, size: int) -> float:
        """Of so many at once."""
        return self.weights + self.beside(size)

    @property
    def bytes(self) -> float:
        """As configured."""
        return self.bytes_of(self.wanted)

    def __str__(self) -> str:
        return f"{self.wanted} {self.unit if self.wanted > 1 else self.unit.removesuffix('s')}"

    def fits(self, free: float) -> int:
        """How many at once fit into so many bytes; 0 where not even one does."""
        size = largest(self.wanted, free, self.bytes_of)
        return size if self.bytes_of(size) <= USABLE * free else 0


def needs_of(config: Config, shape: Dimensions) -> list[Need]:
    """All kinds of work of an experiment that hold the backbone, in pipeline order."""
    return [
        Need(what, unit, wanted, shape.loaded_bytes, beside)
        for what, unit, wanted, beside in _works(config, shape)
    ]


def _works(config: Config, shape: Dimensions) -> Iterator[tuple[str, str, int, Callable[[int], float]]]:
    rows = 3 if any(method.strength for method in config.methods.values()) else 2
    batch, tokens = config.rendering.batch_size, shape.image_tokens
    yield "draw", "images", batch, lambda size: drawing(shape, size, rows, PROMPT)
    files = [concept.published.target for concept in config.concepts.values() if concept.published]
    longest = max((LONGEST.get(file, PROMPT) for file in files), default=PROMPT)
    if longest > PROMPT:
        yield "draw, longest prompt", "images", batch, lambda size: drawing(shape, size, rows, longest)
    works = [work for job in jobs_of(config) for work in job.works]
    windows = [work for work in works if isinstance(work, Windows)]
    if windows:
        pairs = max(work.count for work in works if isinstance(work, Goals))
        largest_window = max(min(work.micro_batch, work.length) for work in windows)

        def trained(size: int) -> float:
            parts = ((work, min(size, work.length)) for work in windows)
            return max(training(shape, work.rows, part, PROMPT, work.layers, pairs) for work, part in parts)

        def read(size: int) -> float:
            return frozen_states(shape, PAIR_ROWS * size, PROMPT)

        yield "read frozen states", "pairs", PAIRS_AT_ONCE, read
        yield "fine-tune", "tokens", largest_window, trained
    asked = tokens + CAPTION_PROMPT
    yield "describe pictures", "pictures", CAPTION_BATCH, lambda n: answering(shape, n, asked, CAPTION_TOKENS)
    if config.axes.search:
        at_once = config.axes.search.prompts
        yield "search for prompts", "prompts", at_once, lambda size: gradients(shape, size, PROMPT, tokens)
    if config.axes.relearning:
        images, layers = config.axes.relearning.batch_size, config.erasure.layers
        yield (
            "relearn",
            "images",
            images,
            lambda size: relearning(shape, size, PROMPT, layers, -(-images // size)),
        )
