"""Language models behind the OpenAI chat API: hosted ones, vLLM, Ollama, llama.cpp, transformers serve."""

import json
import logging
import os
import re
from collections.abc import Mapping
from threading import Lock
from typing import Any

import openai

from ear.errors import InputError, one_line
from ear.prompts.llm.recordings import Answer, Messages, bytes_of

TALKATIVE = ("openai", "httpx", "httpx2", "httpcore", "httpcore2")
"""Loggers that would write requests, and their headers with them."""
REDACTED = "[key]"
KEY = re.compile(r"[!-~]{8,}")
"""A key of an endpoint. Taking a shorter one out of texts would damage words that happen to hold it."""

UNKNOWN_FORMAT = re.compile("response_format|schema|grammar", re.IGNORECASE)
"""What endpoints say that do not know response_format, or cannot use this schema."""

logger = logging.getLogger(__name__)


class ChatEndpoint:
    """A model behind an address. Safe to use by several threads.

    The client sends again, with growing pauses, what failed for a while: after 408, 409, 429 and 5xx,
    time-outs and cut connections. It asks for structured output until the endpoint refuses that.

    Args:
        where: key of the config, for messages.
        model: its name there.
        schema: JSON schema of an answer.
        base_url: address of the API.
        key: name of the environment variable with the key; None for a server without.
        temperature: of its sampling; None: not sent.
        max_tokens: of an answer.
        length_key: how the endpoint calls that.
        concurrency: requests under way at once, at most.
        timeout_s: seconds without a sign of the answer.
        attempts: times that a request is sent, at most.

    Raises:
        InputError: there is no key in the variable.
    """

    def __init__(
        self,
        where: str,
        model: str,
        schema: Mapping[str, Any],
        base_url: str,
        key: str | None,
        temperature: float | None,
        max_tokens: int,
        length_key: str,
        concurrency: int,
        timeout_s: float,
        attempts: int,
    ) -> None:
        for name in TALKATIVE:
            logging.getLogger(name).setLevel(logging.WARNING)
        self.where, self.model, self.concurrency, self._address = where, model, concurrency, base_url
        self._sampling: dict[str, Any] = {length_key: max_tokens}
        if temperature is not None:
            self._sampling["temperature"] = temperature
        # Without strict, which has OpenAI's endpoint refuse schemas with bounds; others are strict anyway.
        form = {"type": "json_schema", "json_schema": {"name": "pairs", "schema": schema}}
        self._form: dict[str, Any] = {"response_format": form}
        self._refusing = Lock()
        self._key = read_key(key, f"{where}.key")
        # Without a key the client would take OPENAI_API_KEY, and send it to whatever address this is.
        self._client = openai.OpenAI(
            base_url=base_url, api_key=self._key or "none", timeout=timeout_s, max_retries=attempts - 1
        )

    def answer(self, messages: Messages, seed: int | None) -> Answer:
        form = self._form  # another thread may empty it meanwhile
        body: dict[str, Any] = {"model": self.model, "messages": list(messages), **self._sampling, **form}
        if seed is not None:
            body["seed"] = seed
        try:
            text = self._client.chat.completions.with_raw_response.create(**body).text
        except openai.APIStatusError as error:
            reason = f"answered HTTP {error.status_code} ({error.response.text})"
            if form and error.status_code in (400, 422) and UNKNOWN_FORMAT.search(error.response.text):
                self._do_without_form(reason)
                return self.answer(messages, seed)
        except openai.OpenAIError as error:
            reason = f"{error} ({type(error.__cause__).__name__})"
        else:
            try:
                return self._answer(json.loads(text), messages, bool(form))
            except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
                reason = "answered with no chat completion: set base_url to the address of an OpenAI chat API"
        # Without its cause, which holds the request with its key.
        raise InputError(f"{self.where}: {self._address}: {self._clean(reason)}") from None

    def _do_without_form(self, reason: str) -> None:
        """Ask for no structured output from now on, and say so once."""
        with self._refusing:
            if self._form:
                told = "%s: %s: knows no structured output, going on without: %s"
                logger.warning(told, self.where, self._address, self._clean(reason))
            self._form = {}

    def _answer(self, body: Any, messages: Messages, structured: bool) -> Answer:
        """What a chat completion holds."""
        choice, usage = body["choices"][0], body.get("usage") or {}
        text = self._without_key(choice["message"].get("content") or "")
        return Answer(
            text=text,
            finish_reason=self._clean(str(choice.get("finish_reason"))),
            prompt_tokens=int(usage.get("prompt_tokens") or bytes_of(messages)),
            completion_tokens=int(usage.get("completion_tokens") or len(text)),
            structured=structured,
        )

    def _clean(self, text: str) -> str:
        """Words of a server as a piece of one line."""
        return one_line("".join(sign if sign.isprintable() else " " for sign in self._without_key(text)))

    def _without_key(self, text: str) -> str:
        """A text without the key: a server may send back the header that it was sent."""
        return text.replace(self._key, REDACTED) if self._key else text


def read_key(variable: str | None, where: str) -> str:
    """The key in the environment variable that a key of the config names; empty where none is named.

    Raises:
        InputError: the variable is not set, or what it holds is no key. The message does not show it.
    """
    key = os.environ.get(variable, "").strip() if variable else ""
    if variable and not KEY.fullmatch(key):
        found = f"with {len(key)} characters" if key else "which is not set"
        raise InputError(
            f"{where}: found {variable}, {found}, wanted the environment variable with the API key, 8 or "
            "more visible ASCII characters; for a server without keys, set key: null"
        )
    return key
