"""A folder of deepseek-ai/Janus-Pro-*: its weights, config, tokenizer and image settings, for transformers.

What the folder lacks is as in the conversions of deepseek-community: their chat template, the default system
prompt for questions, guidance scale 5 (source: transformers' `convert_janus_weights_to_hf.py`).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from tokenizers import Tokenizer
from torch import Tensor
from transformers import (
    JanusConfig,
    JanusForConditionalGeneration,
    JanusImageProcessor,
    JanusProcessor,
    PreTrainedTokenizerFast,
)

from ear.chat import BOS, CHAT_TEMPLATE, EOS, IMAGE, IMAGE_END, IMAGE_START, PAD
from ear.deepseek.config import to_transformers_config
from ear.deepseek.keys import UNUSED, to_deepseek, to_transformers
from ear.errors import InputError
from ear.texts import read_json
from ear.weights import check_folder, check_names, loading, weight_files

WANTED = "a model of DeepSeek's format (deepseek-ai/Janus-Pro-*)"
IMAGE_SETTINGS = ("do_normalize", "image_mean", "image_std", "min_size", "rescale_factor")
GUIDANCE_SCALE = 5.0


def load_deepseek(
    folder: str | Path, dtype: torch.dtype
) -> tuple[JanusForConditionalGeneration, JanusProcessor]:
    """Load a folder of DeepSeek's format, on the CPU. Code in the folder is never run.

    Raises:
        InputError: a file is missing or not whole, or a weight is missing, unknown or of another shape.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(
            f"{folder}: found a hub id of DeepSeek's format, wanted a folder with its files, or the same "
            "model in transformers' format (deepseek-community/…)"
        )
    check_folder(folder, WANTED)
    tokenizer = _tokenizer(folder)
    tokens = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    images = {"image_token_id": tokenizer.image_token_id}
    config_file = folder / "config.json"
    config = to_transformers_config(str(config_file), _json(config_file), tokens | images)
    weights = read_weights(folder)
    check_weights(folder, weights, config)
    model = JanusForConditionalGeneration.from_pretrained(
        None, config=config, state_dict=to_transformers(weights), dtype=dtype
    )
    model.config.name_or_path = str(folder)
    model.generation_config.update(**tokens, guidance_scale=GUIDANCE_SCALE)
    model.generation_config.generation_kwargs = {"boi_token_id": tokenizer.boi_token_id}
    processor = JanusProcessor(
        _image_processor(folder),
        tokenizer,
        chat_template=CHAT_TEMPLATE,
        use_default_system_prompt=True,
        num_image_tokens=config.vision_config.num_image_tokens,
    )
    return model, processor


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All weights of a folder by DeepSeek's names: safetensors or torch.save, in one file or in shards."""
    return {name: tensor for file in weight_files(folder, WANTED) for name, tensor in _tensors(file)}


def check_weights(folder: Path, weights: Mapping[str, Tensor], config: JanusConfig) -> None:
    """Check that weights are those of a model, all of them and no others.

    Raises:
        InputError: one is missing, unknown or of another shape; names are DeepSeek's.
    """
    with torch.device("meta"):
        model = JanusForConditionalGeneration(config)
    shapes = {name: tuple(tensor.shape) for name, tensor in to_deepseek(model.state_dict()).items()}
    tied = {"language_model.lm_head.weight"} if config.tie_word_embeddings else set()
    unknown = [name for name in weights if name not in shapes and not name.startswith(UNUSED)]
    missing = list(shapes.keys() - weights.keys() - tied)
    check_names(folder, missing, unknown, wanted="those of its config.json")
    for name, tensor in weights.items():
        if tuple(tensor.shape) != (wanted := shapes.get(name, tuple(tensor.shape))):
            raise InputError(f"{folder}: {name}: found shape {tuple(tensor.shape)}, wanted {wanted}")


def _tensors(file: Path) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a file, mapped into memory and not read yet."""
    with loading(file, "a whole file of tensors alone"):
        if file.suffix == ".safetensors":
            with safe_open(file, framework="pt") as handle:
                for name in handle.keys():  # noqa: SIM118 (no mapping)
                    yield name, handle.get_tensor(name)
        else:
            yield from torch.load(file, weights_only=True, map_location="cpu", mmap=True).items()


def _tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer of tokenizer.json, with begin-of-sentence in front, as DeepSeek's LlamaTokenizerFast."""
    file = folder / "tokenizer.json"
    if not file.exists():
        raise InputError(f"{file}: not found, wanted DeepSeek's tokenizer")
    try:
        backend = Tokenizer.from_file(str(file))
    except Exception as error:  # tokenizers knows no other class
        raise InputError(f"{file}: found no tokenizer ({error}), wanted DeepSeek's") from None
    for token in (BOS, EOS, PAD, IMAGE, IMAGE_START, IMAGE_END):
        if backend.token_to_id(token) is None:  # would be added, as one that the model has never seen
            raise InputError(f"{file}: found no token {token}, wanted it")
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        add_bos_token=True,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        extra_special_tokens={"image_token": IMAGE, "boi_token": IMAGE_START, "eoi_token": IMAGE_END},
    )


def _image_processor(folder: Path) -> JanusImageProcessor:
    settings = _json(folder / "preprocessor_config.json")
    chosen = {key: settings[key] for key in IMAGE_SETTINGS if key in settings}
    if "image_size" in settings:
        chosen["size"] = {"height": settings["image_size"], "width": settings["image_size"]}
    return JanusImageProcessor(**chosen)


def _json(file: Path) -> dict[str, Any]:
    content = read_json(file, "wanted a JSON object as in deepseek-ai/Janus-Pro-*")
    if not isinstance(content, dict):
        raise InputError(f"{file}: found a {type(content).__name__}, wanted a JSON object")
    return content
