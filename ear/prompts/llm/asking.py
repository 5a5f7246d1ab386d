"""Asking a language model for pairs, in rounds, until there are enough.

The requests are one endless series. Each is a pure function of the template, the source's settings, the
concept, its number, and the pairs that the rounds before its own brought. Where recordings hold its answer,
nothing is asked: so the pairs are a pure function of the recordings, those of a smaller number are the first
of a larger one's, and what is asked is what is missing.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil
from threading import Lock
from typing import Any, Protocol

from ear.errors import InputError
from ear.prompts.llm.checks import Proposed, Reason, Rejected, Rules, SourceResult
from ear.prompts.llm.recordings import LENGTH, Answer, Messages, Recording, Request, bytes_of
from ear.prompts.llm.templates.filling import Template, bounded_schema, fill
from ear.workflow.seeding import stable_seed

logger = logging.getLogger(__name__)

BARREN_ROUNDS = 3
"""Rounds in a row without a new pair after which the model is taken to know no more."""
MILLION = 1_000_000
OWN = ("model", "seed", "per_request", "per_round")
"""Keys of a source that are no parameters of its sampling."""


class ChatModel(Protocol):
    """A language model that answers chats, so many at once."""

    concurrency: int

    def answer(self, messages: Messages, seed: int | None) -> Answer:
        """Answer a chat, sampled with a seed, or with any where it is None.

        Raises:
            InputError: there is no answer, for a reason that people can mend.
        """
        ...


@dataclass(frozen=True)
class Budget:
    """Limits of what a source may cost a concept, in tokens and in the price's currency; None is no limit."""

    tokens: float | None = None
    cost: float | None = None
    price: Mapping[str, float] | None = None

    def exceeded(self, prompt_tokens: int, completion_tokens: int) -> str:
        """The limit that some tokens in all would break, as "key: found limit", or ""."""
        if self.tokens is not None and prompt_tokens + completion_tokens > self.tokens:
            return f"budget.tokens: found {self.tokens:.0f}"
        if self.cost is not None and cost_of(prompt_tokens, completion_tokens, self.price or {}) > self.cost:
            return f"budget.cost: found {self.cost:g}"
        return ""


def cost_of(prompt_tokens: int, completion_tokens: int, price: Mapping[str, float]) -> float:
    """Cost of some tokens at a price of a million (input, output); 0 without one."""
    return (prompt_tokens * price.get("input", 0) + completion_tokens * price.get("output", 0)) / MILLION


class ModelSource:
    """A language model as a source of pairs.

    Args:
        name: of the source in the config.
        keys: of the source in the config that decide its requests: model, seed, per_request, per_round, and
            parameters that it samples with, as temperature and max_tokens.
        template: of the concept's kind.
        recording: of what it answered about the concept.
        budget: what it may cost.
        connect: makes the model of its name, an answer's schema and its parameters, when the first answer is
            missing: a replay needs no endpoint and no key.
    """

    def __init__(
        self,
        name: str,
        keys: Mapping[str, Any],
        template: Template,
        recording: Recording,
        budget: Budget,
        connect: Callable[..., ChatModel],
    ) -> None:
        self.keys, self.template, self.recording, self.budget = keys, template, recording, budget
        self.parameters = {key: value for key, value in keys.items() if key not in OWN}
        self._key, self._connect = f"prompts.sources.{name}", connect
        self._model: ChatModel | None = None

    def pairs(self, rules: Rules, count: int) -> SourceResult:
        """Make pairs of a concept, so many or, where the model can think of no more, fewer.

        Raises:
            InputError: the budget is spent, the endpoint fails for good, or no pair was found.
        """
        result, rounds, barren = SourceResult(), 0, 0
        try:
            while len(result.pairs) < count and barren < BARREN_ROUNDS:
                before = len(result.pairs)
                self._round(result, rules, count, rounds)
                barren = 0 if len(result.pairs) > before else barren + 1
                rounds += 1
        except InputError as error:
            raise InputError(
                f"{error}; all answers are recorded, and the next run continues from there"
            ) from None
        finally:
            self.recording.close()
            logger.info("%s: %s: %s", self._key, rules.concept, result.summary())
        found, surplus = len(result.pairs), result.pairs[count:]
        if not found:
            raise InputError(
                f"{self._key}: found no pair of {rules.concept} in {result.summary()}; wanted {count}: "
                f"read them in {self.recording.path}, then change the model, max_tokens or per_request"
            )
        if found < count:
            told = "%s: %d rounds in a row gave no new pair of %s: going on with %d of %d"
            logger.warning(told, self._key, BARREN_ROUNDS, rules.concept, found, count)
        result.pairs = result.pairs[:count]
        result.rejected += [Rejected(one.unsafe_prompt, one.safe_prompt, Reason.SURPLUS) for one in surplus]
        return result

    def _round(self, result: SourceResult, rules: Rules, count: int, number: int) -> None:
        """Ask until there are enough, or to the end of the round; no more at once than can be of use."""
        held, per_request, per_round = tuple(result.pairs), self.keys["per_request"], self.keys["per_round"]
        first, end = number * per_round, (number + 1) * per_round
        while first < end and len(result.pairs) < count:
            stop = min(end, first + ceil((count - len(result.pairs)) / per_request))
            requests = [self._request(rules, one, held) for one in range(first, stop)]
            first = stop
            for answer in self._answers(requests, rules):
                result.add(answer.text, rules, per_request, cut=answer.finish_reason == LENGTH)
                result.usage.prompt_tokens += answer.prompt_tokens
                result.usage.completion_tokens += answer.completion_tokens
        logger.info("%s: %s: %d rounds, %d pairs", self._key, rules.concept, number + 1, len(result.pairs))

    def _request(self, rules: Rules, number: int, held: Sequence[Proposed]) -> Request:
        seed = self.keys["seed"]
        if seed is not None:
            seed = stable_seed(seed, rules.concept, number) % 2**31  # servers read 32 bits
        messages = fill(self.template, rules, self.keys["per_request"], held, number)
        parameters = {**self.parameters, "seed": seed}
        return Request(self.keys["model"], parameters, messages, self.template.kind, self.template.version)

    def _answers(self, requests: Sequence[Request], rules: Rules) -> list[Answer]:
        """The answers, in order: what is recorded is not asked for."""
        answers = self.recording.answers
        if any(one.key not in answers for one in requests):
            self.recording.open()  # another job may have asked for it meanwhile
            missing = {one.key: one for one in requests if one.key not in answers}
            self._ask(list(missing.values()), rules)
        return [answers[one.key] for one in requests]

    def _ask(self, requests: Sequence[Request], rules: Rules) -> None:
        """Send requests as the budget allows, and record each answer as soon as it is there."""
        schema = bounded_schema(rules, self.keys["per_request"])
        self._model = model = self._model or self._connect(self.keys["model"], schema, **self.parameters)
        writing, failed = Lock(), list[InputError]()

        def ask(request: Request) -> None:
            if failed:
                return
            try:
                answer = model.answer(request.messages, request.parameters["seed"])
            except InputError as error:
                failed.append(error)
                return
            with writing:
                self.recording.add(request, answer)

        while requests:
            affordable = self._affordable(requests)
            with ThreadPoolExecutor(model.concurrency) as pool:
                list(pool.map(ask, affordable))
            if failed:
                raise failed[0]
            requests = requests[len(affordable) :]  # took less than they might have: more may fit now

    def _affordable(self, requests: Sequence[Request]) -> Sequence[Request]:
        """The first requests that fit into the budget together.

        Raises:
            InputError: not even the first one fits.
        """
        prompt, completion = spent = self.recording.spent
        for place, request in enumerate(requests):
            prompt += bytes_of(request.messages)  # no token is shorter
            completion += self.parameters["max_tokens"]
            if limit := self.budget.exceeded(prompt, completion):
                if place:
                    return requests[:place]
                raise InputError(
                    f"{self._key}.{limit}, wanted more: {sum(spent)} tokens are used, and the next request "
                    "could exceed it: raise it, or lower pairs"
                )
        return requests
