"""What an experiment needs beside time: assets, disk, and memory of a GPU."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from ear.commands.plan.throughput import PROMPT, Speed
from ear.commands.plan.work import jobs_of, trainings_of
from ear.config import Config
from ear.config.methods import PUBLISHED
from ear.models import memory
from ear.models.catalogue import Asset, Repository
from ear.models.lock import Needed, needed_assets
from ear.models.memory import Dimensions

VALUE_BYTES = {"float32": 4, "bfloat16": 2}
PNG_BYTES, TOKEN_BYTES = 1.6, 8
"""Of a pixel, of which a PNG of a photograph takes about half of its 3 bytes; of an image token."""
SAMPLING = (
    "render_pairs",
    "render_targets",
    "sample_sequences",
    "render_original",
    "render_general",
    "render_images",
    "attack",
)


@dataclass(frozen=True)
class Need:
    """GPU memory of one kind of work, which some rules do: of so many at once, weights included.

    Where ``wanted`` at once do not fit, jobs do fewer.
    """

    rules: Sequence[str]
    what: str
    unit: str
    wanted: int
    bytes_of: Callable[[int], float]

    def fits(self, free: float) -> int:
        """How many at once fit into so many bytes; 0 where not even one does."""
        size = memory.largest(self.wanted, free, self.bytes_of)
        return size if self.bytes_of(size) <= memory.USABLE * free else 0


def assets_of(config: Config, catalogue: Mapping[str, Asset]) -> list[Needed]:
    """The assets that an experiment needs, and whether they are there."""
    where = config.assets
    return needed_assets(config.used_assets, catalogue, where.root, where.store, bool(where.stand_ins))


def dimensions_of(config: Config, catalogue: Mapping[str, Asset]) -> Dimensions:
    """Shape of an experiment's backbone, before it is fetched; stand-ins have others."""
    asset = catalogue[config.backbone.asset]
    assert asset.shape, "the config names a backbone, and each has a shape"
    # Files of this repository hold float32, published ones bfloat16.
    held = VALUE_BYTES["float32" if isinstance(asset.source, Repository) else "bfloat16"]
    derived = {
        "key_value_heads": asset.shape.key_value_heads or asset.shape.heads,
        "head_size": asset.shape.head_size or asset.shape.hidden // asset.shape.heads,
        "value_bytes": VALUE_BYTES[config.backbone.dtype],
        "loaded": asset.size // held,
    }
    return Dimensions(**asset.shape.model_dump() | derived)


def disk_of(config: Config, shape: Dimensions) -> dict[str, float]:
    """Rule → bytes that it leaves on the disk, but for tables and figures; nothing of stand-ins."""
    if config.assets.stand_ins:
        return {}
    sides = [method.diffusion.size for method in config.methods.values() if method.diffusion]
    found: dict[str, float] = {}
    for job in jobs_of(config, Speed(shape, config.rendering.batch_size)):
        side = max(sides) if job.rule == "render_diffusion" else shape.image_size
        each = {"render": PNG_BYTES * side**2, "sample": TOKEN_BYTES * shape.image_tokens}
        found[job.rule] = found.get(job.rule, 0) + job.units * each.get(job.rule.split("_")[0], 0)
    layers = [one.settings.layers for one in trainings_of(config)]
    imported = [run for run in config.edited_weights() if config.methods[run[1]].variant == PUBLISHED]
    layers += [config.erasure.layers] * len(imported)  # as if they had as many as those trained here
    return found | {"erase": sum(map(shape.trained_bytes, layers))}


def needs_of(config: Config, shape: Dimensions) -> list[Need]:
    """All kinds of work that hold the backbone, drawing the usual prompts first; nothing of stand-ins."""
    return [] if config.assets.stand_ins else list(_needs(config, shape))


def _needs(config: Config, shape: Dimensions) -> Iterator[Need]:
    def need(rules: Sequence[str], what: str, unit: str, wanted: int, beside: Callable[[int], float]) -> Need:
        return Need(rules, what, unit, wanted, lambda n: shape.loaded_bytes + beside(n))

    def trained(n: int) -> float:
        sizes = [(one.rows, min(n, one.length), PROMPT, one.settings.layers, one.pairs) for one in trainings]
        return max(memory.training(shape, *size) for size in sizes)

    rows = 3 if any(method.strength for method in config.methods.values()) else 2
    batch, tokens = config.rendering.batch_size, shape.image_tokens
    yield need(SAMPLING, "draw", "images", batch, lambda n: memory.drawing(shape, n, rows, PROMPT))
    if trainings := trainings_of(config):
        most = max(min(one.settings.micro_batch, one.length) for one in trainings)
        yield need(["erase"], "fine-tune", "tokens", most, trained)
    if search := config.axes.search:
        what, wanted = "search for prompts", search.prompts
        yield need(["attack"], what, "prompts", wanted, lambda n: memory.gradients(shape, n, PROMPT, tokens))
    if learned := config.axes.relearning:
        images, layers = learned.batch_size, config.erasure.layers
        steps = lambda n: memory.relearning(shape, n, PROMPT, layers, ceil(images / n))  # noqa: E731
        yield need(["attack"], "relearn", "images", images, steps)
