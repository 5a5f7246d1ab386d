"""A request to a language model as a value, and the name by which its recording is found again."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ear.prompts.models.base import Messages


@dataclass(frozen=True)
class Request:
    """All that decides what a model is asked. The endpoint's address does not: the same model may move.

    Attributes:
        model: its name.
        parameters: of its sampling, and its revision where it has one.
        messages: the chat.
        template: kind of the template that they were filled from.
        version: of that template.
    """

    model: str
    parameters: Mapping[str, Any]
    messages: Messages
    template: str
    version: int

    @cached_property
    def key(self) -> str:
        """SHA-256 of model, parameters and messages, hexadecimal."""
        facts = {"model": self.model, "parameters": dict(self.parameters), "messages": list(self.messages)}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    @property
    def seed(self) -> int | None:
        """Of the answer's sampling."""
        return self.parameters["seed"]

    @property
    def most_tokens(self) -> tuple[int, int]:
        """Tokens of the request and of its answer, at most."""
        return bytes_of(self.messages), int(self.parameters["max_tokens"])


def bytes_of(messages: Messages) -> int:
    """Bytes of a chat: no token is shorter."""
    return sum(len(text.encode()) for message in messages for text in message.values())
