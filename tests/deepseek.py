"""Folders of DeepSeek's format, and what DeepSeek's modules compute with their weights, written out."""

import copy
import json
import math

import torch
from safetensors.torch import save_file
from torch.nn import functional
from transformers import JanusForConditionalGeneration

from ear.deepseek.config import to_deepseek_config
from ear.deepseek.keys import UNUSED, to_deepseek
from ear.janus import Backbone
from tests.tiny import tiny_backbone

PROMPTS = ["a red church on a hill in the morning", "a barn"]
SCALE = 5.0
NOT_THE_MODELS = {"architectures", "dtype", "_name_or_path"}
FILES = {"bin": "pytorch_model.bin", "safetensors": "model.safetensors"}


def small_backbone(
    seed=0, text=None, aligner=2, generation_aligner=2, tower_layers=2, tied=False, **vq
) -> Backbone:
    """A tiny backbone with every part that DeepSeek's format has, and no two weights alike."""
    base = tiny_backbone(**{"key_value_heads": 2, **(text or {})})
    config = copy.deepcopy(base.model.config)
    config.tie_word_embeddings = tied
    config.vision_config.depth, config.vision_config.num_hidden_layers = aligner, tower_layers
    config.vq_config.num_hidden_layers = generation_aligner
    for key, value in {"num_res_blocks": 1, "channel_multiplier": [1, 2], **vq}.items():
        setattr(config.vq_config, key, value)
    model = JanusForConditionalGeneration(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim == 1:
                parameter.add_(0.2 * noise)
            else:
                parameter.copy_(noise * 1.5 / parameter[0].numel() ** 0.5)
    return Backbone(model, base.processor)


def their_weights(backbone: Backbone) -> dict[str, torch.Tensor]:
    """DeepSeek's weights, with those that Janus does not use."""
    unused = {f"{name.rstrip('.')}.{'q.weight' if name.endswith('.') else ''}".rstrip("."): torch.ones(3, 3)
              for name in UNUSED}  # fmt: skip
    return to_deepseek(backbone.model.state_dict()) | unused


def write_deepseek(folder, backbone, kind="bin", shards=1, weights=None):
    """A folder as deepseek-ai/Janus-Pro-* has it."""
    folder.mkdir(exist_ok=True)
    weights = their_weights(backbone) if weights is None else weights
    names = list(weights)
    stem, suffix = FILES[kind].split(".")
    index = {}
    for shard in range(shards):
        part = {name: weights[name].contiguous().clone() for name in names[shard::shards]}
        file = FILES[kind] if shards == 1 else f"{stem}-{shard + 1:05}-of-{shards:05}.{suffix}"
        torch.save(part, folder / file) if kind == "bin" else save_file(part, folder / file)
        index |= dict.fromkeys(part, file)
    if shards > 1:
        (folder / f"{FILES[kind]}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    images = backbone.processor.image_processor
    write = {
        "config.json": to_deepseek_config(backbone.model.config),
        "preprocessor_config.json": {
            "image_processor_type": "VLMImageProcessor",
            "processor_class": "VLChatProcessor",
            "background_color": [127, 127, 127],
            "image_size": images.size["height"],
            "rescale_factor": images.rescale_factor,
            **{key: getattr(images, key) for key in ("do_normalize", "image_mean", "image_std", "min_size")},
        },
        "processor_config.json": {"processor_class": "VLChatProcessor", "num_image_tokens": 576},
        # DeepSeek's file leaves it to LlamaTokenizerFast to put begin-of-sentence in front.
        "tokenizer.json": json.loads(backbone.processor.tokenizer.backend_tokenizer.to_str())
        | {"post_processor": None},
        "tokenizer_config.json": {"tokenizer_class": "LlamaTokenizerFast", "add_bos_token": True},
    }
    for name, content in write.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder


def load(folder) -> Backbone:
    return Backbone.load(str(folder), "float32", "cpu")


def settings_of(backbone):
    """The config without what is a file's."""

    def without(value):
        if not isinstance(value, dict):
            return value
        return {key: without(held) for key, held in value.items() if key not in NOT_THE_MODELS}

    return json.loads(json.dumps(without(backbone.model.config.to_dict())))


def linear(weights, name, inputs):
    return functional.linear(inputs, weights[f"{name}.weight"], weights.get(f"{name}.bias"))


def aligned(weights, name, depth, inputs):
    hidden = linear(weights, f"{name}.layers.0", inputs)
    for layer in range(1, depth):
        hidden = linear(weights, f"{name}.layers.{2 * layer}", functional.gelu(hidden))
    return hidden


def rms_norm(weights, name, hidden):
    return hidden * (hidden.pow(2).mean(-1, keepdim=True) + 1e-6).rsqrt() * weights[f"{name}.weight"]


def rotated(vectors):
    """Rotary embedding, theta 10 000, of (B, H, T, d): dimensions i and i + d/2 turn together."""
    half = vectors.shape[-1] // 2
    frequency = 10000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
    angle = torch.arange(vectors.shape[-2], dtype=torch.float64)[:, None] * frequency  # (T, d/2)
    cos, sin = angle.cos().to(vectors), angle.sin().to(vectors)
    first, second = vectors[..., :half], vectors[..., half:]
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def llama(weights, embeds, layers, heads, key_value_heads):
    """Last hidden states, (B, T, D), of LlamaModel without padding."""
    hidden, size = embeds, embeds.shape[-1] // heads
    future = torch.ones(embeds.shape[1], embeds.shape[1], dtype=torch.bool).triu(1)
    for number in range(layers):
        layer = f"language_model.model.layers.{number}"
        normed = rms_norm(weights, f"{layer}.input_layernorm", hidden)

        def split(name, count, layer=layer, normed=normed):
            projected = linear(weights, f"{layer}.self_attn.{name}_proj", normed)
            return projected.unflatten(-1, (count, size)).transpose(1, 2)

        queries, keys = rotated(split("q", heads)), rotated(split("k", key_value_heads))
        repeats = heads // key_value_heads
        keys, values = (each.repeat_interleave(repeats, 1) for each in (keys, split("v", key_value_heads)))
        scores = (queries @ keys.mT / math.sqrt(size)).masked_fill(future, -math.inf)
        mixed = (scores.softmax(-1) @ values).transpose(1, 2).flatten(2)
        hidden = hidden + linear(weights, f"{layer}.self_attn.o_proj", mixed)
        normed = rms_norm(weights, f"{layer}.post_attention_layernorm", hidden)
        gate = functional.silu(linear(weights, f"{layer}.mlp.gate_proj", normed))
        hidden = hidden + linear(
            weights, f"{layer}.mlp.down_proj", gate * linear(weights, f"{layer}.mlp.up_proj", normed)
        )
    return rms_norm(weights, "language_model.model.norm", hidden)


def interleaved(backbone, prompt):
    """Rows as DeepSeek lays them out, conditional and unconditional in turn: (2, L)."""
    ids = backbone.encode([prompt], "chat").ids[0]
    twin = ids.clone()
    twin[1:-1] = backbone.pad_id
    return torch.stack([ids, twin])


def their_image(weights, backbone, prompt):
    """Greedy image tokens and the states they come from, by DeepSeek's loop: gen_embed to gen_head."""
    config = backbone.model.config
    text, depth = config.text_config, config.vq_config.num_hidden_layers
    sizes = (text.num_hidden_layers, text.num_attention_heads, text.num_key_value_heads)
    embeds = weights["language_model.model.embed_tokens.weight"][interleaved(backbone, prompt)]
    tokens, states = [], []
    for _ in range(backbone.num_image_tokens):
        states.append(llama(weights, embeds, *sizes)[:, -1])
        hidden = functional.gelu(linear(weights, "gen_head.output_mlp_projector", states[-1]))
        logits = linear(weights, "gen_head.vision_head", hidden)
        guided = logits[1::2] + SCALE * (logits[0::2] - logits[1::2])
        tokens.append(guided.argmax(-1))
        code = weights["gen_embed.weight"][tokens[-1].repeat(2)[:, None]]
        embeds = torch.cat([embeds, aligned(weights, "gen_aligner", depth, code)], dim=1)
    return torch.stack(tokens, dim=1), torch.stack(states, dim=1)


def our_states(backbone, prompt, tokens):
    """Hidden states (2, T, D) that draw an image's tokens, rows [conditional; unconditional]."""
    rows = backbone.with_unconditional(backbone.encode([prompt], "chat"))
    embeds = torch.cat(
        [backbone.embed_text(rows.ids), backbone.embed_image(tokens[:, :-1].repeat(2, 1))], dim=1
    )
    return backbone.language_model(inputs_embeds=embeds).last_hidden_state[:, -tokens.shape[1] :]


def conv(weights, name, inputs):
    kernel = weights[f"{name}.weight"]
    return functional.conv2d(inputs, kernel, weights[f"{name}.bias"], padding=kernel.shape[-1] // 2)


def group_norm(weights, name, inputs):
    return functional.group_norm(inputs, 32, weights[f"{name}.weight"], weights[f"{name}.bias"], 1e-6)


def residual(weights, name, inputs):
    hidden = conv(weights, f"{name}.conv1", functional.silu(group_norm(weights, f"{name}.norm1", inputs)))
    hidden = conv(weights, f"{name}.conv2", functional.silu(group_norm(weights, f"{name}.norm2", hidden)))
    shortcut = f"{name}.nin_shortcut"
    return hidden + (conv(weights, shortcut, inputs) if f"{shortcut}.weight" in weights else inputs)


def attention(weights, name, inputs):
    normed = group_norm(weights, f"{name}.norm", inputs)
    queries, keys, values = (conv(weights, f"{name}.{part}", normed).flatten(2) for part in "qkv")
    scores = (queries.mT @ keys / math.sqrt(inputs.shape[1])).softmax(-1)  # (B, HW, HW)
    return inputs + conv(weights, f"{name}.proj_out", (values @ scores.mT).view_as(inputs))


def their_pixels(weights, tokens, grid, vq):
    """(B, 3, H, W) by DeepSeek's VQ decoder: its blocks are numbered from the coarsest."""
    codes = functional.normalize(weights["gen_vision_model.quantize.embedding.weight"], dim=-1)
    hidden = codes[tokens].unflatten(1, (grid, grid)).permute(0, 3, 1, 2)
    decoder = "gen_vision_model.decoder"
    hidden = conv(weights, f"{decoder}.conv_in", conv(weights, "gen_vision_model.post_quant_conv", hidden))
    hidden = residual(weights, f"{decoder}.mid.0", hidden)
    hidden = residual(weights, f"{decoder}.mid.2", attention(weights, f"{decoder}.mid.1", hidden))
    levels = len(vq.channel_multiplier)
    for level in range(levels):
        block = f"{decoder}.conv_blocks.{level}"
        for number in range(vq.num_res_blocks + 1):
            hidden = residual(weights, f"{block}.res.{number}", hidden)
            if level == 0:
                hidden = attention(weights, f"{block}.attn.{number}", hidden)
        if level < levels - 1:
            hidden = conv(weights, f"{block}.upsample.conv", functional.interpolate(hidden, scale_factor=2.0))
    return conv(
        weights, f"{decoder}.conv_out", functional.silu(group_norm(weights, f"{decoder}.norm_out", hidden))
    )
