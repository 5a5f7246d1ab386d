"""The mini backbone: a small JanusForConditionalGeneration around the trained image tokenizer."""

from pathlib import Path
from typing import Any

import pandas as pd
import torch
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn
from transformers import (
    GenerationConfig,
    JanusConfig,
    JanusForConditionalGeneration,
    JanusImageProcessor,
    JanusProcessor,
    JanusVisionConfig,
    JanusVQVAE,
    LlamaConfig,
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
from ear.workflow.files import atomic_path
from ear.world.dataset import load_training_set
from ear.world.drawing import SIZE
from ear.world.language_model import train_language_model
from ear.world.sentences import words
from ear.world.vq import load_vq

CLIP_PAD, CLIP_UNKNOWN, CLIP_START, CLIP_END = "<pad>", "<unk>", "<start>", "<end>"


def build_processor(num_image_tokens: int) -> JanusProcessor:
    """Tokenizer, image processor and chat template of the mini backbone.

    The tokenizer knows the words of the caption grammar, of DESCRIBE and of ``question``, lower-cases, puts
    begin-of-sentence in front and pads on the left; any other word is unknown. Images become (3, 64, 64) in
    [-1, 1].

    Args:
        num_image_tokens: placeholders that stand for one image in a text.
    """
    vocabulary = sorted({*words(), *DESCRIBE.split(), *question("").split(), ",", ":"})
    ids = {word: index for index, word in enumerate((*SPECIAL_TOKENS, *vocabulary))}
    backend = _word_level(ids, UNKNOWN)
    backend.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, ids[BOS])]
    )
    backend.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        unk_token=UNKNOWN,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        extra_special_tokens={"image_token": IMAGE, "boi_token": IMAGE_START, "eoi_token": IMAGE_END},
    )
    images = JanusImageProcessor(
        size={"height": SIZE, "width": SIZE}, image_mean=[0.5] * 3, image_std=[0.5] * 3, min_size=SIZE // 4
    )
    return JanusProcessor(images, tokenizer, chat_template=CHAT_TEMPLATE, num_image_tokens=num_image_tokens)


def build_clip_tokenizer(context_length: int) -> PreTrainedTokenizerFast:
    """CLIP's tokenizer: the words of the caption grammar in place of CLIP's 49 408 pieces of words.

    The end of a text has the largest id, where open_clip looks for it, and the padding has id 0.

    Args:
        context_length: longest text in tokens, its start and end included.
    """
    pieces = (CLIP_PAD, CLIP_UNKNOWN, CLIP_START, *sorted({*words(), ","}), CLIP_END)
    ids = {piece: index for index, piece in enumerate(pieces)}
    backend = _word_level(ids, CLIP_UNKNOWN)
    backend.post_processor = processors.TemplateProcessing(
        single=f"{CLIP_START} $A {CLIP_END}",
        special_tokens=[(piece, ids[piece]) for piece in (CLIP_START, CLIP_END)],
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


def _word_level(ids: dict[str, int], unknown: str) -> Tokenizer:
    """A tokenizer of lower-case words and commas."""
    backend = Tokenizer(models.WordLevel(ids, unk_token=unknown))
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return backend


# At this width transformers' 0.02 for everything learns slowly.
TEXT_EMBEDDING_STD = 0.5
GENERATION_EMBEDDING_SCALE = 2.8  # on unit-norm codebook rows of width 8: about unit variance an element


def build_backbone(
    vq: JanusVQVAE,
    processor: JanusProcessor,
    *,
    hidden: int,
    layers: int,
    intermediate: int,
    heads: int,
    vision_hidden: int,
    vision_layers: int,
    vision_heads: int,
    guidance: float,
    seed: int,
) -> JanusForConditionalGeneration:
    """Assemble an untrained backbone around a trained image tokenizer.

    Args:
        vq: the image tokenizer; its weights are copied.
        processor: gives the vocabulary and the special tokens.
        seed: seed of the initial weights.

    The other arguments are the recipe's section ``architecture``, which schemas/recipe.schema.json describes;
    the patches of the vision tower lie on the image tokenizer's grid.
    """
    grid = vq.config.num_patches
    tokenizer = processor.tokenizer
    tokens = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=512,
        tie_word_embeddings=False,
        **tokens,
    )
    vision = JanusVisionConfig(
        hidden_size=vision_hidden,
        num_hidden_layers=vision_layers,
        num_attention_heads=vision_heads,
        image_size=SIZE,
        patch_size=SIZE // grid,
        projection_dim=hidden,
        num_image_tokens=grid**2,
    )
    vq_config = vq.config.to_dict() | {"projection_dim": hidden, "image_token_embed_dim": hidden}
    config = JanusConfig(
        text_config=text.to_dict(),
        vision_config=vision.to_dict(),
        vq_config=vq_config,
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE),
        tie_word_embeddings=False,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = JanusForConditionalGeneration(config)
        _initialise(model)
    model.model.vqmodel.load_state_dict(vq.state_dict())
    with torch.no_grad():
        codebook = vq.quantize.embedding.weight
        model.model.generation_embeddings.weight.copy_(GENERATION_EMBEDDING_SCALE * codebook)
    model.generation_config = GenerationConfig(
        **tokens, guidance_scale=guidance, generation_kwargs={"boi_token_id": tokenizer.boi_token_id}
    )
    return model.eval()


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
        vq_file: what ``train_tokenizer`` wrote.
        out_folder: folder of the model and its processor.
        architecture: as ``build_backbone`` takes it.
        training: as ``train_language_model`` takes it.
        seed: seed of the initial weights and the batches.

    Returns:
        The metrics and the loss curve of ``train_language_model``.
    """
    images, table = load_training_set(world_folder)
    vq = load_vq(vq_file)
    processor = build_processor(vq.config.num_patches**2)
    model = build_backbone(vq, processor, **architecture, seed=seed)
    metrics, curve = train_language_model(model, processor, images, table, **training, seed=seed)
    with atomic_path(out_folder) as partial:
        model.save_pretrained(partial)
        processor.save_pretrained(partial)
    return metrics, curve


def _initialise(model: JanusForConditionalGeneration) -> None:
    """1/√fan-in or zero for the decoder's linear layers, wide embeddings, PyTorch's defaults for all else."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.LayerNorm | nn.GroupNorm | nn.Embedding):
            module.reset_parameters()
    decoder = model.model.language_model
    for module in decoder.layers.modules():
        if isinstance(module, nn.Linear):
            _normal(module.weight, module.in_features**-0.5)
    for layer in decoder.layers:  # each layer begins as the identity: 1.93 against 2.05 nats after 250 steps
        nn.init.zeros_(layer.self_attn.o_proj.weight)
        nn.init.zeros_(layer.mlp.down_proj.weight)
    _normal(decoder.embed_tokens.weight, TEXT_EMBEDDING_STD)
    _normal(model.model.vision_model.embeddings.position_embedding.weight, TEXT_EMBEDDING_STD)


def _normal(weight: Tensor, std: float) -> None:
    nn.init.normal_(weight, std=std)
