"""The objectives: the teacher, from the frozen model's states, and L_t of each image token.

h is the last hidden state after the final norm, θ* the frozen model and θ the trained one, c_u an unsafe
prompt and c_s its safe twin, x the unsafe sequence. An image has T steps, one an image token: step 0 reads
the prompt, step t the token t − 1.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from ear.erasure import variants as presets
from ear.models.backbone import Tokens


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

    def joined(self) -> Tensor:
        """In one piece, (R, steps, D), of states read with context."""
        return torch.cat([part for part in self if part is not None], dim=1)


@dataclass(frozen=True)
class Example:
    """One pair, ready to be trained on.

    Attributes:
        prompt: R rows that are trained on: of the unsafe prompt [conditional; unconditional] or
            [conditional]; in a mixed context the unsafe prompt, once for each cut, and the prompts kept.
        sequence: (T,) int64, the unsafe sequence; in a mixed context (R, T), each row's own.
        teacher: what the objective made of the frozen states, for all T steps. It waits on the CPU.
        shares: (R, T) weight of each row in L_t, in a mixed context; elsewhere None.
        initial_losses: (T,) L_t of the frozen model itself, before any training.
    """

    prompt: Tokens
    sequence: Tensor
    teacher: States
    shares: Tensor | None = None
    initial_losses: Tensor = field(default_factory=lambda: torch.empty(0))


class Objective(ABC):
    """L_t, and the frozen states that it needs.

    Attributes:
        reads: sequences along which frozen states are read.
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

    def teacher(self, frozen: Mapping[str, States]) -> States:
        """The teacher of all steps, from the frozen states by sequence."""
        return frozen["unsafe"]

    @abstractmethod
    def losses(self, states: States, example: Example, start: int, stop: int) -> Tensor:
        """L_t of steps start … stop − 1, (stop − start,), from θ's states of these steps."""


class MeanSquaredError(Objective):
    """The paper's objective.

    target_t = h_θ*(c_s)_t − η · (h_θ*(c_u)_t − h_θ*(c_s')_t),    L_t = MSE(h_θ(c_u)_t, target_t)

    The mean runs over rows, features and, without context, the prompt's positions in step 0. Source:
    arXiv 2506.20151, Section "Method"; `train_*.py` of the release.
    """

    reads = ("unsafe", "safe", "safe-2")

    def teacher(self, frozen: Mapping[str, States]) -> States:
        return States(
            *(
                safe - self.eta * (unsafe - again)
                for unsafe, safe, again in zip(*(frozen[name] for name in self.reads), strict=True)
            )
        )

    def losses(self, states: States, example: Example, start: int, stop: int) -> Tensor:
        parts, teacher = [], _steps(example, start, stop)
        if states.first is not None and teacher.first is not None:
            parts.append((states.first - teacher.first).square().mean().reshape(1))
        if states.later is not None and teacher.later is not None:
            parts.append((states.later - teacher.later).square().mean(dim=(0, 2)))
        return torch.cat(parts)


class KullbackLeibler(Objective):
    """Obliviate's objective, with the frozen model's two rows read along the same unsafe sequence.

    L_t = KL( softmax(u_t − η · (c_t − u_t)) ‖ p_θ(· | c_u, x_<t) ), with c and u the conditional and the
    unconditional image logits of θ*. Source: arXiv 2606.28643, which trains LoRA of rank 32 (α 16, lr 1e-4,
    1 000 steps, gradient norm 0.5, η = 2); docs/explanation/method.md says what differs here.
    """

    rows = "both"

    def losses(self, states: States, example: Example, start: int, stop: int) -> Tensor:
        frozen = _steps(example, start, stop)
        conditional, unconditional = self.image_logits(frozen.joined())  # (w, V) each
        teacher = (unconditional - self.eta * (conditional - unconditional)).log_softmax(dim=-1)
        student = self.image_logits(states.joined()[0]).log_softmax(dim=-1)
        return (teacher.exp() * (teacher - student)).sum(dim=-1)


class Ascent(Objective):
    """Gradient ascent on the unsafe prompts: the log-likelihood of the unsafe sequence is lowered.

    L_t = log p_θ(x_t | c_u, x_<t). It has no lower bound, so learning rate and steps decide how much is lost.
    Source: arXiv 2210.01504, on image tokens.
    """

    def teacher(self, frozen: Mapping[str, States]) -> States:
        return States(None, None)

    def losses(self, states: States, example: Example, start: int, stop: int) -> Tensor:
        log_likelihood = self.image_logits(states.joined()[0]).log_softmax(dim=-1)  # (w, V)
        return log_likelihood.gather(1, example.sequence[start:stop, None])[:, 0]


class Redirect(Objective):
    """Our own: whatever has been drawn so far, go on as the frozen model does with the anchor a.

    With x the unsafe sequence, y(c) the sequence of a prompt c, p_t(c) = p_θ*(· | c, y(c)_<t) and
    m(k) = [x_0 … x_(k−1), y(a)_k … y(a)_(T−1)] the mixed sequence of a cut k, of which J are drawn for a
    pair (``ear.erasure.sequences.cuts``):

    L_t = 1/J Σ_k [t ≥ k] KL( p_t(a) ‖ p_θ(· | c_u, m(k)_<t) )
          + λ Σ_c KL( p_t(c) ‖ p_θ(· | c, y(c)_<t) ),  c the anchor and the safe prompt.

    In context "mixed" the safe prompt is the anchor. The frozen model never sees the beginning that shows the
    concept, so its teacher is free of it; the last term keeps the anchor and the safe prompt as they were.
    """

    def teacher(self, frozen: Mapping[str, States]) -> States:
        return frozen["kept"]

    def losses(self, states: States, example: Example, start: int, stop: int) -> Tensor:
        assert example.shares is not None, "a mixed context says which rows count"
        frozen = _steps(example, start, stop)
        kept = self.image_logits(frozen.joined()).log_softmax(dim=-1)  # (1 or 2, w, V)
        student = self.image_logits(states.joined()).log_softmax(dim=-1)  # (R, w, V)
        teacher = torch.cat([kept[:1].expand(len(student) - len(kept), -1, -1), kept])
        divergence = (teacher.exp() * (teacher - student)).sum(dim=-1)
        return (example.shares[:, start:stop] * divergence).sum(dim=0)


OBJECTIVES: dict[presets.Objective, type[Objective]] = {
    "mse": MeanSquaredError,
    "kl": KullbackLeibler,
    "ascent": Ascent,
    "redirect": Redirect,
}


def _steps(example: Example, start: int, stop: int) -> States:
    """The teacher of steps start … stop − 1, on the device of the sequence."""
    teacher, device = example.teacher, example.sequence.device
    first = None if start or teacher.first is None else teacher.first.to(device)
    later = None if teacher.later is None else teacher.later[:, max(start, 1) - 1 : stop - 1].to(device)
    return States(first, later)
