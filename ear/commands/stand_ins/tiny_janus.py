"""Stand-ins of Janus-Pro, on its own grid of 576 image tokens, and of the authors' fine-tuned weights."""

from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from torch import nn
from transformers import (
    GenerationConfig,
    JanusConfig,
    JanusForConditionalGeneration,
    JanusImageProcessor,
    JanusProcessor,
    JanusVisionConfig,
    JanusVQVAEConfig,
    LlamaConfig,
    PreTrainedTokenizerFast,
)

from ear.erasure.release import write_authors_weights
from ear.models.chat_format import (
    BOS,
    CHAT_TEMPLATE,
    EOS,
    IMAGE,
    IMAGE_END,
    IMAGE_START,
    PAD,
    SPECIAL_TOKENS,
    UNKNOWN,
)
from ear.workflow.files import write_json
from ear.workflow.texts import read_json

PIXELS, PATCH = 384, 16
IMAGE_TOKENS = (PIXELS // PATCH) ** 2
CODES = 64
HIDDEN, LAYERS = 32, 6  # one layer more than the paper trains
NORM_GROUPS = 32  # of the image tokenizer: no convolution of it can be narrower
TUNED_LAYERS = 5
AUTHORS_FILES = ("ear_church.pt", "ear_nudity.pt", "ear_van_gogh.pt")
SHARD_SIZE = "300KB"  # some files and an index, as the 7B model has


def write_backbone(folder: Path) -> None:
    """Write a Janus checkpoint in bfloat16; its weights are drawn from torch's generator."""
    made = byte_processor()
    tokenizer = made.tokenizer
    tokens = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    image_token = tokenizer.convert_tokens_to_ids(IMAGE)
    model = JanusForConditionalGeneration(_config(len(tokenizer), image_token, tokens))
    _widen(model)
    model.generation_config = GenerationConfig(
        **tokens, guidance_scale=5, generation_kwargs={"boi_token_id": tokenizer.boi_token_id}
    )
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


def _config(words: int, image_token: int, tokens: dict[str, int]) -> JanusConfig:
    text = LlamaConfig(
        vocab_size=words,
        hidden_size=HIDDEN,
        intermediate_size=2 * HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=16384,
        tie_word_embeddings=False,
        **tokens,
    )
    vision = JanusVisionConfig(
        hidden_size=HIDDEN,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=PIXELS,
        patch_size=PATCH,
        projection_dim=HIDDEN,
        num_image_tokens=IMAGE_TOKENS,
    )
    vq = JanusVQVAEConfig(
        num_embeddings=CODES,
        latent_channels=NORM_GROUPS,
        base_channels=NORM_GROUPS,
        channel_multiplier=[1] * 5,  # four halvings: 16 pixels a token
        num_res_blocks=0,
        num_patches=PIXELS // PATCH,
        projection_dim=HIDDEN,
        image_token_embed_dim=HIDDEN,
    )
    return JanusConfig(
        text_config=text.to_dict(),
        vision_config=vision.to_dict(),
        vq_config=vq.to_dict(),
        image_token_id=image_token,
        tie_word_embeddings=False,
    )


def _widen(model: nn.Module) -> None:
    """Weights so wide that prompts and tokens matter: with transformers' 0.02 every prompt draws alike."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=1.5 / parameter.shape[1:].numel() ** 0.5)


def byte_processor() -> JanusProcessor:
    """Bytes as in Janus-Pro's, but of printable ASCII alone, since a random model writes all of them."""
    special = [token for token in SPECIAL_TOKENS if token != UNKNOWN]
    split = pre_tokenizers.ByteLevel(add_prefix_space=False)
    letters = sorted([character for character in split.alphabet() if character.isascii()] + ["Ġ", "Ċ"])
    backend = Tokenizer(models.BPE({token: number for number, token in enumerate([*special, *letters])}, []))
    backend.pre_tokenizer = split
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, special.index(BOS))]
    )
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        padding_side="left",
        model_max_length=16384,
        clean_up_tokenization_spaces=False,
        extra_special_tokens={"image_token": IMAGE, "boi_token": IMAGE_START, "eoi_token": IMAGE_END},
    )
    size = {"height": PIXELS, "width": PIXELS}
    images = JanusImageProcessor(size=size, image_mean=[0.5] * 3, image_std=[0.5] * 3, min_size=14)
    return JanusProcessor(images, tokenizer, chat_template=CHAT_TEMPLATE, num_image_tokens=IMAGE_TOKENS)
