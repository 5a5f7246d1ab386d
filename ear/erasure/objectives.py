"""The objectives: what the frozen model's states make the goal, and L_t of each image token.

h is the last hidden state after the final norm, θ* the frozen model and θ the trained one, c_u an unsafe
prompt and c_s its safe twin, x the unsafe stream. An image has T steps, one an image token: step 0 reads the
prompt, step t the token t − 1.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from ear.erasure import variants as presets
from ear.models.janus import Tokens


class States(NamedTuple):
    """Hidden states of a run of steps, split where shapes differ.

    Attributes:
        first: step 0, if it is among them: (R, P, D), with P the prompt's positions without context and 1
            with context.
        later: the other steps, if there are any: (R, steps, D); one row where all rows are the same.
    """

    first: Tensor | None
    later: Tensor | None

    def rows(self, chosen: slice) -> "States":
        """Some of the rows."""
        return States(*(None if part is None else part[chosen] for part in self))


@dataclass(frozen=True)
class Example:
    """One pair, ready to be trained on.

    Attributes:
        prompt: R rows that are trained on: of the unsafe prompt [conditional; unconditional] or
            [conditional]; in context "mixed" the unsafe prompt, once for each cut, and the safe prompt.
        stream: (T,) int64, the unsafe stream; in context "mixed" (R, T), each row's own.
        goal: what the objective made of the frozen states, for all T steps.
        shares: (R, T) weight of each row in L_t, in context "mixed"; elsewhere None.
        initial_losses: (T,) L_t of the frozen model itself, before any training.
    """

    prompt: Tokens
    stream: Tensor
    goal: States
    shares: Tensor | None = None
    initial_losses: Tensor = field(default_factory=lambda: torch.empty(0))


class Objective(ABC):
    """L_t, and the frozen states that it needs.

    Attributes:
        reads: streams along which frozen states are read.
        rows: rows of the frozen states that it needs, or None for those that are trained on.

    Args:
        image_logits: the frozen image head, (…, D) → (…, V).
        eta: η.
    """

    reads: ClassVar[tuple[str, ...]] = ("unsafe",)
    rows: ClassVar[presets.Rows | None] = None

    def __init__(self, image_logits: Callable[[Tensor], Tensor], eta: float) -> None:
        self.image_logits = image_logits
        self.eta = eta

    @abstractmethod
    def goal(self, frozen: Mapping[str, States]) -> States:
        """The goal of all steps, from the frozen states by stream."""

    @abstractmethod
    def losses(self, states: States, example: Example, start: int, stop: int) -> Tensor:
        """L_t of steps start … stop − 1.

        Args:
            states: of θ, for these steps.
            example: the pair.
            start: first step.
            stop: the step after the last.

        Returns:
            (stop − start,) losses.
        """


class MeanSquaredError(Objective):
    """The paper's objective.

    target_t = h_θ*(c_s)_t − η · (h_θ*(c_u)_t − h_θ*(c_s')_t),    L_t = MSE(h_θ(c_u)_t, target_t)

    The mean runs over rows, features and, without context, the prompt's positions in step 0. Source:
    arXiv 2506.20151, Section "Method"; `train_*.py` of the release.
    """

    reads = ("unsafe", "target", "neutral")

    def goal(self, frozen: Mapping[str, States]) -> States:
        return States(
            *(
                target - self.eta * (unsafe - neutral)
                for unsafe, target, neutral in zip(*(frozen[name] for name in self.reads), strict=True)
            )
        )

    def losses(self, states: States, example: Example, start: int, stop: int) -> Tensor:
        goal, parts = example.goal, []
        if states.first is not None:
            assert goal.first is not None, "the goal covers all steps of an image"
            parts.append((states.first - goal.first).square().mean().reshape(1))
        if states.later is not None:
            wanted = _later(goal, start, stop)
            parts.append((states.later - wanted).square().mean(dim=(0, 2)))
        return torch.cat(parts)


class KullbackLeibler(Objective):
    """Obliviate's objective, with the frozen model's two rows read along the same unsafe stream.

    L_t = KL( softmax(u_t − η · (c_t − u_t)) ‖ p_θ(· | c_u, x_<t) ), with c and u the conditional and the
    unconditional image logits of θ*. Source: arXiv 2606.28643, which trains LoRA of rank 32 (α 16, lr 1e-4,
    1 000 steps of one stream, gradient norm 0.5, η = 2) where we train the same attention projections as all
    other methods do.
    """

    rows = "both"

    def goal(self, frozen: Mapping[str, States]) -> States:
        return frozen["unsafe"]

    def losses(self, states: States, example: Example, start: int, stop: int) -> Tensor:
        conditional, unconditional = self.image_logits(_steps(example.goal, start, stop))  # (w, V) each
        teacher = (unconditional - self.eta * (conditional - unconditional)).log_softmax(dim=-1)
        student = self.image_logits(_of_window(states)[0]).log_softmax(dim=-1)
        return (teacher.exp() * (teacher - student)).sum(dim=-1)


class Ascent(Objective):
    """Gradient ascent on the unsafe prompts: the log-likelihood of the unsafe stream is lowered.

    L_t = log p_θ(x_t | c_u, x_<t). It has no lower bound, so learning rate and steps decide how much is lost.
    Source: Jang et al., "Knowledge Unlearning for Mitigating Privacy Risks in Language Models"
    (arXiv 2210.01504), on image tokens.
    """

    def goal(self, frozen: Mapping[str, States]) -> States:
        return States(None, None)

    def losses(self, states: States, example: Example, start: int, stop: int) -> Tensor:
        log_likelihood = self.image_logits(_of_window(states)[0]).log_softmax(dim=-1)  # (w, V)
        return log_likelihood.gather(1, example.stream[start:stop, None])[:, 0]


class Redirect(Objective):
    """Our own: whatever has been drawn so far, go on as the frozen model does with the safe prompt.

    With x the unsafe stream, y the safe prompt's and m(k) = [x_0 … x_(k−1), y_k … y_(T−1)] the mixed stream
    of a cut k, of which J are drawn for a pair (``ear.erasure.sequences.cuts``):

    L_t = 1/J Σ_k [t ≥ k] KL( p_t ‖ p_θ(· | c_u, m(k)_<t) ) + λ KL( p_t ‖ p_θ(· | c_s, y_<t) ),
    p_t = p_θ*(· | c_s, y_<t).

    The frozen model never sees the beginning that shows the concept, so its goal is free of it; the last term
    keeps the safe prompt as it was.
    """

    def goal(self, frozen: Mapping[str, States]) -> States:
        return frozen["unsafe"].rows(slice(-1, None))  # of the safe prompt, whose row is the last

    def losses(self, states: States, example: Example, start: int, stop: int) -> Tensor:
        assert example.shares is not None, "context mixed says which rows count"
        teacher = self.image_logits(_steps(example.goal, start, stop)).log_softmax(dim=-1)  # (1, w, V)
        student = self.image_logits(_of_window(states)).log_softmax(dim=-1)  # (R, w, V)
        divergence = (teacher.exp() * (teacher - student)).sum(dim=-1)
        return (example.shares[:, start:stop] * divergence).sum(dim=0)


OBJECTIVES: dict[presets.Objective, type[Objective]] = {
    "mse": MeanSquaredError,
    "kl": KullbackLeibler,
    "ascent": Ascent,
    "redirect": Redirect,
}


def _later(goal: States, start: int, stop: int) -> Tensor:
    """The goal of the steps after step 0 among start … stop − 1: (R, steps, D)."""
    assert goal.later is not None, "the goal covers all steps of an image"
    return goal.later[:, max(start, 1) - 1 : stop - 1]


def _steps(goal: States, start: int, stop: int) -> Tensor:
    """The goal of steps start … stop − 1, read with context: (R, steps, D)."""
    later = _later(goal, start, stop)
    return later if start or goal.first is None else torch.cat([goal.first, later], dim=1)


def _of_window(states: States) -> Tensor:
    """States of a window read with context, in one piece: (R, steps, D)."""
    return torch.cat([part for part in states if part is not None], dim=1)
