"""The named variants of the method. No torch here: the config reads this module."""

from dataclasses import dataclass
from typing import Literal

Context = Literal["none", "independent", "aligned"]
Encoding = Literal["raw", "chat"]

STREAM_NAMES: dict[Context, tuple[str, ...]] = {
    "none": ("unsafe", "target", "neutral"),
    "independent": ("unsafe", "target", "neutral"),
    "aligned": ("unsafe",),
}
"""Streams that a context samples from the frozen model; "target" and "neutral" belong to the safe prompt."""


@dataclass(frozen=True)
class Variant:
    """What distinguishes one variant of EAR from another; everything else belongs to the experiment.

    Attributes:
        context: what a training step sees. "none": each image token alone at position 0, as the authors'
            scripts run; "independent": the true autoregressive context, with three streams sampled
            independently, as the paper's text reads; "aligned": the true context, both prompts read along the
            same unsafe stream.
        encoding: "raw" trains on the prompt's tokens alone, "chat" on the prompt as it stands at inference.
        threshold: whether windows whose summed loss does not exceed μ are skipped (thresholded loss masking,
            TLM).
        order: pairs in the order of the "file" or shuffled by the "seed" of the fine-tuning run.
        window: image tokens a window, where the variant fixes it; otherwise the concept's own (WGA).
    """

    context: Context
    encoding: Encoding
    threshold: bool
    order: Literal["file", "seed"]
    window: int | None = None


VARIANTS: dict[str, Variant] = {
    "released": Variant(context="none", encoding="raw", threshold=True, order="file"),
    "paper": Variant(context="independent", encoding="chat", threshold=True, order="file"),
    "ear": Variant(context="aligned", encoding="chat", threshold=True, order="seed"),
    "wga": Variant(context="aligned", encoding="chat", threshold=False, order="seed"),
    "single-step": Variant(context="aligned", encoding="chat", threshold=False, order="seed", window=1),
}
