"""Device memory: the formulas hold what torch counts on small models, and known figures of the large ones."""

from dataclasses import replace

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.attention import SDPBackend, sdpa_kernel

from ear.erasure.edited_weights import trained_modules
from ear.erasure.lora import hooked, initial_factors
from ear.erasure.variants import Lora
from ear.evaluation.attacks.attacked_model import image_losses
from ear.models.memory import (
    Dimensions,
    _saved,
    answering,
    drawing,
    frozen_states,
    gradients,
    largest,
    padded_columns,
    padded_images,
    relearning,
    training,
)
from tests.tiny import tiny_backbone

JANUS_7B = Dimensions(
    layers=30,
    hidden=4096,
    intermediate=11008,
    heads=32,
    key_value_heads=32,
    head_size=128,
    image_tokens=576,
    image_columns=575,
    codebook=16384,
    image_size=384,
    value_bytes=2,
    loaded=7_425_000_000,
)
JANUS_1B = replace(
    JANUS_7B, layers=24, hidden=2048, intermediate=5632, heads=16, key_value_heads=16, loaded=2_095_000_000
)
FREE = {"24 GB": 25.3e9, "40 GB": 42.0e9, "80 GB": 84.4e9}
"""Bytes of a card that are free before anything is loaded."""


@pytest.mark.parametrize(
    ("shape", "images", "widths"),
    [
        (JANUS_7B, 64, {640: 55.1, 768: 63.2, 896: 71.2, 1024: 79.3, 1152: 87.3}),
        (JANUS_1B, 128, {640: 36.4, 1152: 62.2}),
    ],
)
def test_drawing_needs_weights_and_cache_and_a_little_more(shape, images, widths):
    for columns, known in widths.items():
        length = columns - shape.image_tokens + 1
        assert padded_columns(length, shape.image_columns) == columns
        needed = (shape.loaded_bytes + drawing(shape, images, 2, length)) / 1e9
        assert known < needed < 1.2 * known


def test_the_other_works_need_what_is_known_of_them():
    assert 22e9 < JANUS_7B.loaded_bytes + training(JANUS_7B, 2, 128, 30, layers=5) < 24e9
    assert 14.3e9 < frozen_states(JANUS_7B, 48, 30) < 1.4 * 14.3e9
    assert 17.8e9 < answering(JANUS_7B, 50, 676, 48) < 1.4 * 17.8e9
    assert 33.5e9 < gradients(JANUS_7B, 8, 28, 576, layers=5) < 1.1 * 33.5e9
    assert 5.4e9 < relearning(JANUS_7B, 8, 28, 5, parts=1) - gradients(JANUS_7B, 8, 28, 576, 5) < 8e9


@pytest.mark.parametrize(
    ("card", "length", "images"),
    [
        *[("80 GB", length, 64) for length in (20, 65, 190)],
        ("80 GB", 577, 32),
        ("40 GB", 65, 32),
        ("40 GB", 190, 16),
        ("24 GB", 65, 8),
        ("24 GB", 577, 4),
    ],
)
def test_the_batch_that_fits_a_card(card, length, images):
    free = FREE[card] - JANUS_7B.loaded_bytes
    assert largest(64, free, lambda size: drawing(JANUS_7B, size, 2, length)) == images
    assert largest(64, 0.0, lambda size: drawing(JANUS_7B, size, 2, length)) == 1  # tried where none fits


def test_needs_grow_with_the_batch():
    needs = [
        lambda size: drawing(JANUS_7B, size, 2, 40),
        lambda size: frozen_states(JANUS_7B, size, 40),
        lambda size: training(JANUS_7B, 2, size, 40, 5),
        lambda size: training(JANUS_7B, 1, size, 40, 30, rank=32),
        lambda size: answering(JANUS_7B, size, 676, 48),
        lambda size: relearning(JANUS_7B, size, 40, 5, 1),
        lambda size: gradients(JANUS_7B, size, 40, 144),
    ]
    for need in needs:
        values = [need(size) for size in range(1, 100)]
        assert values == sorted(values)


def test_few_shapes_hold_all_batches():
    assert {padded_images(images) for images in range(1, 65)} == {1, 2, 4, 8, 16, 32, 64}
    assert all(images <= padded_images(images) < 2 * images for images in range(1, 200))
    assert {padded_columns(length, 575) for length in range(20, 578)} == {640, 768, 896, 1024, 1152}


def counted(backbone, run):
    """Bytes of all tensors that autograd keeps for the backward pass, weights left out, each storage once."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in backbone.model.parameters()}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        losses = run()
    assert losses.requires_grad
    return sum(size for size, _ in kept.values())


@pytest.mark.parametrize(
    ("dtype", "heads", "key_value_heads", "grid"), [("float32", 4, 4, 3), ("bfloat16", 4, 2, 8)]
)
def test_activations_are_what_autograd_keeps(dtype, heads, key_value_heads, grid):
    layers, images, length = 6, 3, 8
    backbone = tiny_backbone(0, 64, heads, key_value_heads, layers, grid, 64, dtype)
    for layer in backbone.language_model.layers[:2]:
        for name in "qkvo":
            getattr(layer.self_attn, f"{name}_proj").weight.requires_grad_(True)
    ids = torch.arange(images * length).view(images, length) % 20
    sequences = torch.arange(images * grid**2).view(images, grid**2) % 64

    def run():
        return image_losses(backbone, backbone.embed_text(ids), torch.ones_like(ids), sequences)

    shape = Dimensions(
        layers=layers,
        hidden=64,
        intermediate=128,
        heads=heads,
        key_value_heads=key_value_heads,
        head_size=64 // heads,
        image_tokens=grid**2,
        image_columns=grid**2 - 1,
        codebook=64,
        image_size=8 * grid,
        value_bytes=backbone.model.dtype.itemsize,
        loaded=0,
    )
    formula = gradients(shape, images, length, grid**2, layers=2)
    assert counted(backbone, run) <= formula
    with sdpa_kernel(SDPBackend.MATH):
        assert formula / 1.5 <= counted(backbone, run) <= formula

    backbone.model.requires_grad_(False)
    modules, lora = trained_modules(backbone, layers, linears=True), Lora(4, 8.0)
    factors = initial_factors(modules, lora.rank, seed=0)
    size = sum(factor.requires_grad_(True).nbytes for factor in factors.values())
    assert size == shape.trained_bytes(layers, lora.rank)
    columns = length + grid**2 - 1
    formula += _saved(shape, images, columns, columns, layers, lora.rank)
    formula += size - _saved(shape, images, columns, columns, 2)
    with hooked(modules, factors, lora), sdpa_kernel(SDPBackend.MATH):
        assert formula / 1.5 <= counted(backbone, run) <= formula
