"""Fine-tuning in windows: windowed gradient accumulation (WGA) and thresholded loss masking (TLM).

WGA sums L_t over a window of W image tokens, then takes one backward pass and one optimiser step. TLM leaves
out what does not exceed μ. One pair at a time. Source: the paper's Section "Method"; `train_*.py` of the
release.

Killed at any moment, a training goes on from its checkpoint to the same bytes. Once finished, it is kept
beside its edited weights: a job that is asked for other windows trains none twice.
"""

import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ear.erasure.contexts import make_context
from ear.erasure.joint import in_passes, training_order
from ear.erasure.objectives import OBJECTIVES, Example
from ear.erasure.sequences import Pair
from ear.erasure.variants import LOG_COLUMNS, Optimiser, Settings, Tail, ThresholdOn
from ear.errors import InputError
from ear.images.batching import fitting
from ear.models import memory
from ear.models.device import ran_out_of_memory
from ear.models.janus import Backbone
from ear.models.memory import Dimensions
from ear.workflow.files import atomic_path, sha256_file, write_text
from ear.workflow.progress import progress

SECONDS_BETWEEN = 60.0
"""A checkpoint of Janus-Pro-7B holds 2 GB (five layers' attention and two Adam moments): seconds to write."""


def _key(parts: Mapping[str, Any]) -> str:
    """A key of all that a training depends on, as JSON can hold it."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Checkpoint:
    """The checkpoint of a running training.

    Args:
        path: a .safetensors file.
        of: all that the run depends on; a checkpoint of anything else is not taken up.
        seconds_between: least time between two checkpoints.
    """

    def __init__(self, path: Path, of: Mapping[str, Any], seconds_between: float = SECONDS_BETWEEN) -> None:
        self.path = path
        self.seconds_between = seconds_between
        self._key = _key(of)
        self._last = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time for the next one."""
        return time.monotonic() - self._last >= self.seconds_between

    def save(self, tensors: Mapping[str, Tensor], done: int, records: Sequence[Sequence[Any]]) -> None:
        """Write where the run stands.

        Args:
            tensors: weights and optimiser state.
            done: number of examples that are done.
            records: rows of the training log so far.
        """
        with atomic_path(self.path) as partial:
            save_file(
                {name: tensor.contiguous() for name, tensor in tensors.items()},
                partial,
                metadata={"of": self._key, "done": str(done), "records": json.dumps(records)},
            )
        self._last = time.monotonic()

    def load(self) -> tuple[dict[str, Tensor], int, list[list[Any]]] | None:
        """What :meth:`save` wrote, or None where this run has no checkpoint."""
        try:
            with safe_open(self.path, framework="pt") as handle:
                metadata = handle.metadata()
                if metadata["of"] != self._key:
                    return None
                tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
        except (FileNotFoundError, SafetensorError):
            return None
        return tensors, int(metadata["done"]), json.loads(metadata["records"])


class Kept:
    """The finished training of one window length: its weights under a hidden name, and a note of its log.

    The edited weights under their own name are a hard link, and take no more room.

    Args:
        folder: folder of the job.
        window: W.
        of: all that the training depends on, the code among it; one of anything else is not taken.
    """

    def __init__(self, folder: Path, window: int, of: Mapping[str, Any]) -> None:
        self.edited = folder / f".W{window}.safetensors"
        self._note = folder / f".W{window}.json"
        self._key = _key(of)

    def load(self) -> pd.DataFrame | None:
        """The log of the training, or None where it was not finished, was of something else or is damaged."""
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            if note["of"] != self._key or sha256_file(self.edited) != note["sha256"]:
                return None
            return pd.DataFrame(note["records"], columns=note["columns"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def save(self, log: pd.DataFrame) -> None:
        """Note the log of the training whose edited weights are there now."""
        records = [list(row) for row in log.itertuples(index=False, name=None)]
        note = {"of": self._key, "sha256": sha256_file(self.edited)}
        write_text(self._note, json.dumps(note | {"columns": list(log.columns), "records": records}))

    def put(self, path: Path) -> None:
        """Let a path be the edited weights."""
        path.unlink(missing_ok=True)  # a link cannot take the place of another one to the same file
        with atomic_path(path) as partial:
            try:
                os.link(self.edited, partial)
            except OSError:  # a file system without links
                shutil.copyfile(self.edited, partial)


PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj")


def trained_modules(backbone: Backbone, layers: int) -> dict[str, nn.Linear]:
    """Attention projections of the first K decoder layers, by their name in the language model."""
    names = [f"layers.{index}.self_attn.{name}" for index in range(layers) for name in PROJECTIONS]
    return {name: backbone.language_model.get_submodule(name) for name in names}  # type: ignore[misc]


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
    """The factor of each token in a window's loss, or None for no step (TLM).

    Args:
        losses: (w,) L_t.
        on: what has to exceed μ.
        threshold: μ, None with ``on="off"``.
    """
    if threshold is None:
        return torch.ones_like(losses)
    exceeds = measured(losses, on) > threshold
    return exceeds.expand(len(losses)).to(losses.dtype) if exceeds.any() else None


class Trainer:
    """Fine-tunes a backbone on the pairs of one concept or several, from θ* anew for each window length.

    Args:
        backbone: the frozen model θ*; its trained modules change during :meth:`run` and are put back by
            :meth:`restore`.
        pairs: P prompt pairs.
        sequences: name → (P, T) int64, rows in the order of ``pairs``.
        settings: settings of the fine-tuning.
        seed: shuffles the pairs where the variant says so.
        sizes: number of pairs of each concept, whose pairs follow each other and are trained as
            ``ear.erasure.joint`` says; None: they are all of one concept.
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
        self.settings = settings
        self.variant = settings.variant
        self.modules = trained_modules(backbone, settings.layers)
        objective = OBJECTIVES[self.variant.objective](backbone.image_logits, settings.eta)
        micro_batch = fitting(backbone, settings.micro_batch, self._need(backbone, pairs))
        self.halves = backbone.device.type != "cpu"  # there a smaller micro-batch would be other bytes
        self.reader = make_context(backbone, self.variant, objective, micro_batch)
        sizes = sizes or [len(pairs)]
        order = training_order(sizes, self.variant.order, seed, settings.sequential)
        self._blocks = sizes if settings.sequential else [len(pairs)]
        self.pair_ids = [pairs[row][0] for row in order]
        self.examples = self.reader.examples(
            [pairs[row] for row in order], {name: sequence[order] for name, sequence in sequences.items()}
        )
        self._frozen = {name: module.weight.detach().clone() for name, module in self.modules.items()}

    def _need(self, backbone: Backbone, pairs: Sequence[Pair]) -> Callable[[Dimensions, int], float]:
        """Bytes of a training with a micro-batch of some size, by the backbone's shape."""
        variant, settings = self.variant, self.settings
        length = backbone.encode([text for pair in pairs for text in pair[1:]], variant.encoding).length
        rows = variant.cuts + 1 if variant.context == "mixed" else 1 if variant.rows == "conditional" else 2

        def need(shape: Dimensions, size: int) -> float:
            adam = settings.optimiser == "adam"
            return memory.training(shape, rows, size, length, settings.layers, len(pairs), adam)

        return need

    def threshold(self, window: int) -> float | None:
        """μ for a window length: a value, or from a quantile of the losses before training."""
        chosen = self.settings.threshold
        if chosen is None:
            return None
        if chosen.value is not None:
            return chosen.value
        assert chosen.quantile is not None, "the config holds one of value and quantile"
        losses = self._initial_losses(window)
        return chosen.factor * float(np.quantile(losses, chosen.quantile))

    def _initial_losses(self, window: int) -> np.ndarray:
        """What the threshold looks at, before training: all windows' sums or means, or all tokens."""
        on, per_pair = self.variant.threshold, [example.initial_losses.double() for example in self.examples]
        steps = len(per_pair[0])
        bounds = [(0, steps)] if on == "token" else window_bounds(steps, window, self.variant.tail)
        found = [measured(losses[slice(*bound)], on) for losses in per_pair for bound in bounds]
        return torch.cat(found).cpu().numpy()

    def restore(self) -> None:
        """Put the weights of θ* back."""
        for name, module in self.modules.items():
            module.weight.detach().copy_(self._frozen[name])

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
        parameters = [module.weight for module in self.modules.values()]
        for parameter in parameters:
            # Zero, not none, where a window has no gradient for it (q and k without context): the moments of
            # Adam move it all the same, as in the release.
            parameter.requires_grad_(True).grad = torch.zeros_like(parameter)
        optimiser = make_optimiser(self.settings.optimiser, parameters, self.settings.learning_rate)
        threshold = self.threshold(window)
        records: list[list[Any]] = []
        done = 0
        if checkpoint and (saved := checkpoint.load()):
            tensors, done, records = saved
            self._resume(optimiser, tensors)
        order = in_passes(
            list(zip(self.pair_ids, self.examples, strict=True)), self.settings.passes, self._blocks
        )
        for pair_id, example in progress(order[done:], desc=desc, unit="pair"):
            for index, bound in enumerate(
                window_bounds(example.sequence.shape[-1], window, self.variant.tail)
            ):
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
            if checkpoint and (checkpoint.due or done == len(order)):
                checkpoint.save(self._state(optimiser), done, records)
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
        while True:
            optimiser.zero_grad(set_to_none=False)
            try:
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
        """The trained modules' weights as they stand, by module name, copied."""
        return {name: module.weight.detach().clone() for name, module in self.modules.items()}

    def _state(self, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
        """Weights and optimiser state, by "layers.0.self_attn.q_proj/weight", "…/exp_avg" and so on."""
        tensors: dict[str, Tensor] = {}
        for name, module in self.modules.items():
            held = {"weight": module.weight.detach(), **optimiser.state.get(module.weight, {})}
            tensors |= {f"{name}/{key}": value for key, value in held.items()}
        return tensors

    @torch.no_grad()
    def _resume(self, optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
        """Put back what :meth:`_state` gave."""
        for name, module in self.modules.items():
            held = {
                key.removeprefix(f"{name}/"): value
                for key, value in tensors.items()
                if key.startswith(f"{name}/")
            }
            module.weight.copy_(held.pop("weight"))
            if held:
                device = module.weight.device
                # Adam counts its steps on the CPU, wherever the weights are.
                optimiser.state[module.weight] = {
                    key: value if key == "step" else value.to(device) for key, value in held.items()
                }


def make_optimiser(
    name: Optimiser, parameters: Sequence[Tensor], learning_rate: float
) -> torch.optim.Optimizer:
    """The optimiser of a name, as :class:`~ear.erasure.variants.Settings` defines it."""
    if name == "adam":
        # On a GPU torch's own default, whose roundings in bfloat16 are the release's.
        fused = True if parameters[0].device.type == "cpu" else None
        return torch.optim.Adam(parameters, lr=learning_rate, fused=fused)
    return torch.optim.SGD(parameters, lr=learning_rate)
