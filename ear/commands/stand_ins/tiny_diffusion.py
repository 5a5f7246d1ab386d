"""Stand-in of Stable Diffusion v1.4: the same classes and files, a few channels wide."""

from operator import itemgetter
from pathlib import Path
from typing import Any

from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPImageProcessor, CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from ear.workflow.files import write_json
from ear.workflow.texts import read_json

LENGTH = 77  # tokens of a prompt
WIDTH = 32
START, END = "<|startoftext|>", "<|endoftext|>"
PUBLISHED_INDEX = {
    "feature_extractor": ["transformers", "CLIPFeatureExtractor"],  # a name that transformers has given up
    "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],  # not among the files fetched
}


def write_stable_diffusion(folder: Path) -> None:
    """Write a pipeline in float32 safetensors; its weights are drawn from torch's generator."""
    tokenizer = _tokenizer()
    words = len(tokenizer)
    text = CLIPTextConfig(
        vocab_size=words,
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=LENGTH,
        bos_token_id=words - 2,
        eos_token_id=words - 1,
        pad_token_id=words - 1,
    )
    unet = UNet2DConditionModel(
        sample_size=64,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=8,
        cross_attention_dim=WIDTH,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )
    vae = AutoencoderKL(
        block_out_channels=(8,) * 4,  # three halvings: 8 pixels a latent
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        sample_size=512,
    )
    scheduler = PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1
    )
    pipeline: Any = StableDiffusionPipeline(
        vae=vae,
        text_encoder=CLIPTextModel(text),
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder, safe_serialization=True)
    CLIPImageProcessor().save_pretrained(folder / "feature_extractor")
    # The two files of the published folder in place of the one that transformers writes today.
    (folder / "tokenizer/tokenizer.json").unlink()
    vocabulary = dict(sorted(tokenizer.get_vocab().items(), key=itemgetter(1)))
    write_json(folder / "tokenizer/vocab.json", vocabulary)
    (folder / "tokenizer/merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    settings = read_json(folder / "model_index.json")
    del settings["image_encoder"], settings["requires_safety_checker"]  # younger than the published file
    write_json(folder / "model_index.json", settings | PUBLISHED_INDEX)


def _tokenizer() -> CLIPTokenizer:
    """CLIP's tokenizer without merges: letters, once inside of a word and once at its end."""
    letters = [chr(code) for code in range(ord("!"), ord("~") + 1)]
    pieces = [*letters, *(f"{letter}</w>" for letter in letters), START, END]
    return CLIPTokenizer(
        vocab={piece: number for number, piece in enumerate(pieces)},
        merges=[],
        bos_token=START,
        eos_token=END,
        pad_token=END,
        unk_token=END,
        model_max_length=LENGTH,
    )
