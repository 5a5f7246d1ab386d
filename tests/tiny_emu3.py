"""A small random Emu3: transformers' classes, Emu3's special tokens, weights drawn from a seed."""

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import (
    Emu3Config,
    Emu3ForConditionalGeneration,
    Emu3Processor,
    Emu3TextConfig,
    Emu3VQVAEConfig,
)

from ear.commands.stand_ins.tiny_families import EMU3_NAMED, emu3_processor
from ear.models.emu3 import Emu3

KNOWN = (
    "a photo of a red church house tree dog on a hill at night in the style of van gogh "
    "lowres blurry street , . * 0 1 2 3 4 5 6 7 8 9"
)
WORDS = sorted({*KNOWN.split()})
ROW_END = "<|extra_200|>"
AREA = 64
"""Pixels of a code as the processor counts them, whatever the image tokenizer does."""


def word_processor(codes: int) -> Emu3Processor:
    """Words as tokens, then special tokens, then the codes."""
    unknown = EMU3_NAMED["unk_token"]
    vocabulary = {word: number for number, word in enumerate([*WORDS, unknown])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token=unknown))
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    return emu3_processor(backend, codes, min_pixels=AREA, max_pixels=AREA * 100)


def tiny_emu3(
    seed: int = 0,
    grid: tuple[int, int] = (3, 4),
    frames: int = 1,
    codes: int = 32,
    dtype: str = "float32",
    negative_prompt: str = "lowres, blurry, street.",
) -> Emu3:
    """A backbone of grid codes with grouped attention heads, its weights wide enough that tokens matter.

    ``frames`` are what the image tokenizer makes of a still.
    """
    processor = word_processor(codes)
    tokenizer = processor.tokenizer
    text = Emu3TextConfig(
        vocab_size=len(tokenizer) + 3,  # a head may have more rows than there are words
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    vq = Emu3VQVAEConfig(
        codebook_size=codes,
        temporal_downsample_factor=frames,
        base_channels=32,
        channel_multiplier=[1, 1],
        num_res_blocks=1,
        attn_resolutions=[],
        hidden_size=32,
    )
    config = Emu3Config(text_config=text, vq_config=vq, vocabulary_map=tokenizer.get_vocab())
    model = Emu3ForConditionalGeneration(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                size = parameter.shape[1:].numel() ** 0.5
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 1.5 / size)
            elif name.endswith("bias"):  # else torch's own generator has drawn it
                parameter.zero_()
    made = model.to(getattr(torch, dtype))
    return Emu3(made, processor, negative_prompt=negative_prompt, grid=grid)
