"""The shape of an experiment's backbone, before it is fetched or trained."""

from collections.abc import Mapping
from dataclasses import replace

from ear.assets.catalogue import Asset
from ear.config import Config
from ear.memory import Dimensions
from ear.world.canvas import SIZE

VALUE_BYTES = {"float32": 4, "bfloat16": 2}
ASSET_BYTES = VALUE_BYTES["bfloat16"]
"""Of a weight in the files of the assets that have a shape."""


def dimensions_of(config: Config, catalogue: Mapping[str, Asset]) -> Dimensions | None:
    """Shape of an experiment's backbone; None for stand-ins, which have shapes of their own."""
    size = VALUE_BYTES[config.backbone.dtype]
    if config.world:
        model, image = config.world.architecture, config.world.vq
        made = Dimensions(
            layers=model.layers,
            hidden=model.hidden,
            intermediate=model.intermediate,
            heads=model.heads,
            key_value_heads=model.heads,
            head_size=model.hidden // model.heads,
            image_tokens=image.grid**2,
            codebook=image.codes,
            image_size=SIZE,
            value_bytes=size,
            loaded=0,
        )
        return replace(made, loaded=made.parameters)  # the few of the other towers are left out
    asset = catalogue[str(config.backbone.asset)]
    shape = asset.shape
    if shape is None or (config.assets and config.assets.stand_ins):
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
