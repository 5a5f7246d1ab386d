"""Seconds of work: stated ones, from a roofline of one GPU, and those of the release's loop on it.

A roofline says how long the fastest possible program would take: as long as reading what has to be read, or
as long as computing what has to be computed, whichever is more. Real programs reach a part of that; how large
a part is stated here, with everything else that is assumed. Measured times take the place of these as soon as
jobs of the experiment have finished (``ear.plan.measured``).
"""

from collections.abc import Iterable
from functools import singledispatchmethod
from math import ceil

from ear.chat import CAPTION_TOKENS
from ear.judges.base import ON_CPU
from ear.memory import Dimensions, padded_columns, padded_images
from ear.plan.cards import H100, Card
from ear.plan.work import (
    Captions,
    Diffused,
    Distances,
    Features,
    Goals,
    Images,
    Queries,
    Readings,
    Relearning,
    Streams,
    Verdicts,
    Windows,
    Work,
)
from ear.plan.workload import Job

BANDWIDTH_SHARE, PEAK_SHARE = 0.6, 0.4
"""What is reached of a card's bandwidth and peak."""
LAUNCH_S = 0.8e-3
"""A decoder layer of transformers without a CUDA graph, bound by kernel launches: 24 ms for 30 layers."""
STEP_S = 1e-3
"""What surrounds a step in a CUDA graph: drawing from the distribution, the mask, the graph's launch."""
BACKWARD = 2
"""A backward pass, in forward passes."""
ADAM_PASSES = 20
"""Times that a step of Adam reads or writes each trained weight (gradient norm and zeroing too)."""

PROMPT = 40
"""Tokens of a prompt in the chat template. Up to 65 take no wider a cache; two in five of Six-CD take one."""
VQ_FLOP, VQ_SIZE = 0.57e12, 384
"""Of decoding one image to pixels, and its side, counted on Janus-Pro's configuration."""
VISION_FLOP = 0.38e12
"""Of the vision tower looking at one, counted likewise."""
CAPTION_BATCH = 50
"""Pictures described at once."""
UNET_FLOP, VAE_FLOP, DIFFUSION_SIZE = 0.80e12, 2.5e12, 512
"""Of one denoising step of Stable Diffusion v1.4, of decoding its latents, and at which size; counted."""
VERDICT_S = {"classifier": 0.02, "artist": 0.03, "nudenet": 0.08, "zero-shot": 0.03}
"""A verdict and a CLIP score, bound by one CPU thread: 8 ms to open a PNG of 384 × 384, NudeNet 70 ms."""
DISTANCE_S = 0.004
"""Of FID, KID and diversity, two minutes for 30 000 images on one thread."""
FEATURE_S = 0.02
"""Features of a picture, bound by opening and resizing it."""
START_S, LOAD_BANDWIDTH = 20.0, 0.2e9
"""Imports; bytes/s of loading weights and taking their fingerprint: over a minute for Janus-Pro-7B."""
COMPILE_S = 30.0
"""Compiling the decoding step for one shape: for full batches and for the last one of each kind of images."""
FOURS = 4
"""Images that the release's script for COCO draws at once."""
RELEASED_STREAMS = 3
"""Frozen forward passes of the release's training loop for each image token."""

STATED: dict[type[Work], str] = {
    Images: f"a step reads weights and cache at {BANDWIDTH_SHARE:.0%} of the card's bandwidth, + "
    f"{STEP_S * 1e3:.0f} ms; {VQ_FLOP / 1e12} TFLOP to decode to pixels, at {PEAK_SHARE:.0%} of its peak",
    Streams: "as images, without pixels; without context from a table of states",
    Goals: f"a forward pass: its FLOP at {PEAK_SHARE:.0%} of its peak, at least {LAUNCH_S * 1e3} ms a layer",
    Windows: "passes as for pairs, over the window and over what lies before it; "
    f"backward as {BACKWARD} forward passes; Adam",
    Captions: f"passes as for pairs, one for each of {CAPTION_TOKENS} words in batches of {CAPTION_BATCH}",
    Diffused: f"{UNET_FLOP / 1e12} TFLOP a step and guidance row, at {PEAK_SHARE:.0%} of its peak",
    Verdicts: "opening an image, judge and CLIP, on one CPU thread (NudeNet: by its job's threads): "
    + ", ".join(f"{judge} {1e3 * seconds:.0f} ms" for judge, seconds in VERDICT_S.items()),
    Distances: f"{1e3 * DISTANCE_S:.0f} ms an image, on one CPU thread",
    Queries: "as images, all prompts and searches of an attack at once, and a verdict",
    Readings: f"passes as for pairs; a backward pass as {BACKWARD} forward passes",
    Relearning: f"passes as for pairs, backward as {BACKWARD} forward passes; Adam",
    Features: "opening and resizing a picture on one CPU thread",
}
STATED_START = (
    f"{START_S:.0f} s of imports, weights read and hashed at {LOAD_BANDWIDTH / 1e9} GB/s, "
    f"{COMPILE_S:.0f} s of compiling the decoding step for each shape"
)
STATED_RELEASE = (
    f"{LAUNCH_S * 1e3} ms a layer (kernel launches); one image at a time, of COCO {FOURS}; in training "
    f"{RELEASED_STREAMS} frozen passes, which sample the streams, and 1 trained, backward as {BACKWARD}; "
    "judging and Stable Diffusion as here; starting its scripts not counted"
)


def known_sum(values: Iterable[float | None]) -> float | None:
    """The sum of values; None where one of them is not known."""
    known = list(values)
    return None if None in known else sum(value for value in known if value is not None)


class Ours:
    """Seconds of work on one GPU, by this project's code.

    Args:
        shape: the backbone's.
        batch_size: images or streams drawn at once.
        card: the GPU.
    """

    def __init__(self, shape: Dimensions, batch_size: int, card: Card = H100) -> None:
        self.shape = shape
        self.batch_size = batch_size
        self.card = card
        self.width = padded_columns(PROMPT, shape.image_tokens)

    def roofline(self, read: float, computed: float) -> float:
        """Seconds of reading so many bytes and computing so many FLOP at once, as fast as is assumed."""
        return max(read / (self.card.bandwidth * BANDWIDTH_SHARE), computed / (self.card.peak * PEAK_SHARE))

    def job(self, job: Job) -> float | None:
        """Seconds of a job, its start included; None where a rate is not known."""
        return known_sum([self.start(job.works), *map(self.seconds, job.works)])

    def start(self, works: tuple[Work, ...]) -> float:
        """Seconds before a job begins its work."""
        if isinstance(works[0], Verdicts | Features | Distances | Diffused):
            return START_S
        shapes: set[int] = set()
        for work in works:
            if isinstance(work, Images | Streams | Queries):
                count = work.at_once if isinstance(work, Queries) else work.count
                sizes = {min(count, self.batch_size), count % self.batch_size} - {0}
                shapes |= {padded_images(size) for size in sizes}
        return START_S + self.shape.loaded_bytes / LOAD_BANDWIDTH + COMPILE_S * len(shapes)

    @singledispatchmethod
    def seconds(self, work: Work) -> float | None:
        """Seconds of a job's work; None where no rate is known."""
        return None

    @seconds.register
    def _(self, work: Images) -> float:
        pixels = self.roofline(0, work.count * VQ_FLOP * (self.shape.image_size / VQ_SIZE) ** 2)
        return self._sampled(work.count, work.rows) + pixels

    @seconds.register
    def _(self, work: Streams) -> float:
        if work.context != "none":
            return self._sampled(work.count, rows=2)
        # Without context the states are a table: a step is the image head.
        steps = ceil(work.count / self.batch_size) * self.shape.image_tokens
        return self._forward(self.shape.codebook) + steps * STEP_S

    @seconds.register
    def _(self, work: Captions) -> float:
        batches = ceil(work.count / CAPTION_BATCH)
        prompt = self.shape.image_tokens + PROMPT
        look = self.roofline(0, work.count * (VISION_FLOP + 2 * self.shape.parameters * prompt))
        return look + batches * CAPTION_TOKENS * self._forward(CAPTION_BATCH)

    @seconds.register
    def _(self, work: Goals) -> float:
        if work.context == "none":
            return work.count * self._forward(4 * PROMPT)
        rows = {"aligned": 4, "mixed": work.cuts + 1}.get(work.context, 6)
        return work.count * self._forward(rows * (PROMPT + self.shape.image_tokens))

    @seconds.register
    def _(self, work: Windows) -> float:
        rows = work.rows
        trained = self._forward(rows * work.length) * (1 + BACKWARD)
        if work.length > work.micro_batch:  # read without gradient first, then again
            parts = ceil(work.length / work.micro_batch)
            trained = parts * self._forward(rows * work.micro_batch) * (2 + BACKWARD)
        before = 0.0 if rows == 1 else self._forward(rows * (PROMPT + self.shape.image_tokens // 2))
        step = self.roofline(ADAM_PASSES * self.shape.trained_bytes(work.layers), 0)
        return work.count * (before + trained + step)

    @seconds.register
    def _(self, work: Diffused) -> float:
        flop = (2 * work.steps * UNET_FLOP + VAE_FLOP) * (work.size / DIFFUSION_SIZE) ** 2
        return self.roofline(0, work.count * flop)

    @seconds.register
    def _(self, work: Verdicts) -> float:
        return work.count * VERDICT_S[work.by] / (work.threads if work.by in ON_CPU else 1)

    @seconds.register
    def _(self, work: Distances) -> float:
        return work.count * DISTANCE_S

    @seconds.register
    def _(self, work: Features) -> float:
        return work.count * FEATURE_S

    @seconds.register
    def _(self, work: Queries) -> float:
        rounds = work.count / work.at_once
        pixels = self.roofline(0, work.count * VQ_FLOP * (self.shape.image_size / VQ_SIZE) ** 2)
        return rounds * self._sampled(work.at_once, work.rows) + pixels + work.count * VERDICT_S[work.by]

    @seconds.register
    def _(self, work: Readings) -> float:
        return (work.count + BACKWARD * work.backward) * self._forward(PROMPT + self.shape.image_tokens)

    @seconds.register
    def _(self, work: Relearning) -> float:
        read = self._forward(work.images * (PROMPT + self.shape.image_tokens))
        step = self.roofline(ADAM_PASSES * self.shape.trained_bytes(work.layers), 0)
        return work.count * ((1 + BACKWARD) * read + step)

    def _sampled(self, count: int, rows: int) -> float:
        """Sampling images in batches: each step reads the weights and the whole cache."""
        lanes = rows * padded_images(max(1, min(self.batch_size, count)))
        read = self.shape.weight_bytes + lanes * self.width * self.shape.cached_bytes
        step = self.roofline(read, 2 * lanes * self.shape.parameters) + STEP_S
        return ceil(count / self.batch_size) * self.shape.image_tokens * step

    def _forward(self, tokens: int) -> float:
        """A forward pass outside of a CUDA graph: as long as its kernels' launches, at least."""
        work = self.roofline(self.shape.weight_bytes, 2 * self.shape.parameters * tokens)
        return max(LAUNCH_S * self.shape.layers, work)


class Release:
    """Seconds of the same work by the release's loop on the same GPU: one prompt, one token at a time.

    It draws COCO's captions four at a time. What it has no loop for (judging, Stable Diffusion) takes as long
    as here. The streams belong to its training loop; starting its scripts is not counted.
    """

    def __init__(self, ours: Ours) -> None:
        self.ours = ours
        self.step = LAUNCH_S * ours.shape.layers

    @singledispatchmethod
    def seconds(self, work: Work) -> float | None:
        """Seconds of a job's work; None where no rate is known."""
        return self.ours.seconds(work)

    @seconds.register
    def _(self, work: Images) -> float:
        at_once = FOURS if work.general else 1
        return ceil(work.count / at_once) * self.ours.shape.image_tokens * self.step

    @seconds.register
    def _(self, work: Captions) -> float:
        return work.count * CAPTION_TOKENS * self.step

    @seconds.register
    def _(self, work: Streams | Goals) -> float:
        return 0.0

    @seconds.register
    def _(self, work: Windows) -> float:
        return work.tokens * (RELEASED_STREAMS + 1 + BACKWARD) * self.step
