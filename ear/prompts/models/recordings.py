"""Recordings: the raw answers of language models, kept for ever, so that pairs need no endpoint twice.

A file a concept and source, one JSON object a line: append-only, each line on the disk before its pairs are
used. They lie outside of the results, and no rule declares them: Snakemake empties declared outputs.
"""

import json
import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ear.errors import InputError
from ear.prompts.models.base import Answer
from ear.prompts.models.requests import Request

logger = logging.getLogger(__name__)

TOKENS = ("prompt_tokens", "completion_tokens")


class Recording:
    """The recorded answers of one source to what it was asked about one concept.

    Reading needs no permission to write. ``open`` takes the file for this process until ``close``: another
    one that wants it waits, and then finds the answers that it would have asked for.

    Args:
        path: of the file; it need not be there.
        source: name of the source.
        concept: name of the concept.

    Raises:
        InputError: a line is no recording; a last one that a kill cut short is left out.

    """

    def __init__(self, path: str | Path, source: str, concept: str) -> None:
        self.path, self.source, self.concept = Path(path), source, concept
        self._guard = FileLock(self.path.with_name(f".{self.path.name}.guard"))
        self._answers: dict[str, Answer] = {}
        self._read()

    def get(self, request: Request) -> Answer | None:
        """The recorded answer to a request, or None."""
        return self._answers.get(request.key)

    @property
    def spent(self) -> tuple[int, int]:
        """(prompt tokens, answer tokens) of all recorded answers, of former settings and templates too."""
        return (
            sum(answer.prompt_tokens for answer in self._answers.values()),
            sum(answer.completion_tokens for answer in self._answers.values()),
        )

    def open(self) -> None:
        """Take the file for writing, read what others wrote meanwhile, and mend its end."""
        if self._guard.is_locked:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._guard.acquire(timeout=0)
            except Timeout:
                logger.warning("%s: another job writes to it; waiting", self.path)
                self._guard.acquire()
            self._read()
            self._mend()
        except OSError as error:
            raise InputError(f"{self.path}: {error.strerror}, wanted a file to write answers to") from None

    def close(self) -> None:
        """Let others write."""
        self._guard.release()

    def add(self, request: Request, answer: Answer) -> None:
        """Record an answer; when this returns, it is on the disk."""
        line = {
            "key": request.key,
            "model": request.model,
            "source": self.source,
            "concept": self.concept,
            "parameters": dict(request.parameters),
            "template": request.template,
            "version": request.version,
            "messages": list(request.messages),
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "usage": {name: getattr(answer, name) for name in TOKENS},
            "text": answer.text,
            "finish_reason": answer.finish_reason,
        }
        with open(self.path, "ab") as handle:
            handle.write(json.dumps(line).encode() + b"\n")  # ASCII: an answer may hold what is no UTF-8
            handle.flush()
            os.fsync(handle.fileno())
        self._answers[request.key] = answer

    def _read(self) -> None:
        self._answers.clear()
        try:
            lines = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return
        except OSError as error:
            raise InputError(f"{self.path}: {error.strerror}, wanted recorded answers") from None
        for number, line in enumerate(lines, start=1):
            try:
                if line:
                    key, answer = _parsed(line)
                    self._answers.setdefault(key, answer)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                if number == len(lines):  # without its line end: a kill cut it short
                    continue
                raise InputError(
                    f"{self.path}:{number}: found {line[:40]!r}, wanted a recorded answer: "
                    f"JSON with key, usage, text and finish_reason"
                ) from None

    def _mend(self) -> None:
        """Let the file end with a whole line."""
        if not self.path.exists():
            return
        content = self.path.read_bytes()
        rest = content.rpartition(b"\n")[2]
        if not rest:
            return
        with open(self.path, "rb+") as handle:
            handle.seek(0, os.SEEK_END)
            try:
                _parsed(rest)
                handle.write(b"\n")
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                handle.truncate(len(content) - len(rest))
                logger.warning("%s: its last line was cut short and is left out", self.path)
            handle.flush()
            os.fsync(handle.fileno())


def _parsed(line: bytes) -> tuple[str, Answer]:
    """Key and answer of a line."""
    row: dict[str, Any] = json.loads(line)
    text, reason, usage = row["text"], row["finish_reason"], row["usage"]
    counts = [usage[name] for name in TOKENS]
    if not (isinstance(text, str) and isinstance(row["key"], str) and isinstance(reason, str)):
        raise TypeError("wanted text")
    if not all(isinstance(count, int) for count in counts):
        raise TypeError("wanted numbers")
    return row["key"], Answer(text, reason, *counts)
