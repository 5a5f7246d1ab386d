"""Language models behind the OpenAI chat API: hosted ones, vLLM, Ollama, llama.cpp, transformers serve."""

import json
import logging
from collections.abc import Mapping
from typing import Any

import openai

from ear.errors import InputError
from ear.prompts.models.base import Answer, Messages
from ear.prompts.models.requests import bytes_of
from ear.prompts.models.secrets import read_key, without_key

logger = logging.getLogger(__name__)

TALKATIVE = ("openai", "httpx", "httpx2", "httpcore", "httpcore2")
"""Loggers that would write requests, and their headers with them."""
SHOWN = 200  # characters of an error that a server sends


class ChatEndpoint:
    """A model behind an address. Requests that fail for a while are sent again, with growing pauses.

    Sent again are requests after 408, 409, 429 (after the pause that the server asks for, up to two minutes)
    and 5xx, time-outs, cut connections and answers that are no JSON. Safe to use by several threads.

    Args:
        where: key of the config, for messages.
        model: its name there.
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
        self.where, self.model, self.concurrency, self.attempts = where, model, concurrency, attempts
        self._address = base_url
        self._sampling: dict[str, Any] = {length_key: max_tokens}
        if temperature is not None:
            self._sampling["temperature"] = temperature
        self._key = read_key(key, f"{where}.key")
        # Without a key the client would take OPENAI_API_KEY, and send it to whatever address this is.
        self._client = openai.OpenAI(
            base_url=base_url, api_key=self._key or "none", timeout=timeout_s, max_retries=attempts - 1
        )

    def answer(self, messages: Messages, seed: int | None) -> Answer:
        body: dict[str, Any] = {"model": self.model, "messages": list(messages), **self._sampling}
        if seed is not None:
            body["seed"] = seed
        for attempt in range(self.attempts):
            text = self._sent(body)
            try:
                return self._answer(json.loads(text), messages)
            except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
                logger.warning("%s: attempt %d came back as no chat completion", self.where, attempt + 1)
        raise InputError(
            f"{self.where}: {self._address} answered {self.attempts} times with no chat completion, "
            f"wanted one: is base_url the address of an OpenAI chat API?"
        )

    def _sent(self, body: Mapping[str, Any]) -> str:
        """The body of the answer to a request. Errors lose their cause: it holds the request with its key."""
        try:
            return self._client.chat.completions.with_raw_response.create(**body).text
        except openai.APIStatusError as error:
            said = self._clean(error.response.text)
            reason = f"{self._address} answered HTTP {error.status_code} ({said or 'and said nothing'})"
        except openai.APITimeoutError:
            reason = f"{self._address} gave no sign within timeout_s, {self.attempts} times"
        except openai.APIConnectionError as error:
            cause = type(error.__cause__).__name__
            reason = f"{self._address} was out of reach or hung up, {self.attempts} times ({cause})"
        except openai.OpenAIError as error:
            reason = f"{self._address}: {self._clean(str(error))}"
        except UnicodeError:
            reason = f"{self._address}: found a request that is no text"
        raise InputError(f"{self.where}: {reason}") from None

    def _answer(self, body: Any, messages: Messages) -> Answer:
        """What a chat completion holds, the key taken out."""
        choice, usage = body["choices"][0], body.get("usage") or {}
        content = choice["message"].get("content")
        text = without_key(content if isinstance(content, str) else "", self._key)
        return Answer(
            text=text,
            finish_reason=self._clean(str(choice.get("finish_reason") or "")),
            prompt_tokens=_count(usage.get("prompt_tokens"), bytes_of(messages)),
            completion_tokens=_count(usage.get("completion_tokens"), len(text.encode(errors="replace"))),
        )

    def _clean(self, text: str) -> str:
        """Words of a server as a piece of one line."""
        line = " ".join("".join(c if c.isprintable() else " " for c in without_key(text, self._key)).split())
        return line if len(line) <= SHOWN else line[:SHOWN] + "…"


def _count(value: Any, otherwise: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else otherwise
