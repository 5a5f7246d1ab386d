"""Stand-ins of Janus-Pro, on its own grid of 576 image tokens, and of the authors' fine-tuned weights."""

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import nn
from transformers import JanusForConditionalGeneration, JanusProcessor, JanusVQVAEConfig

from ear.erasure.release import write_authors_weights
from ear.models.chat_format import SPECIAL_TOKENS, UNKNOWN
from ear.workflow.files import write_json
from ear.workflow.texts import read_json
from ear.world.backbone import janus_model, janus_processor

PIXELS, PATCH = 384, 16
IMAGE_TOKENS = (PIXELS // PATCH) ** 2
CODES = 64
# One layer more than the paper trains.
SHAPE = {"hidden": 32, "layers": 6, "intermediate": 64, "heads": 2}
VISION = {"vision_hidden": 32, "vision_layers": 1, "vision_heads": 2}
LONGEST_TEXT = 16384
NORM_GROUPS = 32  # of the image tokenizer: no convolution of it can be narrower
TUNED_LAYERS = 5
AUTHORS_FILES = ("ear_church.pt", "ear_nudity.pt", "ear_van_gogh.pt")
SHARD_SIZE = "300KB"  # some files and an index, as the 7B model has


def write_backbone(folder: Path) -> None:
    """Write a Janus checkpoint in bfloat16; its weights are drawn from torch's generator."""
    made = byte_processor()
    vq = JanusVQVAEConfig(
        num_embeddings=CODES,
        latent_channels=NORM_GROUPS,
        base_channels=NORM_GROUPS,
        channel_multiplier=[1] * 5,  # four halvings: 16 pixels a token
        num_res_blocks=0,
        num_patches=PIXELS // PATCH,
    )
    model = janus_model(made, vq.to_dict(), **SHAPE, **VISION, guidance=5, positions=LONGEST_TEXT)
    widen(model)
    model.to(torch.bfloat16).save_pretrained(folder, max_shard_size=SHARD_SIZE)
    made.save_pretrained(folder)
    # As published: the tokenizer is named Llama's though it splits otherwise, and the config does not say
    # whether text embeddings and text head are one matrix.
    file = folder / "tokenizer_config.json"
    write_json(file, read_json(file) | {"tokenizer_class": "LlamaTokenizer"})
    config = read_json(folder / "config.json")
    del config["tie_word_embeddings"]
    config["text_config"].pop("tie_word_embeddings", None)
    write_json(folder / "config.json", config)


def write_tuned_weights(folder: Path, backbone: Path) -> None:
    """Write three files of the authors' format: a backbone's first layers, each time a little changed."""
    model = JanusForConditionalGeneration.from_pretrained(backbone, dtype=torch.bfloat16)
    layers = model.model.language_model.layers[:TUNED_LAYERS]
    weights = {
        f"layers.{number}.self_attn.{name}_proj": getattr(layer.self_attn, f"{name}_proj").weight.detach()
        for number, layer in enumerate(layers)
        for name in "qkvo"
    }
    for name in AUTHORS_FILES:
        changed = {
            key: weight + 0.05 * weight.std() * torch.randn_like(weight) for key, weight in weights.items()
        }
        write_authors_weights(folder / name, changed)


def widen(model: nn.Module) -> None:
    """Weights so wide that prompts and tokens matter: with transformers' 0.02 every prompt draws alike."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=1.5 / parameter.shape[1:].numel() ** 0.5)


def byte_backend(special: Sequence[str]) -> Tokenizer:
    """Special tokens, then bytes as in Janus-Pro's tokenizer.

    Of printable ASCII alone, since a random model writes all of them.
    """
    split = pre_tokenizers.ByteLevel(add_prefix_space=False)
    letters = sorted([character for character in split.alphabet() if character.isascii()] + ["Ġ", "Ċ"])
    backend = Tokenizer(models.BPE({token: number for number, token in enumerate([*special, *letters])}, []))
    backend.pre_tokenizer = split
    backend.decoder = decoders.ByteLevel()
    return backend


def byte_processor() -> JanusProcessor:
    """Janus-Pro's special tokens before bytes, and its processor."""
    special = [token for token in SPECIAL_TOKENS if token != UNKNOWN]
    backend = byte_backend(special)
    return janus_processor(backend, special, PIXELS, IMAGE_TOKENS, min_size=14, model_max_length=LONGEST_TEXT)
