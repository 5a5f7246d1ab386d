"""Decoding: transformers' own generation as the oracle, and the step that a GPU compiles."""

import errno
import logging
import os
import shutil
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from ear.images import decoding
from ear.images.batching import BatchSize
from ear.images.decoding import Decoder
from ear.images.sampling import Guidance, random_numbers, sample, sample_prompts
from ear.models.backbone import Tokens
from ear.workflow import machine
from ear.workflow.machine import missing_for_compiling
from ear.world.grammar import Grammar
from ear.world.sentences import STYLE_PHRASE
from tests.tiny import tiny_backbone

TEXTS = sorted(
    {
        prompt
        for column in ("unsafe_prompt", "safe_prompt")
        for prompt in Grammar("van-gogh", "style", STYLE_PHRASE, seed=1).pairs(40)[column]
    }
)[:64]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_greedy_decoding_equals_transformers(dtype):
    backbone = tiny_backbone(dtype=dtype)
    tokens = backbone.encode(TEXTS, "chat")
    assert len(TEXTS) == 64 and len(set(tokens.mask.sum(dim=1).tolist())) >= 5
    theirs = backbone.model.generate(
        inputs=tokens.ids,
        attention_mask=tokens.mask,
        generation_mode="image",
        do_sample=False,
        guidance_scale=3.0,
    )
    assert torch.equal(sample_prompts(backbone, TEXTS, range(64), "chat", Guidance(3.0), 0), theirs)
    assert len({tuple(row) for row in theirs.tolist()}) > 32  # else the model is too dull to test anything


def test_tokens_depend_neither_on_the_batch_nor_on_the_order():
    backbone, seeds = tiny_backbone(), {text: number for number, text in enumerate(TEXTS)}

    def drawn(texts, batch):
        parts = [texts[start : start + batch] for start in range(0, len(texts), batch)]
        settings = "chat", Guidance(3.0), 0.8
        tokens = [sample_prompts(backbone, part, [seeds[text] for text in part], *settings) for part in parts]
        return dict(zip(texts, torch.cat(tokens).tolist(), strict=True))

    wanted = drawn(TEXTS, 64)
    for texts, batch in ((TEXTS[:16], 1), (TEXTS, 7), (TEXTS[::-1], 32)):
        assert drawn(texts, batch) == {text: wanted[text] for text in texts}


@pytest.fixture
def forgetful(monkeypatch):
    """What decoding remembers of compiling is that of a new process, before and after."""
    decoding.forget_compiled()
    monkeypatch.setattr(decoding, "_uncompiled", [])
    torch._dynamo.utils.counters.clear()
    yield monkeypatch
    decoding.free_memory()
    decoding.forget_compiled()


def compile_with(monkeypatch, backend):
    monkeypatch.setattr(decoding, "compile_options", lambda device: {"backend": backend})


@pytest.mark.parametrize(
    ("backend", "guidance"),
    [("eager", Guidance(3.0)), ("aot_eager", Guidance(3.0, "a church on fire", strength=1.0))],
)
def test_the_compiled_step_draws_the_same(forgetful, backend, guidance):
    backbone = tiny_backbone(layers=2)
    batches = [TEXTS[:6], TEXTS[30:36], TEXTS[60:64]]  # two of one shape, one of another
    plain = [sample_prompts(backbone, part, range(len(part)), "chat", guidance, 0.8) for part in batches]
    counts = torch._dynamo.utils.counters
    compile_with(forgetful, backend)
    for part, wanted in zip(batches, plain, strict=True):
        assert torch.equal(sample_prompts(backbone, part, range(len(part)), "chat", guidance, 0.8), wanted)
    assert counts["stats"]["unique_graphs"] == 2  # one a shape: every step and every batch of it shares it
    assert not counts["graph_break"]


def tokens_of(images, length):
    ids = torch.arange(3, 3 + length) % 20 + torch.arange(images)[:, None]
    return Tokens(ids, torch.ones_like(ids))


def drawn(backbone, shapes):
    """A batch of each of the shapes."""
    return [
        sample(
            backbone,
            tokens_of(images, length),
            random_numbers(range(images), backbone.num_image_tokens),
            Guidance(3.0),
            0.8,
        )
        for images, length in shapes
    ]


def assert_all_equal(found, wanted):
    for mine, theirs in zip(found, wanted, strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize(
    ("most", "shapes", "compiled"),
    [
        # Of two widths, for 1, 2 and 4 images.
        (decoding.MOST_SHAPES, [(1, 7), (2, 7), (3, 7), (1, 150), (4, 7)], 4),
        (2, [(1, 7), (2, 7), (1, 150), (1, 7)], 2),  # what is too much is forgotten
    ],
)
def test_any_number_of_shapes_is_drawn_in_one_process(forgetful, most, shapes, compiled):
    backbone = tiny_backbone(layers=1)
    wanted = drawn(backbone, shapes)
    compile_with(forgetful, "eager")
    forgetful.setattr(decoding, "MOST_SHAPES", most)
    with torch._dynamo.config.patch(recompile_limit=2):  # torch's own is 8, and ends at the next
        assert_all_equal(drawn(backbone, shapes), wanted)
    assert len(decoding._shapes) == compiled
    assert not decoding._uncompiled


def test_a_step_that_cannot_be_compiled_runs_as_it_is(forgetful, caplog):
    def broken(graph, inputs):
        raise RuntimeError("Failed to find C compiler. Please specify via CC environment variable.")

    backbone = tiny_backbone(layers=1)
    shapes = [(3, 7), (2, 7)]
    wanted = drawn(backbone, shapes)
    compile_with(forgetful, broken)
    with caplog.at_level(logging.WARNING):
        assert_all_equal(drawn(backbone, shapes), wanted)
    (warning,) = [message for message in caplog.messages if "without compilation" in message]
    assert "Failed to find C compiler" in warning and "24 ms" in warning and "\n" not in warning


def test_a_full_disk_ends_the_job_and_does_not_slow_it(forgetful):
    def full(graph, inputs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    compile_with(forgetful, full)
    with pytest.raises(torch._dynamo.exc.BackendCompilerFailed, match="No space left on device"):
        drawn(tiny_backbone(layers=1), [(3, 7)])
    assert not decoding._uncompiled


def test_a_compiler_that_runs_out_of_memory_halves_the_batch(forgetful):
    sizes = []

    def scarce(graph, inputs):
        if sizes[-1] > 2:
            raise RuntimeError("CUDA error: out of memory")
        return graph.forward

    backbone = tiny_backbone(layers=1)

    def work(rows):
        sizes.append(len(rows))
        tokens, numbers = tokens_of(4, 7), random_numbers(range(4), 9)[list(rows)]
        part = Tokens(tokens.ids[list(rows)], tokens.mask[list(rows)])
        return sample(backbone, part, numbers, Guidance(3.0), 0.8)

    (wanted,) = drawn(backbone, [(4, 7)])
    compile_with(forgetful, scarce)
    assert torch.equal(torch.cat(list(BatchSize(4).each(range(4), work))), wanted)
    assert sizes == [4, 2, 2]
    assert not decoding._uncompiled


def nothing_is_installed(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name, *_: None)
    monkeypatch.delenv("CC", raising=False)


def test_what_is_missing_for_compiling_is_said(monkeypatch, tmp_path):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name, *_: f"/usr/bin/{name}" if name == "clang" else None)
    (tmp_path / "Python.h").touch()
    monkeypatch.setattr(machine.sysconfig, "get_paths", lambda scheme: {"include": str(tmp_path)})
    assert missing_for_compiling() is None
    (tmp_path / "Python.h").unlink()
    assert str(tmp_path / "Python.h") in missing_for_compiling()
    monkeypatch.setenv("CC", "no-such-cc")
    assert "'no-such-cc'" in missing_for_compiling()
    nothing_is_installed(monkeypatch)
    assert "gcc or clang" in missing_for_compiling()
    assert "torch" not in Path(machine.__file__).read_text().partition('"""\n')[2].split('"""')[0]


@pytest.mark.parametrize("per_image", [2, 3])
def test_without_a_compiler_a_gpu_gets_whole_shapes_and_one_warning(forgetful, caplog, per_image):
    nothing_is_installed(forgetful)
    backbone = tiny_backbone(layers=2, dtype="bfloat16")
    with FakeTensorMode(), torch.no_grad():
        for module in backbone.model.modules():
            for held in (module._parameters, module._buffers):
                for name, tensor in held.items():
                    if tensor is not None:
                        held[name] = torch.empty(tensor.shape, dtype=tensor.dtype, device="cuda")
        for images in (3, 5):
            rows = Tokens(
                *(torch.ones(per_image * images, 7, dtype=torch.int64, device="cuda") for _ in range(2))
            )
            decoder = Decoder(backbone, rows, backbone.num_image_tokens, per_image)
            logits = decoder.read_prompts()
            codes = torch.zeros(per_image * images, dtype=torch.int64, device="cuda")
            for found in (logits, decoder.read(codes), decoder.read(codes)):
                assert (found.shape, found.device.type) == ((per_image * images, 32), "cuda")
                assert found.dtype == torch.bfloat16
            held = per_image * (4 if images == 3 else 8)
            assert {layer.keys.shape for layer in decoder._cache.layers} == {(held, 4, 128, 8)}
            assert {layer.keys.device.type for layer in decoder._cache.layers} == {"cuda"}
            assert decoding.kept_bytes(backbone) == 2 * 2 * held * 128 * 32 * 2
    assert len([message for message in caplog.messages if "without compilation" in message]) == 1


def test_the_faster_kernels_compute_the_same_and_leave_the_model_as_it_was():
    backbone = tiny_backbone(hidden=64)
    before = backbone.language_model.config._attn_implementation
    states = torch.randn(40, 5, 64, generator=torch.Generator().manual_seed(0))
    plain = backbone.language_model(inputs_embeds=states).last_hidden_state
    with decoding.cpu_kernels(backbone, decoding.MANY_ROWS):
        assert backbone.language_model.config._attn_implementation == "eager"
        assert "forward" in vars(backbone.language_model.layers[0].mlp.up_proj)
        fast = backbone.language_model(inputs_embeds=states).last_hidden_state
    torch.testing.assert_close(fast, plain, atol=2e-5, rtol=1e-5)
    assert backbone.language_model.config._attn_implementation == before
    assert not any("forward" in vars(module) for module in backbone.model.modules())
