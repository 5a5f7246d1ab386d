"""Fine-tuned pairs a second, sequences included, next to the naive loops, in one process.

Usage: ``python -m benchmarks.erasure [--shape SHAPE] [--pairs N] [--window W] [--layers K] …``.
Prints one JSON line: for context "none" (`released`) and "aligned" (`wga`), the ratio of medians of five
rounds to each naive loop.
"""

import argparse
import copy
import statistics
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from benchmarks.measure import compare, report, seconds, take_turns
from benchmarks.naive import aligned_loop, released_loop
from benchmarks.shapes import SHAPES, random_backbone
from ear.erasure.edited_weights import trained_modules
from ear.erasure.sequences import Pair, sample_sequences
from ear.erasure.trainer import Trainer
from ear.erasure.variants import VARIANTS, Settings
from ear.models.backbone import DTYPES, Backbone
from ear.world.grammar import Grammar

GUIDANCE, TEMPERATURE, SEED = 1.5, 0.5, 7
BATCH_SIZE = 100
NAIVE: dict[str, dict[str, Callable[..., None]]] = {
    "released": {"naive": released_loop},
    "wga": {"naive": aligned_loop, "naive_prefix_at_once": partial(aligned_loop, prefix_at_once=True)},
}


def pairs_of(count: int) -> list[Pair]:
    """Church pairs of the mini world's grammar."""
    table = Grammar("church", "object", "church", seed=42).pairs(count)
    return list(table[["pair_id", "unsafe_prompt", "safe_prompt"]].itertuples(index=False, name=None))


def ours(backbone: Backbone, pairs: list[Pair], settings: Settings, window: int) -> None:
    """Token sequences of all pairs in lockstep, then one forward and one backward pass a window."""
    variant = settings.variant
    sequences = sample_sequences(
        backbone, pairs, variant.context, variant.encoding, SEED, GUIDANCE, TEMPERATURE, BATCH_SIZE
    )
    trainer = Trainer(backbone, pairs, sequences, settings, seed=0)
    trainer.run(window, desc="erasing")
    trainer.restore()


def measure(
    backbone: Backbone, name: str, layers: int, window: int, pairs: list[Pair], naive_pairs: int
) -> dict[str, Any]:
    """Pairs a second of ours and of the naive loop, in turn."""
    variant = replace(VARIANTS[name], threshold="off", order="file")
    settings = Settings(variant, layers, 0.2, 1e-5, "adam", 1, None, micro_batch=window)
    naive = copy.deepcopy(backbone)
    frozen = {key: module.weight.detach().clone() for key, module in trained_modules(naive, layers).items()}

    def ours_rate() -> float:
        return len(pairs) / seconds(lambda: ours(backbone, pairs, settings, window))

    def naive_rate(loop: Callable[..., None]) -> float:
        part = pairs[:naive_pairs]
        spent = seconds(lambda: loop(naive, backbone, part, settings, window, GUIDANCE, TEMPERATURE, SEED))
        for key, module in trained_modules(naive, layers).items():
            module.weight.detach().copy_(frozen[key])
        return len(part) / spent

    ours_rate()  # once for what is loaded or made at the first use
    rates = take_turns(
        {"ours": ours_rate, **{key: partial(naive_rate, loop) for key, loop in NAIVE[name].items()}}
    )
    return {
        **{f"against_{key}": compare(rates["ours"], rates[key]) for key in NAIVE[name]},
        "seconds_a_pair": {key: round(1 / statistics.median(rate), 4) for key, rate in rates.items()},
    }


def main() -> None:
    """Measure and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="mini", help="of the random weights")
    parser.add_argument("--dtype", choices=DTYPES, help="float32 on the CPU, bfloat16 on a GPU")
    parser.add_argument("--pairs", type=int, default=50, help="prompt pairs (50, as in the paper)")
    parser.add_argument("--naive-pairs", type=int, default=8, help="of them, in a naive measurement")
    parser.add_argument("--window", type=int, default=16, help="W, image tokens")
    parser.add_argument("--layers", type=int, default=6, help="K, trained decoder layers")
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = arguments.dtype or ("bfloat16" if device == "cuda" else "float32")
    backbone = random_backbone(arguments.shape, dtype, device)
    pairs = pairs_of(arguments.pairs)
    facts: dict[str, Any] = {
        "benchmark": "erasure",
        "backbone": backbone.reference,
        "dtype": dtype,
        **{key: getattr(arguments, key) for key in ("pairs", "window", "layers")},
    }
    for name in NAIVE:
        facts[name] = measure(
            backbone, name, arguments.layers, arguments.window, pairs, arguments.naive_pairs
        )
    if device == "cuda":
        facts["peak_memory_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 1)
    report(facts)


if __name__ == "__main__":
    main()
