"""The mini Liquid: a small Llama whose vocabulary ends with the codes of the mini backbone's VQ tokenizer."""

from pathlib import Path
from typing import Any

import pandas as pd
import torch
from transformers import (
    GenerationConfig,
    JanusVQVAE,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from ear.models.chat_format import DESCRIBE, UNKNOWN, question
from ear.models.families import load_backbone
from ear.models.image_tokenizers import ImageTokenizer
from ear.models.liquid import BOI, EOI, REQUEST, TURN, TURN_END, UNCONDITIONAL, Liquid
from ear.workflow.files import atomic_path
from ear.world.backbone import (
    GENERATION_EMBEDDING_SCALE,
    TEXT_EMBEDDING_STD,
    initialise_decoder,
    text_tokenizer,
    word_level,
)
from ear.world.dataset import load_training_set
from ear.world.language_model import train_language_model
from ear.world.sentences import words

BOS, EOS, PAD = "<bos>", "<eos>", "<pad>"  # Gemma's
SPECIAL_TOKENS = (BOS, EOS, PAD, UNKNOWN, BOI, EOI, UNCONDITIONAL, TURN, TURN_END)
ROLES = ("user", "model")


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Tokenizer of the mini Liquid: the words of the caption grammar and of what the model is asked."""
    asked = f"{REQUEST.lower().replace('.', ' .')} {DESCRIBE} {question('')}"
    vocabulary = sorted({*words(), *asked.split(), *ROLES, ","})
    backend = word_level((*SPECIAL_TOKENS, *vocabulary), UNKNOWN)
    return text_tokenizer(backend, SPECIAL_TOKENS, BOS, EOS, PAD, unk_token=UNKNOWN)


def build_liquid(
    vq: JanusVQVAE,
    tokenizer: PreTrainedTokenizerFast,
    *,
    hidden: int,
    layers: int,
    intermediate: int,
    heads: int,
    seed: int,
    positions: int = 512,
) -> Liquid:
    """Assemble an untrained model around a trained image tokenizer.

    Args:
        vq: the image tokenizer.
        tokenizer: of text.
        hidden: this and the next three as in the recipe's section ``architecture``.
        seed: seed of the initial weights.
        positions: longest sequence in tokens.
    """
    codebook = vq.quantize.embedding.weight
    tokens = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    config = LlamaConfig(
        vocab_size=len(tokenizer) + len(codebook),
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=positions,
        tie_word_embeddings=False,
        **tokens,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
        initialise_decoder(model.model)
        model.lm_head.reset_parameters()
        # Codes of like pictures begin alike, at the same scale as words.
        width = codebook.shape[1]
        mixed = GENERATION_EMBEDDING_SCALE * codebook @ torch.randn(width, hidden) * width**-0.5
        with torch.no_grad():
            model.get_input_embeddings().weight[len(tokenizer) :] = TEXT_EMBEDDING_STD * mixed
    model.generation_config = GenerationConfig(**tokens)
    return Liquid(model, tokenizer, ImageTokenizer(vq))


def train_liquid(
    world_folder: str | Path,
    backbone_folder: str | Path,
    out_folder: str | Path,
    *,
    architecture: dict[str, Any],
    training: dict[str, Any],
    seed: int,
) -> tuple[dict[str, float], pd.DataFrame]:
    """Build the model, train it on a drawn world and save it.

    Args:
        world_folder: what ``draw_training_set`` wrote.
        backbone_folder: the mini backbone, whose image tokenizer is taken over.
        out_folder: folder of the model.
        architecture: the recipe's section, without vision tower and guidance.
        training: the recipe's section ``language_model``.
        seed: seed of the initial weights and the batches.

    Returns:
        The metrics and the loss curve of ``train_language_model``.
    """
    images, table = load_training_set(world_folder)
    janus = load_backbone(str(backbone_folder), "float32", "cpu").model
    # Shipped in half the bytes: trained with the codes that it gives then.
    vq = janus.model.vqmodel.half().float()
    backbone = build_liquid(vq, build_tokenizer(), **architecture, seed=seed)
    metrics, curve = train_language_model(backbone, images, table, training, seed)
    vq.half()
    with atomic_path(out_folder) as partial:
        backbone.save(partial)
    return metrics, curve
