"""Decoding: transformers' own generation as the oracle, and the step that a GPU compiles."""

import pytest
import torch

from ear import decoding, kernels
from ear.prompts.grammar import Grammar
from ear.sampling import Guidance, sample, sample_prompts, uniforms
from ear.world.captions import STYLE_PHRASE
from tests.tiny import tiny_backbone

TEXTS = sorted(
    {
        prompt
        for column in ("unsafe_prompt", "safe_prompt")
        for prompt in Grammar("van-gogh", "style", STYLE_PHRASE, seed=1).pairs(40)[column]
    }
)[:64]


@pytest.fixture(scope="module", params=["float32", "float64"])
def backbone(request):
    return tiny_backbone(dtype=request.param)


def greedy(backbone, texts):
    tokens = backbone.encode(texts, "chat")
    uniform = uniforms(range(len(texts)), backbone.num_image_tokens)
    return sample(backbone, tokens, uniform, Guidance(3.0), temperature=0)


def test_greedy_decoding_equals_transformers(backbone):
    tokens = backbone.encode(TEXTS, "chat")
    assert len(TEXTS) == 64 and len(set(tokens.mask.sum(dim=1).tolist())) >= 5
    theirs = backbone.model.generate(
        inputs=tokens.ids,
        attention_mask=tokens.mask,
        generation_mode="image",
        do_sample=False,
        guidance_scale=3.0,
    )
    assert torch.equal(greedy(backbone, TEXTS), theirs)
    assert len({tuple(row) for row in theirs.tolist()}) > 32  # else the model is too dull to test anything


def test_tokens_depend_neither_on_the_batch_nor_on_the_order(backbone):
    seeds = {text: number for number, text in enumerate(TEXTS)}

    def drawn(texts, batch):
        parts = [texts[start : start + batch] for start in range(0, len(texts), batch)]
        tokens = [
            sample_prompts(backbone, part, [seeds[text] for text in part], "chat", Guidance(3.0), 0.8)
            for part in parts
        ]
        return dict(zip(texts, torch.cat(tokens).tolist(), strict=True))

    wanted = drawn(TEXTS, 64)
    for batch in (1, 7, 32):
        assert drawn(TEXTS, batch) == wanted
    assert drawn(sorted(TEXTS, key=lambda text: text[::-1]), 16) == wanted


@pytest.mark.parametrize("guidance", [Guidance(3.0), Guidance(3.0, "a church on fire", strength=1.0)])
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_the_compiled_step_draws_the_same(monkeypatch, guidance, backend):
    backbone = tiny_backbone()
    batches = [TEXTS[:6], TEXTS[30:36], TEXTS[60:64]]  # two of one shape, one of another
    plain = [sample_prompts(backbone, part, range(len(part)), "chat", guidance, 0.8) for part in batches]
    counts = torch._dynamo.utils.counters
    counts.clear()
    monkeypatch.setattr(decoding, "compile_options", lambda device: {"backend": backend})
    for part, wanted in zip(batches, plain, strict=True):
        assert torch.equal(sample_prompts(backbone, part, range(len(part)), "chat", guidance, 0.8), wanted)
    assert counts["stats"]["unique_graphs"] == 2  # one a shape: every step and every batch of it shares it
    assert not counts["graph_break"]
    decoding.free_memory()
    torch.compiler.reset()


def test_the_model_is_left_as_it_was():
    backbone = tiny_backbone()
    before = backbone.language_model.config._attn_implementation
    with decoding.cpu_kernels(backbone, kernels.MANY_ROWS):
        assert backbone.language_model.config._attn_implementation == "eager"
        assert "forward" in vars(backbone.language_model.layers[0].mlp.up_proj)
    assert backbone.language_model.config._attn_implementation == before
    assert not any("forward" in vars(module) for module in backbone.model.modules())


def test_the_faster_kernels_compute_the_same():
    backbone = tiny_backbone(hidden=64)
    states = torch.randn(40, 5, 64, generator=torch.Generator().manual_seed(0))
    plain = backbone.language_model(inputs_embeds=states).last_hidden_state
    with decoding.cpu_kernels(backbone, kernels.MANY_ROWS):
        fast = backbone.language_model(inputs_embeds=states).last_hidden_state
    torch.testing.assert_close(fast, plain, atol=2e-5, rtol=1e-5)
