"""Stated rates of work on one H100; measured times of finished jobs take their place (plan.estimate).

A roofline says how long the fastest program would take: as long as reading what has to be read, or as long as
computing what has to be computed, whichever is more. Real programs reach a part of that; how large a part is
stated here, with everything else that is assumed.
"""

from dataclasses import dataclass
from math import ceil

from ear.models.chat_format import CAPTION_TOKENS
from ear.models.memory import Dimensions, padded_columns, padded_images

BANDWIDTH, PEAK = 0.6 * 3.35e12, 0.4 * 990e12
"""Bytes/s and FLOP/s that are reached: parts of the bandwidth and bfloat16 peak of an H100's data sheet."""
STEP_S = 1e-3
"""What surrounds a sampled token in a CUDA graph: drawing from the distribution, the mask, the launch."""
LAUNCH_S = 0.8e-3
"""A decoder layer outside of a CUDA graph, bound by kernel launches: 24 ms for 30 layers."""
BACKWARD = 2
"""A backward pass, in forward passes."""
VQ_FLOP, UNET_FLOP = 0.57e12, 0.80e12
"""Of decoding an image of 384 pixels a side; of a step of Stable Diffusion v1.4, of 512 a side. Counted."""
VERDICT_S, NUDENET_S = 0.03, 0.08
"""A verdict, bound by opening a PNG on one CPU thread; NudeNet's own, likewise."""
FEATURE_S, DISTANCE_S = 0.02, 0.004
"""Features or a CLIP score of a picture, and its share of FID, KID and diversity, on one CPU thread."""
START_S, COMPILE_S, LOAD_BANDWIDTH = 20.0, 60.0, 0.2e9
"""Imports; compiling the decoding step for two shapes; bytes/s of loading weights and hashing them."""

PROMPT = 40
"""Tokens of a prompt in the chat template. Up to 65 take no wider a cache; two in five of Six-CD take one."""
CAPTION_BATCH = 50
"""Pictures described at once."""


@dataclass(frozen=True)
class Work:
    """Equal units of one kind: what is counted, how many, and seconds of all of them."""

    unit: str
    count: int
    seconds: float


class Speed:
    """How long work takes on one H100.

    Args:
        shape: the backbone's.
        batch_size: images or token sequences sampled at once.
    """

    def __init__(self, shape: Dimensions, batch_size: int) -> None:
        self.shape, self.batch_size = shape, batch_size
        self.width = padded_columns(PROMPT, shape.image_tokens)

    def start(self) -> float:
        """Seconds before a job that loads the backbone begins its work."""
        return START_S + self.shape.loaded_bytes / LOAD_BANDWIDTH + COMPILE_S

    def images(self, count: int, rows: int = 2, unit: str = "images", at_once: int = 0) -> Work:
        """Images sampled, ``at_once`` of them or all: each step reads the weights and the whole cache."""
        at_once = at_once or max(1, count)
        lanes = rows * padded_images(min(self.batch_size, at_once))
        read = self.shape.weight_bytes + lanes * self.width * self.shape.cached_bytes
        step = _roofline(read, 2 * lanes * self.shape.parameters) + STEP_S
        batches = count / at_once * ceil(at_once / self.batch_size)
        pixels = _roofline(0, count * VQ_FLOP * (self.shape.image_size / 384) ** 2)
        return Work(unit, count, batches * self.shape.image_tokens * step + pixels)

    def captions(self, count: int) -> Work:
        """Pictures described: read, then a forward pass for each word of a batch."""
        steps = ceil(count / CAPTION_BATCH) * CAPTION_TOKENS
        return Work("captions", count, self.passed(images=count) + steps * self.passed(CAPTION_BATCH))

    def windows(self, count: int, length: int, rows: int, micro_batch: int) -> Work:
        """Windows of a fine-tuning: what lies before one is read, then its micro-batches with a gradient."""
        parts = ceil(length / micro_batch)
        passes = 1 + BACKWARD + (parts > 1)  # of several parts, all are read without a gradient first
        before = self.passed(rows * (PROMPT + self.shape.image_tokens // 2)) if rows > 1 else 0.0
        window = before + parts * passes * self.passed(rows * min(length, micro_batch))
        return Work("windows", count, count * window)

    def diffused(self, count: int, steps: int, size: int) -> Work:
        """Images by Stable Diffusion, two guidance rows a step."""
        return Work("images", count, _roofline(0, count * 2 * steps * UNET_FLOP * (size / 512) ** 2))

    def passed(self, tokens: int = 0, images: int = 0) -> float:
        """Seconds of a forward pass over tokens and over prompts with their images, without a CUDA graph."""
        tokens += images * (PROMPT + self.shape.image_tokens)
        work = _roofline(self.shape.weight_bytes, 2 * self.shape.parameters * tokens)
        return max(LAUNCH_S * self.shape.layers, work) if tokens else 0.0


def verdicts(count: int, by: str) -> Work:
    """Images judged."""
    return Work("verdicts", count, count * (NUDENET_S if by == "nudenet" else VERDICT_S))


def _roofline(read: float, computed: float) -> float:
    return max(read / BANDWIDTH, computed / PEAK)
