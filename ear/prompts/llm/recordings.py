"""Recordings: the raw answers of language models, kept for ever, so that pairs need no endpoint twice.

A file a concept and source, one JSON object a line: append-only, each line on the disk before its pairs are
used. They lie outside of the results, and no rule declares them: Snakemake empties declared outputs.
"""

import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import BaseModel

from ear.errors import InputError

logger = logging.getLogger(__name__)

Messages = Sequence[dict[str, str]]
"""A chat: role and content of each message."""

LENGTH = "length"
"""Why an answer ended that had no more tokens."""


@dataclass(frozen=True)
class Answer:
    """What a language model answered.

    Attributes:
        text: as it came, but for secrets.
        finish_reason: why it ended: stop, length, …
        prompt_tokens: of the request; its bytes where the model does not say, which are never fewer.
        completion_tokens: of the answer; likewise.
        structured: whether the model was told an answer's schema apart from the messages.
    """

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    structured: bool = False


def bytes_of(messages: Messages) -> int:
    """Bytes of a chat."""
    return sum(len(text.encode()) for message in messages for text in message.values())


@dataclass(frozen=True)
class Request:
    """All that decides what a model is asked.

    The endpoint's address does not: the same model may move. Nor does whether that endpoint knows schemas:
    what they say is in the messages, so answers from before them, or from elsewhere, are found again.

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
        """SHA-256 of model, parameters and messages, hexadecimal: by it the recording is found again."""
        facts = {"model": self.model, "parameters": dict(self.parameters), "messages": list(self.messages)}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


class _Usage(BaseModel, strict=True):
    prompt_tokens: int
    completion_tokens: int


class _Line(BaseModel, strict=True):
    """What is read of a line; the rest of it is for people."""

    key: str
    text: str
    finish_reason: str
    usage: _Usage
    structured: bool = False


class Recording:
    """The recorded answers of one source to what it was asked about one concept.

    Reading needs no permission to write, and no file. ``open`` takes it for this process until ``close``:
    another one that wants it waits, and then finds the answers that it would have asked for.

    Raises:
        InputError: a line is no recording; a last one that a kill cut short is left out.
    """

    def __init__(self, path: str | Path, source: str, concept: str) -> None:
        self.path, self.source, self.concept = Path(path), source, concept
        self._guard = FileLock(self.path.with_name(f".{self.path.name}.guard"))
        self.answers: dict[str, Answer] = {}  # by the key of the request
        self._read()

    @property
    def spent(self) -> tuple[int, int]:
        """(prompt tokens, answer tokens) of all recorded answers, of former settings and templates too."""
        answers = self.answers.values()
        return sum(one.prompt_tokens for one in answers), sum(one.completion_tokens for one in answers)

    def open(self) -> None:
        """Take the file for writing, read what others wrote meanwhile, and drop a line that was cut short."""
        if self._guard.is_locked:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._guard.acquire(timeout=0)
            except Timeout:
                logger.warning("%s: waiting until another job has written to it", self.path)
                self._guard.acquire()
            whole = self._read()
            if self.path.exists():
                os.truncate(self.path, whole)
        except OSError as error:
            raise InputError(f"{self.path}: {error.strerror}, wanted a file to write answers to") from None

    def close(self) -> None:
        """Let others write."""
        self._guard.release()

    def add(self, request: Request, answer: Answer) -> None:
        """Record an answer; when this returns, it is on the disk."""
        facts = {"source": self.source, "concept": self.concept, "key": request.key}
        usage = {"prompt_tokens": answer.prompt_tokens, "completion_tokens": answer.completion_tokens}
        told: dict[str, Any] = {"text": answer.text, "finish_reason": answer.finish_reason, "usage": usage}
        told["structured"] = answer.structured
        line = facts | asdict(request) | {"time": datetime.now(UTC).isoformat(timespec="seconds")} | told
        with open(self.path, "ab") as handle:
            handle.write(json.dumps(line).encode() + b"\n")  # ASCII: an answer may hold what is no UTF-8
            handle.flush()
            os.fsync(handle.fileno())
        self.answers[request.key] = answer

    def _read(self) -> int:
        """Read all whole lines; the bytes that they have."""
        self.answers.clear()
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise InputError(f"{self.path}: {error.strerror}, wanted recorded answers") from None
        whole = content[: content.rfind(b"\n") + 1]
        for number, line in enumerate(whole.split(b"\n")[:-1], start=1):
            try:
                row = _Line.model_validate(json.loads(line))  # pydantic's own reader takes no half characters
            except (ValueError, RecursionError):  # pydantic's too
                raise InputError(
                    f"{self.path}:{number}: found {line[:40]!r}, wanted a recorded answer: "
                    "JSON with key, usage, text and finish_reason"
                ) from None
            usage = row.usage.model_dump()
            answer = Answer(row.text, row.finish_reason, **usage, structured=row.structured)
            self.answers.setdefault(row.key, answer)
        return len(whole)
