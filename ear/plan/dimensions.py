"""The shape of an experiment's backbone, before it is fetched."""

from collections.abc import Mapping

from ear.assets.catalogue import Asset
from ear.config import Config
from ear.memory import Dimensions

VALUE_BYTES = {"float32": 4, "bfloat16": 2}
ASSET_BYTES = VALUE_BYTES["bfloat16"]
"""Of a weight in the files of Janus-Pro; those of the small mini backbone have twice as many."""


def dimensions_of(config: Config, catalogue: Mapping[str, Asset]) -> Dimensions | None:
    """Shape of an experiment's backbone; None for stand-ins, which have shapes of their own."""
    size = VALUE_BYTES[config.backbone.dtype]
    asset = catalogue[config.backbone.asset]
    shape = asset.shape
    if shape is None or config.assets.stand_ins:
        return None
    return Dimensions(
        layers=shape.layers,
        hidden=shape.hidden,
        intermediate=shape.intermediate,
        heads=shape.heads,
        key_value_heads=shape.key_value_heads or shape.heads,
        head_size=shape.head_size or shape.hidden // shape.heads,
        image_tokens=shape.image_tokens,
        codebook=shape.codebook,
        image_size=shape.image_size,
        value_bytes=size,
        loaded=asset.size // ASSET_BYTES,
    )
