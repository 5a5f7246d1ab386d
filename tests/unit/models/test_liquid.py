"""Liquid against transformers' ``generate``, its image tokenizer against naive passes, and what is refused."""

import pickle
import shutil
from functools import cache

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from transformers import ChameleonVQVAE, ChameleonVQVAEConfig
from transformers.generation import LogitsProcessorList, UnbatchedClassifierFreeGuidanceLogitsProcessor

from ear.errors import InputError
from ear.images.captions import caption_images, yes_scores
from ear.images.sampling import Guidance, sample_prompts
from ear.models.families import load_backbone
from ear.models.image_tokenizers import FOLDER, ImageTokenizer
from ear.models.liquid import squared
from ear.models.vqgan import convert, renamed_key, vqgan
from tests.tiny_liquid import CODES, tiny_liquid

PROMPTS = [
    "a church",
    "a red house",
    "a tree at night",
    "a photo of a church",
    "a photo of a tree",
    "a photo of a red house",
    "a photo of a church at night",
    "a photo of a church at night in the style of van gogh",
]
both = pytest.mark.parametrize("family", ["gemma", "llama"])


@cache
def backbone(family, dtype="float64"):
    """Not to be changed."""
    return tiny_liquid(family=family, dtype=dtype)


@pytest.fixture
def folder(tmp_path):
    tiny_liquid(family="llama").save(tmp_path / "liquid")
    return tmp_path / "liquid"


def only_codes(first):
    def processor(_, scores):
        scores[:, :first] = -torch.inf
        return scores

    return processor


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@both
def test_greedy_drawing_equals_generate(family, dtype):
    """Prompts as in the authors' scripts, one at a time, guided by transformers' own processor."""
    one = backbone(family, dtype)
    found = sample_prompts(one, PROMPTS, list(range(len(PROMPTS))), "chat", Guidance(3.0), 0)
    twin = one.tokenizer("<unconditional><boi>", return_tensors="pt").input_ids
    lengths = set()
    for prompt, codes in zip(PROMPTS, found, strict=True):
        text = f"{prompt} Generate an image based on this description.<boi>"
        inputs = one.tokenizer(text, return_tensors="pt")
        lengths.add(inputs.input_ids.shape[1])
        guided = UnbatchedClassifierFreeGuidanceLogitsProcessor(3.0, one.model, unconditional_ids=twin)
        steps = one.num_image_tokens
        told = one.model.generate(
            **inputs,
            do_sample=False,
            min_new_tokens=steps,
            max_new_tokens=steps,
            logits_processor=LogitsProcessorList([guided, only_codes(one.first_code)]),
        )
        assert (told[0, -steps:] - one.first_code).tolist() == codes.tolist()
    assert len(lengths) >= 7
    assert len(found.unique(dim=0)) >= 7, "a dull model: most prompts draw alike"


@both
def test_a_saved_model_is_the_same(family, tmp_path):
    one = tiny_liquid(family=family)
    one.save(tmp_path / "liquid")
    held = load_backbone(str(tmp_path / "liquid"), "float32", "cpu")
    assert held.fingerprint() == one.fingerprint()
    assert (held.image_size, held.num_image_tokens, held.first_code) == ((6, 6), 9, len(one.tokenizer))
    codes = torch.randint(CODES, (2, 9), generator=torch.Generator().manual_seed(0))
    assert all(map(np.array_equal, held.pixels(codes), one.pixels(codes)))


def test_the_fingerprint_tells_image_tokenizers_apart():
    one = tiny_liquid()
    before = one.fingerprint()
    with torch.no_grad():
        one.image_tokenizer.vq.quantize.embedding.weight[0] += 1
    assert one.fingerprint() != before


@both
def test_pictures_are_read_as_the_codes_that_draw_them(family, tmp_path):
    one = backbone(family)
    pictures = [
        Image.fromarray(np.random.default_rng(k).integers(256, size=(6, 6, 3), dtype=np.uint8))
        for k in (1, 2)
    ]
    ids = one.question_inputs("describe the image", pictures)["input_ids"]
    text = one.tokenizer.convert_ids_to_tokens(ids[0].clamp(max=one.first_code - 1))
    assert text[:4] == ["<bos>", "<start_of_turn>", "user", "<boi>"]
    assert text[13:] == ["<eoi>", "describe", "the", "image", "<end_of_turn>", "<start_of_turn>", "model"]
    codes = ids[:, 4:13] - one.first_code
    assert codes.min() >= 0 and not torch.equal(*codes)
    vq = one.image_tokenizer.vq
    pixels = torch.tensor(np.stack([np.array(p) for p in pictures]) / 127.5 - 1).permute(0, 3, 1, 2)
    latents = vq.quant_conv(vq.encoder(pixels)).permute(0, 2, 3, 1)  # (B, h, w, D)
    distances = (latents[..., None, :] - vq.quantize.embedding.weight).square().sum(-1)
    assert torch.equal(codes, distances.argmin(-1).flatten(1))


def test_answers_never_hold_codes(tmp_path):
    one = tiny_liquid(family="llama")
    with torch.no_grad():  # codes would be said wherever nothing else is allowed
        one.model.lm_head.weight[one.first_code :] *= 5
    files = [tmp_path / f"{number}.png" for number in range(3)]
    for number, file in enumerate(files):
        Image.new("RGB", (9, 5), (80 * number, 40, 200)).save(file)
    seen = one.question_inputs("describe the image", [Image.open(file) for file in files])
    assert one.model(**seen).logits[:, -1].argmax(-1).min() >= one.first_code
    said = []
    one.tokenizer.batch_decode, plain = (
        lambda ids, **_: said.append(ids) or [""] * 3,
        one.tokenizer.batch_decode,
    )
    caption_images(one, files, "test", max_new_tokens=12)
    one.tokenizer.batch_decode = plain
    assert said[0].shape == (3, 12) and said[0].max() < one.first_code
    assert ((yes_scores(one, files, "church") > 0) & (yes_scores(one, files, "church") < 1)).all()


def test_pictures_are_made_square_in_the_authors_colour():
    made = np.asarray(squared(Image.new("RGB", (4, 2), (255, 0, 0)), 4))
    assert made.shape == (4, 4, 3)
    assert (made[1:3] == (255, 0, 0)).all() and (made[[0, 3]] == (122, 116, 104)).all()


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (
            lambda folder: shutil.rmtree(folder / FOLDER),
            "found no image_tokenizer/config.json, wanted an image",
        ),
        (lambda folder: (folder / FOLDER / "model.safetensors").unlink(), "found no weights"),
        (
            lambda folder: (folder / FOLDER / "config.json").write_text('{"model_type": "vit"}'),
            "found 'vit', wanted an image tokenizer",
        ),
        (
            lambda folder: (folder / "tokenizer.json").write_text(
                (folder / "tokenizer.json").read_text().replace("<boi>", "<bot>")
            ),
            "<boi>: found",
        ),
        (
            lambda folder: (folder / "tokenizer.json").write_text(
                (folder / "tokenizer.json").read_text().replace('"church"', '"churches": 99, "church"')
            ),
            f"found 100 words, wanted 99: the {99 + CODES} of config.json less the {CODES} of image_tokenizer/",
        ),
    ],
)
def test_what_is_no_whole_liquid_is_one_line(folder, broken, said):
    broken(folder)
    with pytest.raises(InputError) as refused:
        load_backbone(str(folder), "float32", "cpu")
    assert said in str(refused.value) and "\n" not in str(refused.value)


# Chameleon's VQGAN.

LEVELS = {"base_channels": 32, "channel_multiplier": [1, 2, 2], "num_res_blocks": 2, "attn_resolutions": []}


def taming_weights(seed=0):
    """Weights by the names of taming-transformers: transformers' own encoder, and a decoder like it."""
    config = ChameleonVQVAEConfig(
        **LEVELS, embed_dim=8, num_embeddings=CODES, latent_channels=16, resolution=16
    )
    theirs = ChameleonVQVAE(config).double().eval()
    weights = dict(theirs.state_dict())
    conv = lambda inner, outer, size: torch.empty(outer, inner, size, size, dtype=torch.float64)  # noqa: E731

    def add(name, kernel):
        weights[f"{name}.weight"], weights[f"{name}.bias"] = kernel, torch.empty(len(kernel)).double()

    def block(name, inner, outer):
        add(f"{name}.norm1", torch.empty(inner).double())
        add(f"{name}.conv1", conv(inner, outer, 3))
        add(f"{name}.norm2", torch.empty(outer).double())
        add(f"{name}.conv2", conv(outer, outer, 3))
        if inner != outer:
            add(f"{name}.nin_shortcut", conv(inner, outer, 1))

    add("post_quant_conv", conv(8, 16, 1))
    add("decoder.conv_in", conv(16, 64, 3))
    for place in (1, 2):
        block(f"decoder.mid.block_{place}", 64, 64)
    add("decoder.mid.attn_1.norm", torch.empty(64).double())
    for part in ("q", "k", "v", "proj_out"):
        add(f"decoder.mid.attn_1.{part}", conv(64, 64, 1))
    inner = 64
    for level, outer in ((2, 64), (1, 64), (0, 32)):
        for place in range(3):
            block(f"decoder.up.{level}.block.{place}", inner, outer)
            inner = outer
        if level:
            add(f"decoder.up.{level}.upsample.conv", conv(outer, outer, 3))
    add("decoder.norm_out", torch.empty(32).double())
    add("decoder.conv_out", conv(32, 3, 3))
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in weights.items():
        size = max(tensor[0].numel(), 1) ** 0.5 if tensor.ndim else 1
        tensor.copy_(torch.randn(tensor.shape, generator=generator) / size + ("norm" in name))
    theirs.load_state_dict({name: weights[name] for name in theirs.state_dict()})
    return theirs, weights


def naive_decoder(weights, rows):
    """Taming's decoder of rows of the codebook (B, D, h, w), written down from its definition."""

    def conv(name, x):
        kernel = weights[f"{name}.weight"]
        return F.conv2d(x, kernel, weights[f"{name}.bias"], padding=kernel.shape[-1] // 2)

    def norm(name, x):
        grouped = x.reshape(len(x), 32, -1)
        mean, spread = grouped.mean(-1, keepdim=True), grouped.var(-1, unbiased=False, keepdim=True)
        plain = ((grouped - mean) / (spread + 1e-6).sqrt()).reshape(x.shape)
        return plain * weights[f"{name}.weight"][:, None, None] + weights[f"{name}.bias"][:, None, None]

    def swish(x):
        return x / (1 + torch.exp(-x))

    def block(name, x):
        inner = conv(f"{name}.conv1", swish(norm(f"{name}.norm1", x)))
        inner = conv(f"{name}.conv2", swish(norm(f"{name}.norm2", inner)))
        short = f"{name}.nin_shortcut"
        return inner + (conv(short, x) if f"{short}.weight" in weights else x)

    def attention(name, x):
        q, k, v = (conv(f"{name}.{part}", norm(f"{name}.norm", x)).flatten(2) for part in "qkv")
        share = (torch.einsum("bci,bcj->bij", q, k) / x.shape[1] ** 0.5).softmax(-1)
        return x + conv(f"{name}.proj_out", torch.einsum("bij,bcj->bci", share, v).reshape(x.shape))

    x = conv("decoder.conv_in", conv("post_quant_conv", rows))
    x = block("decoder.mid.block_2", attention("decoder.mid.attn_1", block("decoder.mid.block_1", x)))
    for level in (2, 1, 0):
        for place in range(3):
            x = block(f"decoder.up.{level}.block.{place}", x)
        if level:
            x = conv(f"decoder.up.{level}.upsample.conv", x.repeat_interleave(2, -1).repeat_interleave(2, -2))
    return conv("decoder.conv_out", swish(norm("decoder.norm_out", x)))


def converted(weights):
    shape = {"latent_channels": 16, "vq_embed_dim": 8, "num_vq_embeddings": CODES, "sample_size": 16}
    return vqgan(weights, "vqgan.ckpt", channels=(32, 64, 64), layers_per_block=2, **shape)


@torch.no_grad()
def test_the_vqgan_encodes_as_transformers_and_decodes_as_its_definition():
    theirs, weights = taming_weights()
    weights["loss.discriminator.main.0.weight"] = torch.zeros(1)
    ours = ImageTokenizer(converted({name: tensor.float() for name, tensor in weights.items()}))
    weights = {name: tensor.float().double() for name, tensor in weights.items()}
    ours.vq.double(), theirs.float().double()
    pixels = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(1)).double() * 2 - 1
    codes = ours.encoded(pixels)
    assert torch.equal(codes.flatten(), theirs.encode(pixels).image_tokens.flatten())
    assert len(codes.unique()) > 4
    rows = weights["quantize.embedding.weight"][codes].view(3, 4, 4, 8).permute(0, 3, 1, 2)
    wanted = naive_decoder(weights, rows).permute(0, 2, 3, 1)
    assert (ours.decoded(codes) - wanted).abs().max() < 1e-9 * wanted.abs().max()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: w.pop("decoder.conv_out.bias"), "found no weights decoder.conv_out.bias"),
        (lambda w: w.update(more=torch.zeros(1)), "found unknown weights more"),
        (
            lambda w: w["post_quant_conv.bias"].fill_(torch.nan),
            "post_quant_conv.bias: found 16 of 16 values NaN",
        ),
        (
            lambda w: w.update({"quant_conv.bias": torch.zeros(9)}),
            "quant_conv.bias: found shape (9,), wanted (8,)",
        ),
    ],
)
def test_another_vqgan_is_refused(change, said):
    _, weights = taming_weights()
    change(weights)
    with pytest.raises(InputError, match="vqgan") as refused:
        converted(weights)
    assert said in str(refused.value)


def test_a_checkpoint_that_runs_code_is_refused(tmp_path):
    class Malice:
        def __reduce__(self):
            return open, (str(tmp_path / "ran"), "w")

    for name, save in (
        ("zip.ckpt", torch.save),
        ("plain.ckpt", lambda content, path: path.write_bytes(pickle.dumps(content))),
    ):
        save({"state_dict": Malice()}, tmp_path / name)
        with pytest.raises(InputError, match="cannot be loaded"):
            convert(tmp_path / name, tmp_path / "liquid")
    assert not (tmp_path / "ran").exists() and not (tmp_path / "liquid").exists()


def test_no_two_weights_are_renamed_alike():
    _, weights = taming_weights()
    assert len({renamed_key(name, 3) for name in weights}) == len(weights)
