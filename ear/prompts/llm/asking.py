"""Asking a language model for pairs, in rounds, until there are enough.

The requests are one endless series. Each is a pure function of the template, the source's settings, the
concept, its number, and the pairs that the rounds before its own brought. Where recordings hold its answer,
nothing is asked: so the pairs are a pure function of the recordings, those of a smaller number are the first
of a larger one's, and what is asked is what is missing.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil
from threading import Lock
from typing import Any

from ear.errors import InputError
from ear.prompts.llm.checks import Proposed, Reason, Rejected, Rules, check_response
from ear.prompts.llm.recordings import Recording, Request
from ear.prompts.llm.source import Answer, Budget, ChatModel, SourceResult, bytes_of
from ear.prompts.llm.templates.filling import Template, fill
from ear.workflow.seeding import stable_seed

logger = logging.getLogger(__name__)

BARREN_ROUNDS = 3
"""Rounds in a row without a new pair after which the model is taken to know no more."""


@dataclass(frozen=True)
class Asking:
    """How a model is asked. Another value of any key gives other requests.

    Attributes:
        model: its name.
        parameters: what it samples with: temperature, max_tokens, and what else its kind has.
        seed: that the requests' seeds are made from; None: requests have none.
        per_request: pairs that a request asks for.
        per_round: requests of a round.
    """

    model: str
    parameters: Mapping[str, Any]
    seed: int | None
    per_request: int
    per_round: int

    @classmethod
    def from_config(cls, keys: Mapping[str, Any]) -> "Asking":
        """From the keys of a source that decide its requests; those not named here are parameters."""
        own = ("model", "seed", "per_request", "per_round")
        return cls(parameters={k: v for k, v in keys.items() if k not in own}, **{k: keys[k] for k in own})


class ModelSource:
    """A language model as a source of pairs.

    Args:
        name: of the source in the config.
        asking: how it is asked.
        template: of the concept's kind.
        recording: of what it answered about the concept.
        budget: what it may cost.
        connect: makes the model, when the first answer is missing: a replay needs no endpoint and no key.
    """

    def __init__(
        self,
        name: str,
        asking: Asking,
        template: Template,
        recording: Recording,
        budget: Budget,
        connect: Callable[[], ChatModel],
    ) -> None:
        self.asking, self.template, self.recording, self.budget = asking, template, recording, budget
        self._key, self._connect = f"prompts.sources.{name}", connect
        self._model: ChatModel | None = None

    def pairs(self, rules: Rules, count: int) -> SourceResult:
        """Make pairs of a concept.

        Args:
            rules: what a pair must satisfy.
            count: pairs wanted. There are fewer where the model can think of no more.

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
            kept = f"{len(result.pairs)} of {count} pairs of {rules.concept} are kept"
            raise InputError(
                f"{error}; {kept}, every answer is recorded, and another run goes on from there"
            ) from None
        finally:
            self.recording.close()
        found, surplus = len(result.pairs), result.pairs[count:]
        if not found:
            raise InputError(
                f"{self._key}: found no pair of {rules.concept} in {result.usage.requests} answers, "
                f"wanted {count}; {self.recording.path} holds them"
            )
        if found < count:
            told = "%s: %d rounds in a row brought no new pair of %s: %d of %d are made"
            logger.warning(told, self._key, BARREN_ROUNDS, rules.concept, found, count)
        result.pairs = result.pairs[:count]
        result.rejected += [Rejected(one.unsafe_prompt, one.safe_prompt, Reason.SURPLUS) for one in surplus]
        return result

    def _round(self, result: SourceResult, rules: Rules, count: int, number: int) -> None:
        """Ask until there are enough, or to the end of the round; no more at once than can be of use."""
        held, asked = tuple(result.pairs), 0
        while asked < self.asking.per_round and len(result.pairs) < count:
            missing = ceil((count - len(result.pairs)) / self.asking.per_request)
            first = number * self.asking.per_round + asked
            asked = min(self.asking.per_round, asked + missing)
            numbers = range(first, number * self.asking.per_round + asked)
            for answer in self._answers([self._request(rules, one, held) for one in numbers]):
                checked = check_response(answer.text, rules, self.asking.per_request, result.pairs)
                result.usage.add(self.asking.per_request, checked, answer)
                result.pairs += checked.pairs
                result.rejected += checked.rejected
        logger.info("%s: %s: round %d: %d pairs", self._key, rules.concept, number + 1, len(result.pairs))

    def _request(self, rules: Rules, number: int, held: Sequence[Proposed]) -> Request:
        seed = self.asking.seed
        if seed is not None:
            seed = stable_seed(seed, rules.concept, number) % 2**31  # servers read 32 bits
        messages = fill(self.template, rules, self.asking.per_request, held, number)
        parameters = {**self.asking.parameters, "seed": seed}
        return Request(self.asking.model, parameters, messages, self.template.kind, self.template.version)

    def _answers(self, requests: Sequence[Request]) -> Iterator[Answer]:
        """The answers, in order: what is recorded is not asked for.

        Raises:
            InputError: one cannot be had; those before it were yielded.
        """
        stopped = ""
        if any(self.recording.get(request) is None for request in requests):
            self.recording.open()  # another job may have asked for it meanwhile
            missing = {one.key: one for one in requests if self.recording.get(one) is None}
            stopped = self._ask(list(missing.values()))
        for request in requests:
            if (answer := self.recording.get(request)) is None:
                raise InputError(stopped)
            yield answer

    def _ask(self, requests: Sequence[Request]) -> str:
        """Ask for and record what the budget allows; the reason why not all of it, or ""."""
        while requests:
            affordable, limit = self._affordable(requests)
            if not affordable:
                prompt, completion = self.recording.spent
                return (
                    f"{self._key}.{limit}, wanted more: {prompt + completion} tokens are spent, and one "
                    "request more might not fit"
                )
            if failed := self._send(affordable):
                return failed
            requests = requests[len(affordable) :]  # took less than they might have: more may fit now
        return ""

    def _affordable(self, requests: Sequence[Request]) -> tuple[Sequence[Request], str]:
        """The first requests that fit into the budget together, and the limit that the next would break."""
        prompt, completion = self.recording.spent
        for place, request in enumerate(requests):
            prompt += bytes_of(request.messages)  # no token is shorter
            completion += self.asking.parameters["max_tokens"]
            if limit := self.budget.exceeded(prompt, completion):
                return requests[:place], limit
        return requests, ""

    def _send(self, requests: Sequence[Request]) -> str:
        """Send requests, and record each answer as soon as it is there; why one failed, or ""."""
        self._model = model = self._model or self._connect()
        writing, failed = Lock(), list[str]()

        def ask(request: Request) -> None:
            if failed:
                return
            try:
                answer = model.answer(request.messages, request.parameters["seed"])
            except InputError as error:
                failed.append(str(error))
            else:
                with writing:
                    self.recording.add(request, answer)

        with ThreadPoolExecutor(model.concurrency) as pool:
            list(pool.map(ask, requests))
        return failed[0] if failed else ""
