"""The config of prompts: which sources make the pairs, and how many prompts of each kind there are."""

import re
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic.config import JsonDict

from ear.config.sections import Name, NotNegative, Positive, Rate, Section, Seed
from ear.workflow.seeding import GRAMMAR, PUBLISHED

SECRET: JsonDict = {"writeOnly": True}
"""Of fields that people may write a key into by mistake: errors do not show what they hold."""
Variable = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]  # capitals: keys themselves have other letters
CALLS = {"base_url", "key", "length_key", "concurrency", "timeout_s", "attempts"}
COUNTS = {"by", "pairs", "budget", "price"}
"""Keys of a source that have no part in what a request says."""


class GrammarSource(Section):
    """The caption grammar of the mini world."""

    by: Literal["grammar"] = Field(description="kind of source")
    pairs: Positive = Field(description="candidate pairs of each concept, before the visual filter")


class Budget(Section):
    """What a source may cost, a concept, all recorded answers counted. A run stops before it costs more."""

    tokens: Positive | None = Field(None, description="most prompt and answer tokens; none: any number")
    cost: Rate | None = Field(
        None, description="most that may be spent, in price's currency; none: any amount"
    )


class Price(Section):
    """What an endpoint charges."""

    input: NotNegative = Field(description="price of a million prompt tokens, in a currency of your own")
    output: NotNegative = Field(description="price of a million answer tokens, in the same currency")


class _Model(Section):
    """What all language models are asked by. Another value of a key asks anew, but for ``pairs``."""

    pairs: Positive = Field(
        description="candidate pairs of each concept; more go on from those that there are"
    )
    model: str = Field(description="name of the model at the endpoint, or on the hub", min_length=1)
    temperature: NotNegative | None = Field(
        1.0, description="temperature of sampling; none: the endpoint's own"
    )
    seed: Seed | None = Field(0, description="seed of the requests; none where the endpoint takes no seeds")
    per_request: Positive = Field(10, description="number of pairs that a request asks for")
    per_round: Positive = Field(8, description="requests of a round; the next round gets its results")
    max_tokens: Positive = Field(2000, description="most tokens of an answer")

    def asks(self) -> dict[str, Any]:
        """What decides a request, as plain values."""
        return self.model_dump(exclude=CALLS | COUNTS)


class ChatSource(_Model):
    """A language model behind an endpoint that speaks the OpenAI chat API."""

    by: Literal["chat"] = Field(description="kind of source")
    base_url: str = Field(
        description="address of the endpoint, as in http://localhost:8000/v1", json_schema_extra=SECRET
    )
    key: Variable | None = Field(
        None,
        description="NAME, in capitals, of the environment variable with the key; none: no key",
        json_schema_extra=SECRET,
    )
    length_key: Literal["max_tokens", "max_completion_tokens"] = Field(
        "max_tokens", description="name of max_tokens at the endpoint; OpenAI's own wants the longer name"
    )
    concurrency: Positive = Field(4, description="requests of a concept that are under way at once")
    timeout_s: Rate = Field(120.0, description="seconds without a sign of the answer, before a new attempt")
    attempts: Positive = Field(6, description="times that a request is sent before the job gives up")
    budget: Budget = Field(Budget(tokens=None, cost=None), description="tokens and cost at which a run stops")
    price: Price | None = Field(None, description="what the endpoint charges; none: nothing, or not known")

    @field_validator("base_url")
    @classmethod
    def _plain(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("wanted an address that starts with http:// or https://")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("wanted an address without user, password, ? and #: the API key goes by `key`")
        return url

    @model_validator(mode="after")
    def _priced(self) -> Self:
        if self.budget.cost is not None and self.price is None:
            raise ValueError("wanted price, which budget.cost needs")
        return self

    def calls(self) -> dict[str, Any]:
        """How the endpoint is called, as plain values: the name of the key's variable, not the key."""
        return self.model_dump(include=CALLS)


class TransformersSource(_Model):
    """A chat model that transformers runs inside of the job."""

    by: Literal["transformers"] = Field(description="kind of source")
    revision: str | None = Field(None, description="commit of the model on the hub; none for a folder")
    dtype: Literal["float32", "bfloat16", "float16"] = Field(description="number format of weights")

    @model_validator(mode="after")
    def _pinned(self) -> Self:
        folder = self.model.startswith((".", "/"))
        if not folder and not re.fullmatch("[0-9a-f]{40}", self.revision or ""):
            raise ValueError("wanted revision, the 40 hexadecimal digits of the model's commit on the hub")
        if folder and self.revision is not None:
            raise ValueError("wanted no revision, because model is a folder")
        return self


PromptSource = Annotated[GrammarSource | ChatSource | TransformersSource, Field(discriminator="by")]


class Prompts(Section):
    """Where prompts come from, but for concepts with published ones, and how many there are of each kind."""

    target: Positive = Field(description="number of held-out prompts that name the concept")
    retention: Positive = Field(description="number of held-out prompts that do not name the concept")
    max_words: Positive = Field(40, description="most words of a pair's prompt")
    sources: dict[Name, PromptSource] = Field(
        description="what makes pairs, by name; their order is that of the pairs", min_length=1
    )
    recordings: str = Field("recordings", description="folder of the models' answers, shared by experiments")

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        if PUBLISHED in self.sources:
            raise ValueError(f"wanted another name than {PUBLISHED}, which is that of the authors' pairs")
        if len(self.by(GRAMMAR)) > 1:
            raise ValueError("wanted at most one source with by: grammar")
        return self

    def by(self, kind: str) -> list[str]:
        """Names of the sources of a kind."""
        return [name for name, source in self.sources.items() if source.by == kind]

    def prices(self) -> dict[str, dict[str, float]]:
        """Source → what its endpoint charges, as plain values, where that is known."""
        return {
            name: source.price.model_dump()
            for name, source in self.sources.items()
            if isinstance(source, ChatSource) and source.price
        }

    @property
    def pairs(self) -> int:
        """Candidate pairs of all sources, a concept."""
        return sum(source.pairs for source in self.sources.values())

    def asked(self, name: str, held_out: bool) -> int:
        """Pairs that a source makes; with ``held_out``, its share of the evaluation prompts too."""
        own = self.sources[name].pairs
        if not held_out:
            return own
        names, most = list(self.sources), max(self.target, self.retention)
        before = sum(self.sources[other].pairs for other in names[: names.index(name)])
        # Differences of rounded sums: the shares of all sources add up.
        return own + most * (before + own) // self.pairs - most * before // self.pairs
