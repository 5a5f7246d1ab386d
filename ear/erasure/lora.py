"""Low-rank adaptation (LoRA): frozen weights W, to which α/r · B A is added.

PEFT does the same by taking the place of the linear layers, under other names. Everything here finds a layer
by its name in the language model, so a forward hook stands in for PEFT's. Names of factors are PEFT's, and so
is their start: A uniform in ±1/√in, B zero. Source: arXiv 2106.09685.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt
from torch import Tensor, nn
from torch.nn import functional

from ear.erasure.variants import Lora
from ear.errors import InputError
from ear.workflow.seeding import stable_seed
from ear.workflow.texts import validated

A, B = "lora_A", "lora_B"


class LoraFacts(BaseModel):
    """What the metadata of edited weights say of their factors."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    rank: PositiveInt
    alpha: Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class LowRank:
    """The change of one weight: A (r, in), B (out, r) and α."""

    a: Tensor
    b: Tensor
    alpha: float

    @property
    def shape(self) -> tuple[int, int]:
        """Of the weight that it changes."""
        return self.b.shape[0], self.a.shape[1]

    @property
    def dtype(self) -> torch.dtype:
        """Of the factors."""
        return self.a.dtype

    def added_to(self, weight: Tensor) -> Tensor:
        """W + α/r · B A, computed in the factors' dtype and rounded to the weight's."""
        a, b = self.a.to(weight.device), self.b.to(weight.device)
        return (weight.to(self.dtype) + self.alpha / len(a) * (b @ a)).to(weight.dtype)


def factor_dtype(weight: torch.dtype) -> torch.dtype:
    """Factors of weights in bfloat16 are held in float32, in which small steps are not lost."""
    return torch.promote_types(weight, torch.float32)


def initial_factors(modules: Mapping[str, nn.Linear], rank: int, seed: int) -> dict[str, Tensor]:
    """Factors before training, by module and factor name; their product is zero."""
    factors = {}
    for name, module in modules.items():
        random = np.random.Generator(np.random.Philox(stable_seed(seed, "lora", name)))
        bound = module.in_features**-0.5
        values = torch.from_numpy(random.uniform(-bound, bound, (rank, module.in_features)))
        factors[f"{name}.{A}"] = a = values.to(module.weight.device, factor_dtype(module.weight.dtype))
        factors[f"{name}.{B}"] = a.new_zeros(module.out_features, rank)
    return factors


@contextmanager
def hooked(modules: Mapping[str, nn.Linear], factors: Mapping[str, Tensor], lora: Lora) -> Iterator[None]:
    """Inside of the block, the layers add what their factors give."""
    scale = lora.alpha / lora.rank

    def adding(a: Tensor, b: Tensor) -> Any:
        def add(_: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
            low = functional.linear(inputs[0], a.to(output.dtype))
            return output + scale * functional.linear(low, b.to(output.dtype))

        return add

    handles = [
        module.register_forward_hook(adding(factors[f"{name}.{A}"], factors[f"{name}.{B}"]))
        for name, module in modules.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def paired(source: str | Path, factors: Mapping[str, Tensor], lora: Any) -> dict[str, LowRank]:
    """Factors by module and factor name, as a file holds them → the change of each module's weight.

    Args:
        source: the file.
        factors: its tensors.
        lora: what its metadata say of them.

    Raises:
        InputError: a factor is missing or of another rank than the metadata say, or they are wrong.
    """
    facts = validated(lora, LoraFacts, f"{source}: metadata: settings.lora")
    by_module: dict[str, dict[str, Tensor]] = {}
    for name, tensor in factors.items():
        module, _, factor = name.rpartition(".")
        by_module.setdefault(module, {})[factor] = tensor
    changes = {}
    for module, found in by_module.items():
        shapes = {factor: tuple(tensor.shape) for factor, tensor in sorted(found.items())}
        match list(shapes.items()):
            case [("lora_A", (facts.rank, _)), ("lora_B", (_, facts.rank))]:
                changes[module] = LowRank(found[A], found[B], facts.alpha)
            case _:
                wanted = f"{A} ({facts.rank}, in) and {B} (out, {facts.rank})"
                raise InputError(f"{source}: {module}: found {shapes}, wanted {wanted}")
        dtypes = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in found.values()})
        if len(dtypes) > 1:
            raise InputError(f"{source}: {module}: found factors in {' and '.join(dtypes)}, wanted one dtype")
    return changes
