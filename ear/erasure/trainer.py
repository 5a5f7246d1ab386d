"""Fine-tuning in windows: windowed gradient accumulation (WGA) and thresholded loss masking (TLM).

WGA sums L_t over a window of W image tokens, then takes one backward pass and one optimiser step. TLM takes
the step only if the summed loss exceeds μ. Adam, one pass over the pairs, one pair at a time. Source: the
paper's Section "Method"; `train_*.py` of the release.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from ear.erasure.objective import Example, Reader, make_reader, step_losses
from ear.erasure.presets import Variant
from ear.erasure.streams import Pair
from ear.janus import Backbone
from ear.progress import progress
from ear.seeding import stable_seed

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj")


def trained_modules(backbone: Backbone, layers: int) -> dict[str, nn.Linear]:
    """Attention projections of the first K decoder layers, by their name in the language model."""
    names = [f"layers.{index}.self_attn.{name}" for index in range(layers) for name in PROJECTIONS]
    return {name: backbone.language_model.get_submodule(name) for name in names}  # type: ignore[misc]


def window_bounds(steps: int, window: int) -> list[tuple[int, int]]:
    """(start, stop) of an image's whole windows; steps left over are discarded, as in the release."""
    return [(start, start + window) for start in range(0, steps - window + 1, window)]


def initial_window_losses(examples: Sequence[Example], window: int) -> np.ndarray:
    """Summed loss of every window before training: (pairs, windows) float64."""
    bounds = window_bounds(len(examples[0].stream), window)
    return np.array(
        [[float(example.initial_loss[start:stop].sum()) for start, stop in bounds] for example in examples]
    )


class Trainer:
    """Fine-tunes a backbone on the pairs of one concept, from θ* anew for each window length.

    Args:
        backbone: the frozen model θ*; its trained modules change during :meth:`run` and are put back by
            :meth:`restore`.
        pairs: P prompt pairs.
        streams: name → (P, T) int64, rows in the order of ``pairs``.
        variant: the variant of the method.
        layers: K, how many of the first decoder layers have their attention trained.
        eta: η of the objective.
        learning_rate: of Adam.
        seed: shuffles the pairs where the variant says so.
    """

    def __init__(
        self,
        backbone: Backbone,
        pairs: Sequence[Pair],
        streams: Mapping[str, Tensor],
        variant: Variant,
        layers: int,
        eta: float,
        learning_rate: float,
        seed: int,
    ) -> None:
        self.learning_rate = learning_rate
        self.modules = trained_modules(backbone, layers)
        self.reader: Reader = make_reader(backbone, variant.context, variant.encoding)
        order = list(range(len(pairs)))
        if variant.order == "seed":
            order = (
                np.random.Generator(np.random.Philox(stable_seed(seed, "order"))).permutation(order).tolist()
            )
        self.pair_ids = [pairs[row][0] for row in order]
        rows = [{name: stream[row].to(backbone.device) for name, stream in streams.items()} for row in order]
        self.examples = [
            self.reader.example(pairs[row], row_streams, eta)
            for row, row_streams in zip(
                progress(order, desc="frozen targets", unit="pair"), rows, strict=True
            )
        ]
        self._frozen = {name: module.weight.detach().clone() for name, module in self.modules.items()}

    def quantile_threshold(self, window: int, quantile: float) -> float:
        """μ as a quantile of the window losses before training."""
        return float(np.quantile(initial_window_losses(self.examples, window), quantile))

    def restore(self) -> None:
        """Put the weights of θ* back."""
        for name, module in self.modules.items():
            module.weight.detach().copy_(self._frozen[name])

    def run(self, window: int, threshold: float | None, desc: str) -> pd.DataFrame:
        """Train once over the pairs with one window length, from the weights as they stand.

        Args:
            window: W, image tokens a window.
            threshold: μ; a window is skipped unless its summed loss exceeds it. None switches the threshold
                off.
            desc: label of the progress bar.

        Returns:
            One row a window: window_length, step, pair, window (index in the image), loss, threshold,
            skipped, grad_norm (empty where skipped).
        """
        parameters = [module.weight.requires_grad_(True) for module in self.modules.values()]
        optimiser = torch.optim.Adam(parameters, lr=self.learning_rate)
        records: list[tuple[Any, ...]] = []
        for pair_id, example in progress(
            list(zip(self.pair_ids, self.examples, strict=True)), desc=desc, unit="pair"
        ):
            for index, (start, stop) in enumerate(window_bounds(len(example.stream), window)):
                states = self.reader.states(example.prompt, example.stream, start, stop)
                loss = step_losses(states, example, start, stop).sum()
                skipped = threshold is not None and loss.item() <= threshold
                grad_norm = None
                if not skipped:
                    optimiser.zero_grad()
                    loss.backward()
                    grad_norm = nn.utils.get_total_norm(
                        [p.grad for p in parameters if p.grad is not None]
                    ).item()
                    optimiser.step()
                records.append(
                    (window, len(records), pair_id, index, loss.item(), threshold, skipped, grad_norm)
                )
        for parameter in parameters:
            parameter.requires_grad_(False)
        columns = ["window_length", "step", "pair", "window", "loss", "threshold", "skipped", "grad_norm"]
        return pd.DataFrame(records, columns=columns)

    def weights(self) -> dict[str, Tensor]:
        """The trained modules' weights as they stand, by module name, copied."""
        return {name: module.weight.detach().clone() for name, module in self.modules.items()}
