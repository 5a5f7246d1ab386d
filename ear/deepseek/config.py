"""DeepSeek's config.json and transformers' JanusConfig.

DeepSeek's file names its vision tower and VQ model, and their sizes are in its code. Here ``params`` may hold
sizes beside the name, for models that are smaller than the published ones.
"""

from collections.abc import Mapping
from typing import Any

from transformers import JanusConfig, JanusVisionConfig, JanusVQVAEConfig, LlamaConfig

from ear.errors import InputError

MODEL_TYPE = "multi_modality"
TOWER, QUANTISER, PROJECTOR = "siglip_large_patch16_384", "VQ-16", "mlp_gelu"
LAST_LAYER = -1

TOWER_SIZES = {
    "width": ("hidden_size", 1024),
    "layers": ("num_hidden_layers", 24),
    "heads": ("num_attention_heads", 16),
    "patch_size": ("patch_size", 16),
    "mlp_ratio": ("mlp_ratio", 4.0),
}
"""Key of ``vision_config.params`` → (transformers' name, what the tower's name stands for)."""

QUANTISER_SIZES = {
    "ch": ("base_channels", 128),
    "ch_mult": ("channel_multiplier", [1, 1, 2, 2, 4]),
    "num_res_blocks": ("num_res_blocks", 2),
    "z_channels": ("latent_channels", 256),
}
"""Key of ``gen_vision_config.params`` → (transformers' name, what the VQ model's name stands for)."""

TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id")
NOT_THE_MODELS = {*TOKENS, "transformers_version", "dtype", "torch_dtype", "tie_word_embeddings"}
"""Keys of ``language_config`` that are the tokenizer's, the file's or, in transformers, the whole model's."""

_Params = Mapping[str, Any]


def to_transformers_config(
    source: str, settings: Mapping[str, Any], tokens: Mapping[str, int]
) -> JanusConfig:
    """transformers' config of DeepSeek's.

    Args:
        source: the file, for errors.
        settings: its content.
        tokens: ids of ``TOKENS`` and image_token_id, of which DeepSeek's config knows nothing.

    Raises:
        InputError: a section or key is missing, or names a part that transformers' Janus does not have.
    """
    vision, aligner, quantiser, generation_aligner, head = (
        _params(source, settings, section)
        for section in (
            "vision_config",
            "aligner_config",
            "gen_vision_config",
            "gen_aligner_config",
            "gen_head_config",
        )
    )
    for section, found, key, wanted in (
        ("vision_config.params", vision, "model_name", TOWER),
        ("vision_config.params", vision, "select_layer", LAST_LAYER),
        ("aligner_config.params", aligner, "projector_type", PROJECTOR),
        ("gen_aligner_config.params", generation_aligner, "projector_type", PROJECTOR),
        ("gen_vision_config", settings["gen_vision_config"], "cls", QUANTISER),
    ):
        if found.get(key) != wanted:
            raise InputError(f"{source}: {section}.{key}: found {found.get(key)!r}, wanted {wanted!r}")
    tower = _sizes(vision, TOWER_SIZES)
    try:
        language = settings["language_config"]
        return JanusConfig(
            text_config=LlamaConfig(
                **{key: value for key, value in language.items() if key not in NOT_THE_MODELS},
                **{name: tokens[name] for name in TOKENS},
            ),
            vision_config=JanusVisionConfig(
                **tower,
                image_size=vision["image_size"],
                projection_dim=aligner["n_embed"],
                depth=aligner["depth"],
                num_image_tokens=(vision["image_size"] // tower["patch_size"]) ** 2,
            ),
            vq_config=JanusVQVAEConfig(
                **_sizes(quantiser, QUANTISER_SIZES),
                embed_dim=quantiser["n_embed"],
                num_embeddings=quantiser["image_token_size"],
                projection_dim=generation_aligner["n_embed"],
                num_hidden_layers=generation_aligner["depth"],
                image_token_embed_dim=head["image_token_embed"],
            ),
            image_token_id=tokens["image_token_id"],
            tie_word_embeddings=language.get("tie_word_embeddings", False),
        )
    except KeyError as error:
        raise InputError(f"{source}: found no {error.args[0]}, wanted it as DeepSeek writes it") from None
    except (TypeError, ValueError) as error:
        raise InputError(f"{source}: found settings that Janus refuses ({_line(error)})") from None


def to_deepseek_config(config: JanusConfig) -> dict[str, Any]:
    """DeepSeek's config of transformers'.

    Raises:
        InputError: the config has a setting that DeepSeek's file has no place for.
    """
    text, vision, vq = config.text_config, config.vision_config, config.vq_config
    language = {key: value for key, value in text.to_diff_dict().items() if key not in NOT_THE_MODELS}

    def aligner(depth: int, inputs: int, outputs: int) -> dict[str, Any]:
        sizes = {"depth": depth, "input_dim": inputs, "n_embed": outputs}
        return {"cls": "MlpProjector", "params": {"projector_type": PROJECTOR, **sizes}}

    settings = {
        "model_type": MODEL_TYPE,
        "architectures": ["MultiModalityCausalLM"],
        "language_config": {**language, "tie_word_embeddings": config.tie_word_embeddings},
        "vision_config": {
            "cls": "CLIPVisionTower",
            "params": {
                "model_name": TOWER,
                "image_size": vision.image_size,
                "select_feature": "same",
                "select_layer": LAST_LAYER,
                **_unlike(vision, TOWER_SIZES),
            },
        },
        "aligner_config": aligner(vision.depth, vision.hidden_size, vision.projection_dim),
        "gen_vision_config": {
            "cls": QUANTISER,
            "params": {
                "image_token_size": vq.num_embeddings,
                "n_embed": vq.embed_dim,
                **_unlike(vq, QUANTISER_SIZES),
            },
        },
        "gen_aligner_config": aligner(vq.num_hidden_layers, vq.embed_dim, vq.projection_dim),
        "gen_head_config": {
            "cls": "vision_head",
            "params": {
                "image_token_embed": vq.image_token_embed_dim,
                "image_token_size": vq.num_embeddings,
                "n_embed": text.hidden_size,
            },
        },
    }
    tokens = {**{name: getattr(text, name) for name in TOKENS}, "image_token_id": config.image_token_id}
    back = to_transformers_config("config.json", settings, tokens)
    for section in ("text_config", "vision_config", "vq_config"):
        wanted, found = (getattr(which, section).to_dict() for which in (config, back))
        for key in wanted.keys() - NOT_THE_MODELS:
            if _plain(found.get(key)) != _plain(wanted[key]):
                raise InputError(
                    f"{section}.{key}: found {wanted[key]!r}, wanted {found.get(key)!r}: DeepSeek's "
                    "format has no place for it"
                )
    return settings


def _params(source: str, settings: Mapping[str, Any], section: str) -> _Params:
    found = settings.get(section)
    if not isinstance(found, Mapping) or not isinstance(found.get("params"), Mapping):
        raise InputError(f"{source}: found no {section}.params, wanted it as DeepSeek writes it")
    return found["params"]


def _sizes(params: _Params, table: Mapping[str, tuple[str, Any]]) -> dict[str, Any]:
    return {name: params.get(key, implied) for key, (name, implied) in table.items()}


def _unlike(config: Any, table: Mapping[str, tuple[str, Any]]) -> dict[str, Any]:
    """The sizes that differ from what the name stands for."""
    sizes = {key: (_plain(getattr(config, name)), implied) for key, (name, implied) in table.items()}
    return {key: size for key, (size, implied) in sizes.items() if size != implied}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _line(error: Exception) -> str:
    return str(error).splitlines()[0]
