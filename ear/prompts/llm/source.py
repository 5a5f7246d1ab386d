"""What every source of prompt pairs has in common, and what every language model answers and costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self

from ear.prompts.llm.checks import REPEATS, Checked, Proposed, Rejected

Messages = Sequence[dict[str, str]]
"""A chat: role and content of each message."""
MILLION = 1_000_000


@dataclass(frozen=True)
class Answer:
    """What a language model answered.

    Attributes:
        text: as it came, but for secrets.
        finish_reason: why it ended: stop, length, …
        prompt_tokens: of the request; its bytes where the model does not say, which are never fewer.
        completion_tokens: of the answer; likewise.
    """

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int


class ChatModel(Protocol):
    """A language model that answers chats, so many at once."""

    concurrency: int

    def answer(self, messages: Messages, seed: int | None) -> Answer:
        """Answer a chat.

        Args:
            messages: the chat.
            seed: of its sampling; None: any.

        Raises:
            InputError: there is no answer, for a reason that people can mend.
        """
        ...


@dataclass
class Usage:
    """What pairs took.

    Attributes:
        requests: that were made.
        asked: pairs that they asked for.
        answered: pairs that came back; an answer that holds none counts as one.
        valid: of these, pairs that pass every check but that for near-duplicates.
        unique: of these, pairs that were new.
        prompt_tokens: of all requests, as the model counts them.
        completion_tokens: of all answers, likewise.
    """

    requests: int = 0
    asked: int = 0
    answered: int = 0
    valid: int = 0
    unique: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def add(self, asked: int, checked: Checked, answer: Answer | None = None) -> None:
        """Count a request, and what its answer held."""
        found = len(checked.pairs)
        self.requests += 1
        self.asked += asked
        self.answered += found + len(checked.rejected)
        self.valid += found + sum(pair.reason in REPEATS for pair in checked.rejected)
        self.unique += found
        if answer:
            self.prompt_tokens += answer.prompt_tokens
            self.completion_tokens += answer.completion_tokens


@dataclass
class SourceResult:
    """What a source made: pairs in their order, the others with their reasons, and what all of it took."""

    pairs: list[Proposed] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True)
class Price:
    """What an endpoint charges, a million tokens of prompts (input) and of answers (output)."""

    input: float
    output: float

    def of(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Cost of some tokens."""
        return (prompt_tokens * self.input + completion_tokens * self.output) / MILLION


@dataclass(frozen=True)
class Budget:
    """Limits of what a source may cost a concept; None is no limit.

    Attributes:
        tokens: of prompts and answers.
        cost: in the currency of the price.
        price: what the endpoint charges.
    """

    tokens: float | None = None
    cost: float | None = None
    price: Price | None = None

    @classmethod
    def from_config(cls, limits: Mapping[str, float | None], price: Mapping[str, float] | None) -> Self:
        """From a source's keys ``budget`` and ``price``."""
        return cls(**limits, price=Price(**price) if price else None)

    def exceeded(self, prompt_tokens: int, completion_tokens: int) -> str:
        """The limit that some tokens in all would break, as "key: found limit", or ""."""
        if self.tokens is not None and prompt_tokens + completion_tokens > self.tokens:
            return f"budget.tokens: found {self.tokens:.0f}"
        cost = self.price.of(prompt_tokens, completion_tokens) if self.price else 0
        if self.cost is not None and cost > self.cost:
            return f"budget.cost: found {self.cost:g}"
        return ""


def bytes_of(messages: Messages) -> int:
    """Bytes of a chat."""
    return sum(len(text.encode()) for message in messages for text in message.values())
