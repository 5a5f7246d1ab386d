"""The shape of a backbone, and the sizes that follow from it."""

from collections.abc import Mapping
from dataclasses import dataclass

from ear.assets.catalogue import Asset
from ear.config import Config
from ear.world.canvas import SIZE

VALUE_BYTES = {"float32": 4, "bfloat16": 2}


@dataclass(frozen=True)
class Dimensions:
    """Shape of a backbone.

    Attributes:
        layers: decoder layers.
        hidden: their width.
        intermediate: width of their MLPs.
        image_tokens: T.
        codebook: entries of it.
        image_size: pixels a side.
        value_bytes: of a weight or an activation.
    """

    layers: int
    hidden: int
    intermediate: int
    image_tokens: int
    codebook: int
    image_size: int
    value_bytes: int

    @property
    def parameters(self) -> int:
        """Weights that a step reads: decoder layers and image head."""
        layer = 4 * self.hidden**2 + 3 * self.hidden * self.intermediate
        return self.layers * layer + self.hidden * (self.hidden + self.codebook)

    @property
    def weight_bytes(self) -> int:
        """Bytes of those."""
        return self.parameters * self.value_bytes

    @property
    def cached_bytes(self) -> int:
        """Keys and values of one token of one row."""
        return 2 * self.layers * self.hidden * self.value_bytes

    def trained_bytes(self, layers: int) -> int:
        """Attention projections of so many layers: those of an adapter."""
        return layers * 4 * self.hidden**2 * self.value_bytes


def dimensions_of(config: Config, catalogue: Mapping[str, Asset]) -> Dimensions | None:
    """Shape of an experiment's backbone; None for stand-ins, which have shapes of their own."""
    size = VALUE_BYTES[config.backbone.dtype]
    if config.world:
        model, image = config.world.architecture, config.world.vq
        return Dimensions(
            model.layers, model.hidden, model.intermediate, image.grid**2, image.codes, SIZE, size
        )
    shape = catalogue[str(config.backbone.asset)].shape
    if shape is None or (config.assets and config.assets.stand_ins):
        return None
    return Dimensions(
        shape.layers,
        shape.hidden,
        shape.intermediate,
        shape.image_tokens,
        shape.codebook,
        shape.image_size,
        size,
    )
