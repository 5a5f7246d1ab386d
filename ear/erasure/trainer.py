"""Fine-tuning in windows: windowed gradient accumulation (WGA) and thresholded loss masking (TLM).

WGA sums L_t over a window of W image tokens, then takes one backward pass and one optimiser step. TLM leaves
out what does not exceed μ. One pair at a time. Source: the paper's Section "Method"; `train_*.py` of the
release.
"""

import hashlib
import json
import logging
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from ear.erasure.contexts import READERS
from ear.erasure.edited_weights import trained_modules
from ear.erasure.joint import training_order
from ear.erasure.lora import hooked, initial_factors
from ear.erasure.objectives import OBJECTIVES, Example
from ear.erasure.sequences import Pair
from ear.erasure.variants import LOG_COLUMNS, Optimiser, Settings, Tail, ThresholdOn
from ear.errors import InputError
from ear.images.batching import fitting
from ear.models import memory
from ear.models.backbone import Backbone
from ear.models.device import ran_out_of_memory
from ear.workflow.files import atomic_path
from ear.workflow.jobs import TAKEN_OVER
from ear.workflow.progress import progress

logger = logging.getLogger(__name__)

SECONDS_BETWEEN = 60.0
"""A checkpoint of Janus-Pro-7B holds 2 GB (five layers' attention and two Adam moments): seconds to write."""


def key_of(parts: Mapping[str, Any]) -> str:
    """A key of all that a training depends on, as JSON can hold it."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Checkpoint:
    """The checkpoint of a running training.

    Args:
        path: a file of torch.save.
        of: all that the run depends on; a checkpoint of anything else is not taken up.
        seconds_between: least time between two checkpoints.
    """

    def __init__(self, path: Path, of: Mapping[str, Any], seconds_between: float = SECONDS_BETWEEN) -> None:
        self.path = path
        self.seconds_between = seconds_between
        self._key = key_of(of)
        self._last = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time for the next one."""
        return time.monotonic() - self._last >= self.seconds_between

    def save(self, state: Mapping[str, Any]) -> None:
        """Write where the run stands."""
        # Given a path, torch.save would not say that the disk is full.
        with atomic_path(self.path) as partial, partial.open("wb") as file:
            torch.save({"of": self._key, **state}, file)
        self._last = time.monotonic()

    def load(self) -> dict[str, Any]:
        """What :meth:`save` wrote; nothing where this run has no whole checkpoint."""
        try:
            state = torch.load(self.path, weights_only=True, map_location="cpu")
        except Exception:  # none yet, or damaged, which torch's reader says in many ways
            return {}
        return state if state.get("of") == self._key else {}


def window_bounds(steps: int, window: int, tail: Tail) -> list[tuple[int, int]]:
    """(start, stop) of an image's windows; the steps left over are the last window or none."""
    stops = steps if tail == "keep" else steps - window + 1
    return [(start, min(start + window, steps)) for start in range(0, stops, window)]


def measured(losses: Tensor, on: ThresholdOn) -> Tensor:
    """What the threshold looks at in a window's L_t: their sum or mean, (1,), or each of them, (w,)."""
    if on == "token":
        return losses
    return (losses.sum() if on == "window-sum" else losses.mean())[None]


def kept(losses: Tensor, on: ThresholdOn, threshold: float | None) -> Tensor | None:
    """The factor of each L_t, (w,), in a window's loss, or None for no step (TLM); μ may be None."""
    if threshold is None:
        return torch.ones_like(losses)
    exceeds = measured(losses, on) > threshold
    return exceeds.expand(len(losses)).to(losses.dtype) if exceeds.any() else None


class Trainer:
    """Fine-tunes a backbone on the pairs of one concept or several, from θ* anew for each window length.

    Args:
        backbone: the frozen model θ*; its trained modules change during :meth:`run` and are put back by
            :meth:`restore`. With LoRA they do not change.
        pairs: P prompt pairs.
        sequences: name → (P, T) int64, rows in the order of ``pairs``.
        settings: settings of the fine-tuning.
        seed: shuffles the pairs where the variant says so, and draws the factors of LoRA.
        sizes: number of pairs of each concept, whose pairs follow each other; None: they are all of one.
    """

    def __init__(
        self,
        backbone: Backbone,
        pairs: Sequence[Pair],
        sequences: Mapping[str, Tensor],
        settings: Settings,
        seed: int,
        sizes: Sequence[int] | None = None,
    ) -> None:
        self.backbone = backbone
        self.settings = settings
        self.variant = variant = settings.variant
        self.modules = trained_modules(backbone, settings.layers, linears=settings.lora is not None)
        self.trained: dict[str, Tensor]
        if settings.lora:
            self.trained = initial_factors(self.modules, settings.lora.rank, seed)
        else:
            self.trained = {name: module.weight for name, module in self.modules.items()}
        objective = OBJECTIVES[variant.objective](backbone.image_logits, settings.eta)
        length = backbone.encode([text for pair in pairs for text in pair[1:]], variant.encoding).length
        held = (length, settings.layers, settings.rank, settings.optimiser != "sgd")
        micro_batch = fitting(
            backbone,
            settings.micro_batch,
            lambda shape, size: memory.training(shape, variant.rows_read, size, *held),
        )
        self.halves = backbone.device.type != "cpu"  # there a smaller micro-batch would be other bytes
        self.reader = READERS[variant.context](backbone, variant, objective, micro_batch)
        order = training_order(
            sizes or [len(pairs)], variant.order, seed, settings.passes, settings.sequential
        )
        once = list(dict.fromkeys(order))
        self.examples = self.reader.examples(
            [pairs[row] for row in once], {name: sequence[once] for name, sequence in sequences.items()}
        )
        by_row = dict(zip(once, self.examples, strict=True))
        self.order = [(pairs[row][0], by_row[row]) for row in order]
        self._frozen = self.weights()

    def threshold(self, window: int) -> float | None:
        """μ for a window length: a value, or from a quantile of the losses before training."""
        chosen, on = self.settings.threshold, self.variant.threshold
        if chosen is None:
            return None
        if chosen.quantile is None:
            return chosen.value
        steps = self.backbone.num_image_tokens
        bounds = [(0, steps)] if on == "token" else window_bounds(steps, window, self.variant.tail)
        per_pair = [example.initial_losses.double() for example in self.examples]
        found = [measured(losses[slice(*bound)], on) for losses in per_pair for bound in bounds]
        return chosen.factor * float(np.quantile(torch.cat(found).cpu().numpy(), chosen.quantile))

    def restore(self) -> None:
        """Put the weights of θ* back, or the factors of before training."""
        self._put(self._frozen)

    @torch.no_grad()
    def _put(self, weights: Mapping[str, Tensor]) -> None:
        for name, tensor in weights.items():
            self.trained[name].copy_(tensor)

    def run(self, window: int, desc: str, checkpoint: Checkpoint | None = None) -> pd.DataFrame:
        """Train over the pairs with one window length, from θ*.

        Args:
            window: W, image tokens a window.
            desc: label of the progress bar.
            checkpoint: where it goes on from, and what it is written to at its intervals and at the end.

        Returns:
            One row a window: window_length, step, pair, window (index in the image), loss (sum of L_t),
            threshold (μ), skipped, kept (share of the window's tokens in the loss that is stepped on),
            grad_norm (before clipping; empty where skipped).

        Raises:
            InputError: a loss is not finite.
        """
        self.restore()
        parameters = list(self.trained.values())
        for parameter in parameters:
            # Zero, not none, where a window has no gradient for it (q and k without context): the moments of
            # Adam move it all the same, as in the release.
            parameter.requires_grad_(True).grad = torch.zeros_like(parameter)
        optimiser = make_optimiser(self.settings.optimiser, parameters, self.settings.learning_rate)
        threshold = self.threshold(window)
        records: list[list[Any]] = []
        done = 0
        if checkpoint and (state := checkpoint.load()):
            self._put(state["weights"])
            optimiser.load_state_dict(state["optimiser"])
            done, records = state["done"], state["records"]
            logger.info("W = %d: %d of %d pairs %s", window, done, len(self.order), TAKEN_OVER)
        for pair_id, example in progress(self.order[done:], desc=desc, unit="pair"):
            steps = example.sequence.shape[-1]
            for index, bound in enumerate(window_bounds(steps, window, self.variant.tail)):
                losses, factors = self._accumulated(optimiser, example, bound, threshold)
                skipped, loss = factors is None, losses.sum().item()
                if not math.isfinite(loss):
                    raise InputError(
                        f"pair {pair_id}, window {index}: found a loss of {loss}, wanted a finite one: "
                        "the training diverged, lower its learning rate"
                    )
                share, grad_norm = 0.0, None
                if factors is not None:
                    share, grad_norm = factors.mean().item(), self._step(optimiser, parameters)
                records.append(
                    [window, len(records), pair_id, index, loss, threshold, skipped, share, grad_norm]
                )
            done += 1
            if checkpoint and (checkpoint.due or done == len(self.order)):
                state = {"weights": self.weights(), "optimiser": optimiser.state_dict()}
                checkpoint.save({**state, "done": done, "records": records})
        for parameter in parameters:
            parameter.requires_grad_(False).grad = None
        return pd.DataFrame(records, columns=LOG_COLUMNS)

    def _accumulated(
        self,
        optimiser: torch.optim.Optimizer,
        example: Example,
        bound: tuple[int, int],
        threshold: float | None,
    ) -> tuple[Tensor, Tensor | None]:
        """A window's losses and factors, and its gradient; on a GPU with less at once where memory ends."""
        lora = self.settings.lora
        while True:
            optimiser.zero_grad(set_to_none=False)
            try:
                with hooked(self.modules, self.trained, lora) if lora else nullcontext():
                    return self.reader.accumulate(
                        example, *bound, lambda losses: kept(losses, self.variant.threshold, threshold)
                    )
            except Exception as error:
                if not (self.halves and ran_out_of_memory(error)):
                    raise
            self.reader.micro_batch.halve(min(self.reader.micro_batch.size, bound[1] - bound[0]))

    def _step(self, optimiser: torch.optim.Optimizer, parameters: list[Tensor]) -> float:
        """One optimiser step; the gradients' norm before it was scaled down."""
        norm = nn.utils.get_total_norm(
            [parameter.grad for parameter in parameters if parameter.grad is not None]
        )
        if self.variant.max_grad_norm is not None:
            nn.utils.clip_grads_with_norm_(parameters, self.variant.max_grad_norm, norm)
        optimiser.step()
        torch.autograd.graph.increment_version(parameters)  # the fused step forgets to: see fingerprint()
        return norm.item()

    def weights(self) -> dict[str, Tensor]:
        """The trained weights as they stand, by module name, or factors (``ear.erasure.lora``), copied."""
        return {name: tensor.detach().clone() for name, tensor in self.trained.items()}


def make_optimiser(
    name: Optimiser, parameters: Sequence[Tensor], learning_rate: float
) -> torch.optim.Optimizer:
    """The optimiser of a name, as :class:`~ear.erasure.variants.Settings` defines it."""
    if name == "sgd":
        return torch.optim.SGD(parameters, lr=learning_rate)
    # On a GPU torch's own default, whose roundings in bfloat16 are the release's.
    fused = True if parameters[0].device.type == "cpu" else None
    kind = torch.optim.Adam if name == "adam" else torch.optim.AdamW
    return kind(parameters, lr=learning_rate, fused=fused)
