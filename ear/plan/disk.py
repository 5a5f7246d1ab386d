"""Disk space of what an experiment makes."""

from dataclasses import dataclass

from ear.config import Config
from ear.config.erasure import PUBLISHED
from ear.memory import Dimensions
from ear.plan.work import Diffused, Images
from ear.plan.workload import fine_tunings, jobs_of, reference_pictures

PNG_BYTES = 1.6
"""Of a pixel: a PNG of a photograph takes about half of its 3 bytes."""
TOKEN_BYTES = 8
INCEPTION_BYTES = 2048 * 4
ADAM_COPIES = 3
"""Weights and two moments, in a checkpoint of a training that is under way."""


@dataclass(frozen=True)
class Files:
    """Files of one kind.

    Attributes:
        what: they are.
        count: how many.
        each: bytes of one; None where they are not known.
        passing: removed again when the job that made them ends, and not part of the sum.
    """

    what: str
    count: int
    each: float | None
    passing: bool = False

    @property
    def bytes(self) -> float | None:
        """Bytes of all."""
        return None if self.each is None else self.count * self.each


def files_of(config: Config, shape: Dimensions | None) -> list[Files]:
    """What an experiment leaves on disk, without assets, tables and figures."""

    def adapter(layers: int) -> int | None:
        return shape.trained_bytes(layers) if shape else None

    jobs = jobs_of(config)
    works = [work for job in jobs for work in job.works]
    images = sum(work.count for work in works if isinstance(work, Images))
    pixels = shape.image_size**2 if shape else None
    found = [Files("images of the backbone (PNG)", images, pixels and PNG_BYTES * pixels)]
    diffused = [work for work in works if isinstance(work, Diffused)]
    for size in sorted({work.size for work in diffused}):
        count = sum(work.count for work in diffused if work.size == size)
        found.append(Files(f"images of Stable Diffusion, {size} px (PNG)", count, PNG_BYTES * size**2))
    streams = sum(work.tokens for job in jobs if job.rule == "sample_streams" for work in job.works)
    found.append(Files("image tokens of streams", streams, TOKEN_BYTES))
    trained = [one.windows.layers for one in fine_tunings(config)]
    for layers in sorted(set(trained)):
        count = trained.count(layers)
        found.append(Files(f"adapters trained here, K = {layers}", count, adapter(layers)))
    published = sum(config.methods[method].variant == PUBLISHED for _, method, _ in config.runs())
    if published:
        layers = config.erasure.layers
        found.append(Files(f"adapters imported, as if K = {layers}", published, adapter(layers)))
    if config.utility.features == "inception":
        found.append(Files("reference features", reference_pictures(config), INCEPTION_BYTES))
    if trained:
        copy, most = (
            adapter(max(trained)),
            max(len(config.trained_windows(*run[:2])) for run in config.runs()),
        )
        each = copy and ADAM_COPIES * copy
        found.append(Files("checkpoints of a running fine-tuning", most, each, passing=True))
    return found
