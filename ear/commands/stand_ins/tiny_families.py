"""Stand-ins of the other families of models: Emu3, whose rows have ends, and Liquid on 1 024 codes."""

from pathlib import Path

import torch
from diffusers import VQModel
from tokenizers import AddedToken, Tokenizer, processors
from transformers import (
    Emu3Config,
    Emu3ForConditionalGeneration,
    Emu3ImageProcessor,
    Emu3Processor,
    Emu3TextConfig,
    Emu3VQVAEConfig,
    GemmaConfig,
    GemmaForCausalLM,
    PreTrainedTokenizerFast,
)

from ear.commands.stand_ins.tiny_janus import CODES, LONGEST_TEXT, SHARD_SIZE, byte_backend, widen
from ear.models.emu3 import ROW_END
from ear.models.image_tokenizers import ImageTokenizer
from ear.models.liquid import BOI, EOI, TURN, TURN_END, UNCONDITIONAL, Liquid

SHAPE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 6, "num_attention_heads": 4}
EMU3_NAMED = {
    "bos_token": "<|extra_203|>",
    "eos_token": "<|extra_204|>",
    "pad_token": "<|endoftext|>",
    "unk_token": "<|endoftext|>",  # as GPT-2's
}
EMU3_EXTRA = {
    "image_token": "<image>",
    "boi_token": "<|image start|>",
    "eoi_token": "<|image end|>",
    "image_wrapper_token": "<|image token|>",
    "eof_token": "<|extra_201|>",
}
LIQUID_NAMED = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>"}
CHANNELS = 32  # fewer than its norms have groups no decoder can have


def emu3_processor(backend: Tokenizer, codes: int, **pictures: int) -> Emu3Processor:
    """Emu3's special tokens and codes behind the words of a tokenizer; settings of its image processor."""
    visual = [f"<|visual token {code:06}|>" for code in range(codes)]
    special = [*dict.fromkeys([*EMU3_NAMED.values(), *EMU3_EXTRA.values(), ROW_END]), *visual]
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, extra_special_tokens=EMU3_EXTRA, **EMU3_NAMED
    )
    half = [0.5] * 3
    return Emu3Processor(Emu3ImageProcessor(image_mean=half, image_std=half, **pictures), tokenizer)


def write_emu3(folder: Path) -> None:
    """Write an Emu3 checkpoint; its weights are drawn from torch's generator."""
    processor = emu3_processor(byte_backend([]), CODES)
    tokenizer = processor.tokenizer
    tokens = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    text = Emu3TextConfig(
        **SHAPE,
        **tokens,
        num_key_value_heads=2,
        vocab_size=len(tokenizer),
        max_position_embeddings=LONGEST_TEXT,
    )
    vq = Emu3VQVAEConfig(
        codebook_size=CODES,
        temporal_downsample_factor=1,
        base_channels=CHANNELS,
        channel_multiplier=[1] * 4,  # three halvings: 8 pixels a code
        num_res_blocks=1,
        attn_resolutions=[],
        hidden_size=CHANNELS,
    )
    config = Emu3Config(text_config=text, vq_config=vq, vocabulary_map=tokenizer.get_vocab())
    model = Emu3ForConditionalGeneration(config)
    widen(model)
    model.to(torch.bfloat16).save_pretrained(folder, max_shard_size=SHARD_SIZE)
    processor.save_pretrained(folder)


def write_liquid(folder: Path) -> None:
    """Write a Liquid checkpoint, its image tokenizer beside it; weights are drawn from torch's generator."""
    special = [*LIQUID_NAMED.values(), BOI, EOI, UNCONDITIONAL, TURN, TURN_END]
    backend = byte_backend(special)
    begin = special[0]
    backend.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A", special_tokens=[(begin, backend.token_to_id(begin))]
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, **LIQUID_NAMED)
    tokenizer.add_special_tokens({"additional_special_tokens": special[3:]})
    tokens = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    model = GemmaForCausalLM(
        GemmaConfig(
            **SHAPE,
            **tokens,
            num_key_value_heads=4,
            head_dim=16,
            vocab_size=len(tokenizer) + CODES,
            max_position_embeddings=LONGEST_TEXT,
        )
    )
    vq = VQModel(
        block_out_channels=(CHANNELS,) * 5,  # four halvings: 16 pixels a code
        down_block_types=("DownEncoderBlock2D",) * 5,
        up_block_types=("UpDecoderBlock2D",) * 5,
        latent_channels=CHANNELS,
        num_vq_embeddings=CODES,
        sample_size=512,
    )
    for part in (model, vq):
        widen(part)
        part.to(torch.bfloat16)
    Liquid(model, tokenizer, ImageTokenizer(vq)).save(folder)
