"""What asking may cost, and whether one more request still fits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

MILLION = 1_000_000


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

    tokens: int | None = None
    cost: float | None = None
    price: Price | None = None

    @classmethod
    def from_config(cls, limits: Mapping[str, float | None], price: Mapping[str, float] | None) -> Self:
        """From a source's keys ``budget`` and ``price``."""
        tokens = limits["tokens"]
        return cls(None if tokens is None else int(tokens), limits["cost"], Price(**price) if price else None)

    def exceeded(self, prompt_tokens: int, completion_tokens: int) -> str:
        """The limit that some tokens would break, as "key: found limit", or "".

        Args:
            prompt_tokens: in all.
            completion_tokens: in all.
        """
        if self.tokens is not None and prompt_tokens + completion_tokens > self.tokens:
            return f"budget.tokens: found {self.tokens}"
        if (
            self.cost is not None
            and self.price
            and self.price.of(prompt_tokens, completion_tokens) > self.cost
        ):
            return f"budget.cost: found {self.cost:g}"
        return ""

    def in_words(self, prompt_tokens: int, completion_tokens: int) -> str:
        """Some tokens, and what they cost where that is known."""
        words = f"{prompt_tokens + completion_tokens} tokens"
        return f"{words} ({self.price.of(prompt_tokens, completion_tokens):.4f})" if self.price else words
