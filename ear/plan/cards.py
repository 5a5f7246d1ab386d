"""GPUs that the plan speaks of: one of each common size."""

from dataclasses import dataclass

CONTEXT_BYTES = 0.7e9
"""Of the driver and of torch's kernels on a GPU, before anything is computed."""


@dataclass(frozen=True)
class Card:
    """A GPU.

    Attributes:
        name: of the GPU.
        memory: GiB.
        bandwidth: bytes/s of its memory, by NVIDIA's data sheet.
        peak: FLOP/s of dense bfloat16, likewise.
    """

    name: str
    memory: int
    bandwidth: float
    peak: float

    @property
    def free_bytes(self) -> float:
        """Memory for weights and work."""
        return self.memory * 2**30 - CONTEXT_BYTES


H100 = Card("H100", 80, 3.35e12, 990e12)
CARDS = (Card("RTX 3090", 24, 0.936e12, 71e12), Card("A100 of 40 GB", 40, 1.555e12, 312e12), H100)
