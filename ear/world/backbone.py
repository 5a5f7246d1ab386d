"""The mini backbone: a small JanusForConditionalGeneration around the trained image tokenizer."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import nn
from transformers import (
    GenerationConfig,
    JanusConfig,
    JanusForConditionalGeneration,
    JanusImageProcessor,
    JanusProcessor,
    JanusVisionConfig,
    JanusVQVAE,
    LlamaConfig,
    LlamaModel,
    PreTrainedTokenizerFast,
)

from ear.models.chat_format import (
    BOS,
    CHAT_TEMPLATE,
    DESCRIBE,
    EOS,
    IMAGE,
    IMAGE_END,
    IMAGE_START,
    PAD,
    SPECIAL_TOKENS,
    UNKNOWN,
    question,
)
from ear.models.janus import Janus
from ear.workflow.files import atomic_path
from ear.world.dataset import load_training_set
from ear.world.drawing import SIZE
from ear.world.language_model import train_language_model
from ear.world.sentences import words
from ear.world.vq import load_vq

CLIP_PAD, CLIP_UNKNOWN, CLIP_START, CLIP_END = "<pad>", "<unk>", "<start>", "<end>"


def build_processor(num_image_tokens: int) -> JanusProcessor:
    """Processor of the mini backbone, which knows the words of the caption grammar and of its requests alone.

    It lower-cases text and pads on the left; images become (3, 64, 64) in [-1, 1].

    Args:
        num_image_tokens: placeholders that stand for one image in a text.
    """
    vocabulary = sorted({*words(), *DESCRIBE.split(), *question("").split(), ",", ":"})
    backend = word_level((*SPECIAL_TOKENS, *vocabulary), UNKNOWN)
    return janus_processor(
        backend, SPECIAL_TOKENS, SIZE, num_image_tokens, min_size=SIZE // 4, unk_token=UNKNOWN
    )


def janus_processor(
    backend: Tokenizer,
    special: Sequence[str],
    size: int,
    num_image_tokens: int,
    min_size: int,
    **options: Any,
) -> JanusProcessor:
    """Janus's chat template, special tokens and image processor around a tokenizer of text.

    Args:
        backend: it knows the special tokens.
        special: the special tokens.
        size: side of the images, pixels.
        num_image_tokens: placeholders that stand for one image in a text.
        min_size: shortest side that an image keeps when it is resized, pixels.
        options: further ones of the tokenizer.
    """
    extra = {"image_token": IMAGE, "boi_token": IMAGE_START, "eoi_token": IMAGE_END}
    tokenizer = text_tokenizer(backend, special, BOS, EOS, PAD, extra_special_tokens=extra, **options)
    images = JanusImageProcessor(
        size={"height": size, "width": size}, image_mean=[0.5] * 3, image_std=[0.5] * 3, min_size=min_size
    )
    return JanusProcessor(images, tokenizer, chat_template=CHAT_TEMPLATE, num_image_tokens=num_image_tokens)


def text_tokenizer(
    backend: Tokenizer, special: Sequence[str], bos: str, eos: str, pad: str, **options: Any
) -> PreTrainedTokenizerFast:
    """A tokenizer that puts ``bos`` first and pads on the left.

    Args:
        backend: it knows the special tokens.
        special: the special tokens.
        bos: begin-of-sentence.
        eos: end-of-sentence.
        pad: the padding.
        options: further ones of the tokenizer.
    """
    backend.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A $B", special_tokens=[(bos, backend.token_to_id(bos))]
    )
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=bos,
        eos_token=eos,
        pad_token=pad,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        **options,
    )


def build_clip_tokenizer(context_length: int) -> PreTrainedTokenizerFast:
    """CLIP's tokenizer: the words of the caption grammar in place of CLIP's 49 408 pieces of words.

    The end of a text has the largest id, where open_clip looks for it, and the padding has id 0.

    Args:
        context_length: longest text in tokens, its start and end included.
    """
    pieces = (CLIP_PAD, CLIP_UNKNOWN, CLIP_START, *sorted({*words(), ","}), CLIP_END)
    backend = word_level(pieces, CLIP_UNKNOWN)
    backend.post_processor = processors.TemplateProcessing(
        single=f"{CLIP_START} $A {CLIP_END}",
        special_tokens=[(piece, backend.token_to_id(piece)) for piece in (CLIP_START, CLIP_END)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=CLIP_START,
        eos_token=CLIP_END,
        pad_token=CLIP_PAD,
        unk_token=CLIP_UNKNOWN,
        model_max_length=context_length,
        clean_up_tokenization_spaces=False,
    )


def word_level(pieces: Iterable[str], unknown: str) -> Tokenizer:
    """A tokenizer of lower-case words and commas, whose ids are their places."""
    ids = {piece: index for index, piece in enumerate(pieces)}
    backend = Tokenizer(models.WordLevel(ids, unk_token=unknown))
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return backend


# At this width transformers' 0.02 for everything learns slowly.
TEXT_EMBEDDING_STD = 0.5
GENERATION_EMBEDDING_SCALE = 2.8  # on unit-norm codebook rows of width 8: about unit variance an element


def build_backbone(
    vq: JanusVQVAE, processor: JanusProcessor, *, seed: int, **architecture: Any
) -> JanusForConditionalGeneration:
    """Assemble an untrained backbone around a trained image tokenizer.

    Args:
        vq: the image tokenizer; its weights are copied.
        processor: gives the vocabulary and the special tokens.
        seed: seed of the initial weights.
        architecture: the recipe's section of this name, as ``janus_model`` takes it.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = janus_model(processor, vq.config.to_dict(), **architecture)
        _initialise(model)
    model.model.vqmodel.load_state_dict(vq.state_dict())
    with torch.no_grad():
        codebook = vq.quantize.embedding.weight
        model.model.generation_embeddings.weight.copy_(GENERATION_EMBEDDING_SCALE * codebook)
    return model.eval()


def janus_model(
    processor: JanusProcessor,
    vq: Mapping[str, Any],
    *,
    hidden: int,
    layers: int,
    intermediate: int,
    heads: int,
    vision_hidden: int,
    vision_layers: int,
    vision_heads: int,
    guidance: float,
    positions: int = 512,
) -> JanusForConditionalGeneration:
    """A Janus model with transformers' own initial weights.

    The patches of the vision tower lie on the image tokenizer's grid. The recipe's section ``architecture``
    (schemas/recipe.schema.json) describes what is not said here.

    Args:
        processor: gives the vocabulary, the special tokens and the size of images.
        vq: config of the image tokenizer.
        positions: longest sequence in tokens.
    """
    grid, size = vq["num_patches"], processor.image_processor.size["height"]
    tokenizer = processor.tokenizer
    tokens = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=positions,
        tie_word_embeddings=False,
        **tokens,
    )
    vision = JanusVisionConfig(
        hidden_size=vision_hidden,
        num_hidden_layers=vision_layers,
        num_attention_heads=vision_heads,
        image_size=size,
        patch_size=size // grid,
        projection_dim=hidden,
        num_image_tokens=grid**2,
    )
    config = JanusConfig(
        text_config=text.to_dict(),
        vision_config=vision.to_dict(),
        vq_config={**vq, "projection_dim": hidden, "image_token_embed_dim": hidden},
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE),
        tie_word_embeddings=False,
    )
    model = JanusForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        **tokens, guidance_scale=guidance, generation_kwargs={"boi_token_id": tokenizer.boi_token_id}
    )
    return model


def train_backbone(
    world_folder: str | Path,
    vq_file: str | Path,
    out_folder: str | Path,
    *,
    architecture: dict[str, Any],
    training: dict[str, Any],
    seed: int,
) -> tuple[dict[str, float], pd.DataFrame]:
    """Build the backbone, train it on a drawn world and save it as a transformers folder.

    Args:
        world_folder: what ``draw_training_set`` wrote.
        vq_file: what ``train_vq`` wrote.
        out_folder: folder of the model and its processor.
        architecture: the recipe's section, as ``janus_model`` takes it.
        training: the recipe's section ``language_model``.
        seed: seed of the initial weights and the batches.

    Returns:
        The metrics and the loss curve of ``train_language_model``.
    """
    images, table = load_training_set(world_folder)
    vq = load_vq(vq_file)
    processor = build_processor(vq.config.num_patches**2)
    backbone = Janus(build_backbone(vq, processor, **architecture, seed=seed), processor)
    metrics, curve = train_language_model(backbone, images, table, training, seed)
    with atomic_path(out_folder) as partial:
        backbone.save(partial)
    return metrics, curve


def _initialise(model: JanusForConditionalGeneration) -> None:
    """1/√fan-in or zero for the decoder's linear layers, wide embeddings, PyTorch's defaults for all else."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.LayerNorm | nn.GroupNorm | nn.Embedding):
            module.reset_parameters()
    initialise_decoder(model.model.language_model)
    positions = model.model.vision_model.embeddings.position_embedding
    nn.init.normal_(positions.weight, std=TEXT_EMBEDDING_STD)


def initialise_decoder(decoder: LlamaModel) -> None:
    """1/√fan-in or zero for the linear layers, wide embeddings."""
    for module in decoder.layers.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
    for layer in decoder.layers:  # each layer begins as the identity: 1.93 against 2.05 nats after 250 steps
        nn.init.zeros_(layer.self_attn.o_proj.weight)
        nn.init.zeros_(layer.mlp.down_proj.weight)
    nn.init.normal_(decoder.embed_tokens.weight, std=TEXT_EMBEDDING_STD)
