"""Low-rank factors against plain torch in float64, what a file of them holds, and what is refused."""

from dataclasses import replace

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from ear.erasure.edited_weights import edited, load_edited, load_edited_for, trained_modules
from ear.erasure.lora import initial_factors
from ear.erasure.release import main
from ear.erasure.run import erase
from ear.erasure.sequences import cuts
from ear.erasure.trainer import Trainer
from ear.erasure.variants import VARIANTS, Lora
from tests import oracles
from tests.tiny import tiny_backbone
from tests.tiny_emu3 import tiny_emu3
from tests.tiny_liquid import tiny_liquid
from tests.unit.erasure.test_edited_weights import JOB, refused, same
from tests.unit.erasure.test_erasure import PAIRS, chosen, sequences_of

QUERY = "layers.0.self_attn.q_proj"


def erased(folder, backbone, overrides, pairs=PAIRS[:1]):
    """The file of factors that a job makes, and the sequences that it trains on."""
    sequences = sequences_of(backbone, overrides, pairs)
    erase(folder, backbone, pairs, sequences, overrides, [overrides.variant.window], 1, JOB)
    return folder / "weights.safetensors", sequences


def weights_of(backbone, layers=2):
    modules = trained_modules(backbone, layers, linears=True)
    return {name: module.weight.detach().clone() for name, module in modules.items()}


@settings(max_examples=4, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(data=st.data())
def test_weights_equal_the_naive_loop(data, tmp_path_factory):
    def draw(label, *values):
        return data.draw(st.sampled_from(values), label=label)

    name = draw("method", "obliviate", "obliviate", "ear", "prefix-redirect")
    overrides = chosen(
        replace(VARIANTS[name], order="file"),
        lora=Lora(draw("rank", 1, 3), draw("alpha", 2.0, 16.0)),
        layers=draw("layers", 1, 3),
        optimiser=draw("optimiser", "adamw", "sgd"),
        micro_batch=draw("micro_batch", 2, 64),
        window=draw("window", 3, 4),
        max_grad_norm=draw("max_grad_norm", None, 0.1),
    )
    backbone, window = tiny_backbone(dtype="float64", grid=2), overrides.variant.window
    frozen = backbone.fingerprint()
    pairs = PAIRS[:2]
    path, sequences = erased(tmp_path_factory.mktemp("erased"), backbone, overrides, pairs)
    assert backbone.fingerprint() == frozen
    with edited(backbone, load_edited_for(backbone, path)[0]):
        ours = weights_of(backbone, overrides.layers)
    assert backbone.fingerprint() == frozen
    if name == "prefix-redirect":
        sequences["cuts"] = torch.stack([cuts(pair_id, 4, 4) for pair_id, *_ in pairs])
    first = initial_factors(trained_modules(backbone, overrides.layers, linears=True), overrides.lora.rank, 1)
    naive, _ = oracles.train_low_rank(backbone, pairs, sequences, overrides, window, first)
    assert len(naive) == 7 * overrides.layers and naive.keys() == ours.keys()
    assert all((ours[name] - naive[name]).abs().max() <= 1e-9 for name in naive)


def test_training_begins_at_the_frozen_model_and_leaves_it_alone():
    backbone = tiny_backbone(dtype="float64")
    overrides = chosen(VARIANTS["obliviate"], lora=Lora(4, 8.0), layers=3)
    trainer = Trainer(backbone, PAIRS, sequences_of(backbone, overrides), overrides, seed=1)
    frozen = weights_of(backbone, 3)
    log = trainer.run(9, desc="test")
    before = [example.initial_losses.sum().item() for _, example in trainer.order]
    assert log["loss"][0] == pytest.approx(before[0], rel=1e-12)
    assert log["loss"][2] != pytest.approx(before[2], rel=1e-6)
    assert same(weights_of(backbone, 3), frozen)
    assert not any(module._forward_hooks for module in backbone.language_model.modules())


def test_factors_depend_on_seed_and_module_alone():
    modules = trained_modules(tiny_backbone(layers=2), 2, linears=True)
    one, again, other = (initial_factors(modules, 3, seed) for seed in (1, 1, 2))
    assert same(one, again) and len(one) == 28
    for name, module in modules.items():
        a, b = one[f"{name}.lora_A"], one[f"{name}.lora_B"]
        assert (a.shape, b.shape) == ((3, module.in_features), (module.out_features, 3))
        assert 0.8 < a.abs().max() * module.in_features**0.5 <= 1 and not b.any()
        assert not torch.equal(a, other[f"{name}.lora_A"])
    assert not torch.equal(one[f"{QUERY}.lora_A"], one["layers.1.self_attn.q_proj.lora_A"])
    assert one[f"{QUERY}.lora_A"][0, :3].tolist() == pytest.approx(
        [0.009589324705302715, -0.17528776824474335, -0.08202189952135086], rel=1e-9
    )  # as drawn on another day


@pytest.mark.parametrize("of", [tiny_backbone, tiny_emu3, tiny_liquid])
def test_all_linear_layers_of_the_first_layers_are_trained(of):
    backbone = of()
    names = trained_modules(backbone, 1, linears=True)
    assert {name.split(".")[1] for name in names} == {"0"}
    assert {name.split(".")[-1][: -len("_proj")] for name in names} == {*"qkvo", "gate", "up", "down"}
    assert set(trained_modules(backbone, 1)) < set(names)


def test_factors_in_float32_are_added_to_weights_in_bfloat16(tmp_path):
    backbone = tiny_backbone(dtype="bfloat16", layers=2)
    overrides = chosen(
        VARIANTS["obliviate"], lora=Lora(2, 4.0), optimiser="adamw", learning_rate=0.01, window=9
    )
    path, _ = erased(tmp_path, backbone, overrides)
    changes, facts = load_edited_for(backbone, path)
    assert facts.settings["lora"] == {"rank": 2, "alpha": 4.0}
    frozen, change = weights_of(backbone), changes[QUERY]
    assert change.a.dtype == change.b.dtype == torch.float32
    with edited(backbone, changes):
        found = weights_of(backbone)
    assert torch.equal(found[QUERY], (frozen[QUERY].float() + 2.0 * change.b @ change.a).bfloat16())
    assert all(not torch.equal(found[name], frozen[name]) for name in frozen)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda t: t.pop(f"{QUERY}.lora_B.weight"),
            [QUERY, "lora_A", "wanted lora_A (2, in) and lora_B (out, 2)"],
        ),
        (lambda t: t.update({f"{QUERY}.lora_A.weight": torch.zeros(3, 32)}), ["(3, 32)", "lora_A (2, in)"]),
        (lambda t: t.update({f"{QUERY}.lora_C.weight": torch.zeros(1)}), [QUERY, "lora_C"]),
        (
            lambda t: t.update({f"{QUERY}.lora_B.weight": t[f"{QUERY}.lora_B.weight"].bfloat16()}),
            [QUERY, "bfloat16 and float32", "wanted one dtype"],
        ),
        (
            lambda t: t.update({f"{QUERY}.lora_A.weight": torch.zeros(2, 9)}),
            ["shape (32, 9), wanted (32, 32)"],
        ),
        (lambda t: t.update({f"{QUERY}.weight": torch.zeros(32, 32)}), ["layers.0.self_attn", "q_proj"]),
    ],
)
def test_factors_that_do_not_belong_are_refused(tmp_path, change, words):
    backbone = tiny_backbone(layers=2)
    path, _ = erased(tmp_path, backbone, chosen(VARIANTS["obliviate"], lora=Lora(2, 4.0), window=9))
    with safe_open(path, framework="pt") as handle:
        tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
        metadata = handle.metadata()
    change(tensors)
    save_file(tensors, path, metadata=metadata)
    refused(lambda: load_edited_for(backbone, path), str(path), *words)
    save_file(tensors, path, metadata={"ear": metadata["ear"].replace('"rank": 2', '"rank": 0')})
    refused(lambda: load_edited(path), str(path), "settings.lora: rank: found 0")


def test_factors_are_not_written_in_the_authors_format(tmp_path, capsys):
    path, _ = erased(tmp_path, tiny_backbone(), chosen(VARIANTS["obliviate"], lora=Lora(2, 4.0), window=9))
    assert main(["export", str(path), str(tmp_path / "theirs.pt")]) == 1
    assert "found low-rank factors, wanted whole weights" in capsys.readouterr().err
    assert not (tmp_path / "theirs.pt").exists()
