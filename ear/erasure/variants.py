"""The named choices of a fine-tuning, and the variants that bind them. No torch here: the config reads this.

Every choice has one documented set of values. A variant binds those that make it what it is; the rest (K, η,
learning rate, optimiser, passes, μ) belongs to the experiment.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

Objective = Literal["mse", "kl", "ascent", "redirect"]
Context = Literal["none", "independent", "aligned", "mixed", "anchored"]
Encoding = Literal["raw", "chat"]
Rows = Literal["both", "conditional"]
ThresholdOn = Literal["off", "window-sum", "window-mean", "token"]
Tail = Literal["drop", "keep"]
Order = Literal["file", "seed"]
Optimiser = Literal["adam", "adamw", "sgd"]

SEQUENCE_NAMES: dict[Context, tuple[str, ...]] = {
    "none": ("unsafe", "safe", "safe-2"),
    "independent": ("unsafe", "safe", "safe-2"),
    "aligned": ("unsafe",),
    "mixed": ("unsafe", "safe"),
    "anchored": ("unsafe", "anchor", "safe"),
}
"""Token sequences that a context samples: of the unsafe prompt, and of the safe one or the anchor."""
ANCHORED: Context = "anchored"
MIXED: tuple[Context, ...] = ("mixed", ANCHORED)
"""Contexts in which an unsafe sequence goes on as another."""

JOINT = "+"
"""Between the names of concepts that are erased together."""
LOG_COLUMNS = ["window_length", "step", "pair", "window", "loss", "threshold", "skipped", "kept", "grad_norm"]
"""Of training.csv: one row a window."""


@dataclass(frozen=True)
class Variant:
    """What makes a method what it is.

    Attributes:
        objective: L_t of an image token. "mse": squared distance of hidden states to the paper's target;
            "kl": divergence from the frozen model's distribution pushed away from the prompt (Obliviate);
            "ascent": log-likelihood of the unsafe sequence, to be lowered; "redirect": divergence from what
            the frozen model draws of the safe prompt or the anchor, after beginnings of the unsafe sequence
            too (ours).
        context: what a training step sees. "none": each image token alone at position 0, as the authors'
            scripts run; "independent": the true autoregressive context, with three sequences sampled
            independently, as the paper's text reads; "aligned": the true context, both prompts read along the
            same unsafe sequence; "mixed": the true context, an unsafe sequence that goes on as a safe one;
            "anchored": the same, and it goes on as one of the anchor, a neighbour in the concept's place.
        encoding: "raw" trains on the prompt's tokens alone, "chat" on the prompt as it stands at inference.
        rows: rows of classifier-free guidance in the loss, "both" or the "conditional" one.
        threshold: what has to exceed μ, or else is left out (thresholded loss masking, TLM): the
            "window-sum" of L_t, the "window-mean", or each "token" on its own; "off" leaves nothing out.
        tail: whether the steps left over when W does not divide the image are a last, shorter window ("keep")
            or discarded ("drop").
        order: pairs in the order of the "file" or shuffled by the "seed" of the fine-tuning run.
        window: W, image tokens a window (windowed gradient accumulation, WGA); "image" is all of them, None
            leaves it to the concept.
        max_grad_norm: gradients are scaled down to this norm; None leaves them as they are.
        cuts: number of mixed sequences that a step of a mixed context reads of each pair.
        retain: λ, the weight in a mixed context of keeping what the safe prompt and the anchor give.
    """

    objective: Objective
    context: Context
    encoding: Encoding
    rows: Rows
    threshold: ThresholdOn
    tail: Tail
    order: Order
    window: int | Literal["image"] | None
    max_grad_norm: float | None
    cuts: int = 0
    retain: float = 0.0

    def with_window(self, window: int, tokens: int) -> "Variant":
        """With a number for W: all of an image's tokens, the variant's own, or the given one."""
        return replace(self, window=tokens if self.window == "image" else self.window or window)

    @property
    def rows_read(self) -> int:
        """Rows of a pair that a step reads: mixed sequences and those that are kept, or rows of guidance."""
        if self.context in MIXED:
            return self.cuts + len(SEQUENCE_NAMES[self.context]) - 1
        return 1 if self.rows == "conditional" else 2


def _ear(
    context: Context,
    encoding: Encoding = "chat",
    threshold: ThresholdOn = "window-sum",
    order: Order = "seed",
    window: int | None = None,
) -> Variant:
    return Variant("mse", context, encoding, "both", threshold, "drop", order, window, max_grad_norm=None)


VARIANTS: dict[str, Variant] = {
    "released": _ear("none", encoding="raw", order="file"),
    "paper": _ear("independent", order="file"),
    "ear": _ear("aligned"),
    "wga": _ear("aligned", threshold="off"),
    "single-step": _ear("aligned", threshold="off", window=1),
    "obliviate": Variant("kl", "aligned", "chat", "conditional", "off", "keep", "seed", "image", 0.5),
    "gradient-ascent": Variant("ascent", "aligned", "chat", "conditional", "off", "keep", "seed", None, None),
    "prefix-redirect": Variant(
        "redirect", "anchored", "chat", "conditional", "off", "keep", "seed", "image", None, 4, retain=4.0
    ),
}
"""Sources: arXiv 2506.20151 and the authors' `train_*.py` (the first five), Obliviate (arXiv 2606.28643),
gradient ascent as unlearning (arXiv 2210.01504); "prefix-redirect" is our own."""


@dataclass(frozen=True)
class Threshold:
    """μ: a value, or a quantile, before training, of what the threshold looks at.

    Attributes:
        value: μ itself.
        quantile: share of windows or tokens below it before training.
        factor: μ is the quantile times this.
    """

    value: float | None
    quantile: float | None
    factor: float


@dataclass(frozen=True)
class Lora:
    """Low-rank adaptation: to a frozen weight W, α/r · B A is added, and B and A are trained.

    Attributes:
        rank: r.
        alpha: α.
    """

    rank: int
    alpha: float


@dataclass(frozen=True)
class Settings:
    """All settings of one fine-tuning.

    Attributes:
        variant: what the method binds; its window is a number here.
        layers: K, decoder layers that are trained, from the first: their attention projections or, with
            ``lora``, all of their linear layers.
        eta: η of the objectives "mse" and "kl".
        learning_rate: learning rate of the optimiser.
        optimiser: "adam" (β 0.9 and 0.999, ε 1e-8, no weight decay), "adamw" (the same, weight decay 0.01) or
            "sgd" (no momentum).
        passes: passes over the pairs.
        threshold: μ, None for variants without a threshold.
        micro_batch: image tokens of a window whose activations are in memory at once; bounds memory whatever
            W is, and changes results by rounding alone.
        sequential: train several concepts one after the other, all passes over each; else their
            pairs alternate.
        lora: train low-rank factors; None: whole weights.
    """

    variant: Variant
    layers: int
    eta: float
    learning_rate: float
    optimiser: Optimiser
    passes: int
    threshold: Threshold | None
    micro_batch: int
    sequential: bool = False
    lora: Lora | None = None

    @property
    def rank(self) -> int:
        """Rank of the trained factors; 0 where whole weights are trained."""
        return self.lora.rank if self.lora else 0

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it, for params and metadata. Only methods with LoRA have the key ``lora``."""
        plain = asdict(self)
        if self.lora is None:
            del plain["lora"]
        return plain

    def without_anchors(self) -> "Settings":
        """The same where no concept has an anchor: the safe prompt is one."""
        if self.variant.context != ANCHORED:
            return self
        return replace(self, variant=replace(self.variant, context="mixed"))

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "Settings":
        """From what :meth:`to_dict` makes of it."""
        threshold = plain["threshold"] and Threshold(**plain["threshold"])
        parts = {"variant": Variant(**plain["variant"]), "threshold": threshold}
        lora = plain.get("lora") and Lora(**plain["lora"])
        return cls(**{**plain, **parts, "lora": lora})
