"""A backbone of Janus-Pro's shape, random weights, renders and takes EAR windows: seconds and peak memory.

Usage: ``python -m benchmarks.large_shape [--shape SHAPE] [--dtype DTYPE] [--device DEVICE] [--pairs N]``.
Prints one JSON line, and each step as it ends. Without ``--pairs`` it draws one image and takes one window of
one pair, which shows that the shape fits into memory; with ``--pairs 50`` it trains a whole concept and draws
256 images.
"""

import argparse
import resource
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from benchmarks.erasure import pairs_of
from benchmarks.measure import report, seconds
from benchmarks.shapes import SHAPES, random_backbone
from ear.erasure.sequences import Pair, sample_sequences
from ear.erasure.trainer import Trainer
from ear.erasure.variants import VARIANTS, Settings, Threshold
from ear.images.batching import BatchSize
from ear.images.rendering import render_prompts
from ear.images.sampling import Guidance
from ear.models.backbone import DTYPES, Backbone
from ear.workflow.jobs import BYTES_PER_MAXRSS

GUIDANCE, TEMPERATURE, SEED = Guidance(5.0), 1.0, 42
LAYERS, ETA, LEARNING_RATE, WINDOW = 5, 1.0, 1e-4, 48
THRESHOLD = -1.0  # below every loss, which is the dearest case: losses of random weights say nothing
BATCH_SIZE = 64
CONCEPT_IMAGES = 256


class Steps:
    """Seconds and peak memory of the steps that were taken, by name.

    On the CPU the peak is the process's so far (resident memory), on a GPU the step's own (torch's tensors).
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self.taken: dict[str, dict[str, float]] = {}

    def take(self, name: str, work: Callable[[], Any]) -> Any:
        """Do ``work()`` as the step of a name; returns its result."""
        result: list[Any] = []
        if self.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        spent = seconds(lambda: result.append(work()))
        self.taken[name] = {"seconds": round(spent, 2), "peak_memory_mb": round(self._peak() / 1e6)}
        print(f"{name}: {self.taken[name]}", file=sys.stderr, flush=True)
        return result[0]

    def _peak(self) -> float:
        if self.device == "cuda":
            return torch.cuda.max_memory_allocated()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES_PER_MAXRSS


def render(backbone: Backbone, pairs: list[Pair], images: int) -> pd.DataFrame:
    """Draw images of the unsafe prompts in turn; returns the manifest."""
    prompts = [pairs[number % len(pairs)][1] for number in range(images)]
    table = pd.DataFrame({"prompt_id": [f"large/{number}" for number in range(images)], "prompt": prompts})
    table = table.assign(prompt_set="target", object="", window=0)
    with tempfile.TemporaryDirectory() as folder:
        return render_prompts(
            backbone,
            table,
            Path(folder) / "images",
            SEED,
            GUIDANCE,
            TEMPERATURE,
            BatchSize(BATCH_SIZE),
            desc="rendering",
        )


def paper_settings(window: int) -> Settings:
    """The method `ear` with the numbers of the paper, but for μ."""
    variant = replace(VARIANTS["ear"], window=window)
    threshold = Threshold(value=THRESHOLD, quantile=None, factor=1.0)
    return Settings(variant, LAYERS, ETA, LEARNING_RATE, "adam", 1, threshold, micro_batch=window)


def measure(backbone: Backbone, pairs: list[Pair], images: int, whole: bool, steps: Steps) -> dict[str, Any]:
    """Render, sample sequences and train.

    Args:
        backbone: the model.
        pairs: prompt pairs.
        images: how many to draw.
        whole: train on all windows of the pairs; else on the first window alone.
        steps: gets the steps "render", "sequences", "targets" (what the frozen model says) and "windows".

    Returns:
        How many windows there were, and how many of them the threshold left out.
    """
    window = min(WINDOW, backbone.num_image_tokens)
    settings = paper_settings(window)
    steps.take("render", lambda: render(backbone, pairs, images))
    sequences = steps.take(
        "sequences",
        lambda: sample_sequences(
            backbone, pairs, "aligned", "chat", SEED, GUIDANCE.scale, TEMPERATURE, BATCH_SIZE
        ),
    )
    if not whole:
        sequences = {name: sequence[:, :window] for name, sequence in sequences.items()}
    trainer = steps.take("targets", lambda: Trainer(backbone, pairs, sequences, settings, SEED))
    log = steps.take("windows", lambda: trainer.run(window, desc="erasing"))
    return {"window": window, "windows": len(log), "skipped": int(log["skipped"].sum())}


def main() -> None:
    """Measure and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="mini", help="of the random weights")
    parser.add_argument("--dtype", choices=DTYPES, default="bfloat16", help="of the weights")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--pairs", type=int, help="train on all windows of so many pairs (the paper: 50)")
    parser.add_argument("--images", type=int, help=f"draw so many (1, or {CONCEPT_IMAGES} with --pairs)")
    arguments = parser.parse_args()
    whole = arguments.pairs is not None
    images = arguments.images or (CONCEPT_IMAGES if whole else 1)
    steps = Steps(arguments.device)
    backbone = steps.take(
        "build", lambda: random_backbone(arguments.shape, arguments.dtype, arguments.device)
    )
    pairs = pairs_of(arguments.pairs or 1)
    found = measure(backbone, pairs, images, whole, steps)
    report(
        {
            "benchmark": "large_shape",
            **{key: getattr(arguments, key) for key in ("shape", "dtype", "device")},
            "parameters": sum(parameter.numel() for parameter in backbone.model.parameters()),
            "pairs": len(pairs),
            "images": images,
            **found,
            "steps": steps.taken,
        }
    )


if __name__ == "__main__":
    main()
