"""What every source of prompt pairs has in common, and every language model."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ear.prompts.checks import REPEATS, Checked, Proposed, Rejected, Rules

Messages = Sequence[dict[str, str]]
"""A chat: role and content of each message."""


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
    """A language model that answers a chat."""

    concurrency: int
    """Requests that it may be given at once."""

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

    def add(self, asked: int, checked: Checked, answers: Iterable[Answer] = ()) -> None:
        """Count a request, and what its answer held."""
        found = len(checked.pairs)
        self.requests += 1
        self.asked += asked
        self.answered += found + len(checked.rejected)
        self.valid += found + sum(pair.reason in REPEATS for pair in checked.rejected)
        self.unique += found
        for answer in answers:
            self.prompt_tokens += answer.prompt_tokens
            self.completion_tokens += answer.completion_tokens


@dataclass
class SourceResult:
    """What a source made: pairs in their order, the others with their reasons, and what all of it took."""

    pairs: list[Proposed] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)


class Source(Protocol):
    """Where prompt pairs come from."""

    def pairs(self, rules: Rules, count: int) -> SourceResult:
        """Make pairs of a concept.

        Args:
            rules: what a pair must satisfy.
            count: pairs wanted. There may be fewer, where the source can think of no more.

        Raises:
            InputError: there is none, or the source stopped before it had all.
        """
        ...
