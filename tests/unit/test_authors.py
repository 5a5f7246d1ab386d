"""The authors' file format: exact both ways, and nothing else is taken for it."""

import pickle
from collections import OrderedDict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ear.erasure.adapter import apply_adapter, backbone_facts, load_adapter, save_adapter
from ear.erasure.authors import (
    import_authors_weights,
    main,
    read_authors_weights,
    write_authors_weights,
)
from tests.tiny import tiny_backbone
from tests.unit.test_adapter import JOB, QUERY, TRAINING, Touch, changed, refused, same, save, weights_of

FACTS = {"concept": "church", "method": "released"}


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.builds("layers.{}.self_attn.{}_proj".format, st.integers(0, 40), st.sampled_from("qkvo")),
        st.tuples(
            st.integers(1, 9),
            st.integers(1, 9),
            st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.float16]),
            st.integers(0, 2**31),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_a_round_trip_is_exact(tmp_path_factory, forms):
    folder = tmp_path_factory.mktemp("trip")
    weights = {
        name: torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)).to(dtype)
        for name, (rows, columns, dtype, seed) in forms.items()
    }
    frozen = {"reference": "model", "revision": None, "sha256": "0" * 64}
    save_adapter(folder / "ours", weights, frozen, JOB | TRAINING)
    loaded, _ = load_adapter(folder / "ours")
    write_authors_weights(folder / "theirs.pt", loaded)
    save_adapter(folder / "again", read_authors_weights(folder / "theirs.pt"), frozen, JOB | TRAINING)
    back = load_adapter(folder / "again")[0]
    for name, weight in weights.items():
        assert back[name].dtype == weight.dtype
        assert torch.equal(back[name].view(torch.uint8), weight.contiguous().view(torch.uint8))
    assert (folder / "again").read_bytes() == (folder / "ours").read_bytes()


def test_what_we_write_is_what_the_release_loads(tmp_path):
    backbone = tiny_backbone()
    write_authors_weights(tmp_path / "weights.pt", changed(backbone))
    content = torch.load(tmp_path / "weights.pt", weights_only=True)
    for name, tensors in content.items():  # FineTunedModel.load_state_dict, module by module
        backbone.language_model.get_submodule(name).load_state_dict(tensors)
    assert same(weights_of(backbone), {name: tensors["weight"] for name, tensors in content.items()})


def test_equal_weights_give_equal_bytes_and_no_more_than_themselves(tmp_path):
    large = torch.randn(1000, 64)
    for name in ("one", "two"):
        write_authors_weights(tmp_path / f"{name}.pt", {QUERY: large[:2]})
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "two.pt").read_bytes()
    assert (tmp_path / "one.pt").stat().st_size < 4000


@pytest.mark.parametrize("prefix", ["", "language_model.model.", "model.language_model."])
def test_what_the_release_writes_is_read(tmp_path, prefix):
    linear = nn.Linear(4, 3, bias=False)
    rotary = {f"{prefix}layers.0.self_attn.rotary_emb": OrderedDict()}  # of older transformers: no tensors
    torch.save({f"{prefix}{QUERY}": linear.state_dict()} | rotary, tmp_path / "weights.pt")
    assert same(read_authors_weights(tmp_path / "weights.pt"), {QUERY: linear.weight.detach()})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"model.layers.0.self_attn.q_proj": {"weight": torch.ones(2, 2)}}, "found module 'model.layers.0"),
        ({"layers.0.mlp.up_proj": {"weight": torch.ones(2, 2)}}, "found module 'layers.0.mlp.up_proj'"),
        ({QUERY: {"weight": torch.ones(2, 2), "bias": torch.ones(2)}}, "found keys weight, bias"),
        ({QUERY: torch.ones(2, 2)}, f"{QUERY}: found a Tensor"),
        ({QUERY: {"weight": [1.0]}}, f"{QUERY}.weight: found a list"),
        (
            {QUERY: {"weight": torch.ones(2, 2, dtype=torch.int64)}},
            "found int64, wanted float32, float16 or bfloat16",
        ),
        (
            {name + QUERY: {"weight": torch.ones(2, 2)} for name in ("", "language_model.model.")},
            "under two prefixes",
        ),
        ({}, "found nothing in it"),
        ({"layers.0.self_attn.rotary_emb": {}}, "found no tensors"),
        ([torch.ones(2)], "found a list"),
    ],
)
def test_other_structures_are_refused(tmp_path, content, words):
    path = tmp_path / "weights.pt"
    torch.save(content, path)
    refused(lambda: read_authors_weights(path), str(path), words, "wanted")


@pytest.mark.parametrize(
    "write",
    [
        torch.save,
        lambda item, path: torch.save(item, path, _use_new_zipfile_serialization=False),
        lambda item, path: path.write_bytes(pickle.dumps(item)),
    ],
    ids=["torch", "old torch", "pickle"],
)
def test_code_in_a_pickle_does_not_run(tmp_path, write):
    trap, path = tmp_path / "trap", tmp_path / "weights.pt"
    write({QUERY: {"weight": Touch(trap)}}, path)
    refused(lambda: read_authors_weights(path), str(path), "nothing was run")
    assert not trap.exists()
    assert pickle.loads(pickle.dumps(Touch(trap))) is None  # the trap works
    assert trap.exists()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("keep", [0, 5, 60, -3])
def test_a_truncated_file_is_refused(tmp_path, keep, zipped):
    whole, path = tmp_path / "whole.pt", tmp_path / "cut.pt"
    torch.save({QUERY: {"weight": torch.ones(40, 40)}}, whole, _use_new_zipfile_serialization=zipped)
    path.write_bytes(whole.read_bytes()[:keep])
    found = "found no whole file" if keep else "found an empty file"
    refused(lambda: read_authors_weights(path), str(path), found, "wanted")


def test_text_and_nothing_are_refused(tmp_path):
    (tmp_path / "text.pt").write_text("hello")
    refused(lambda: read_authors_weights(tmp_path / "text.pt"), "found no whole file")
    refused(lambda: read_authors_weights(tmp_path / "nothing.pt"), "not found")
    refused(lambda: read_authors_weights(tmp_path), "found no file that can be read")


def test_an_import_is_tied_to_the_backbone(tmp_path):
    backbone = tiny_backbone()
    write_authors_weights(tmp_path / "weights.pt", changed(backbone))
    import_authors_weights(tmp_path / "weights.pt", backbone, FACTS | {"window": 48}, tmp_path / "adapter")
    facts = load_adapter(tmp_path / "adapter")[1]
    assert (facts.method, facts.window, facts.threshold) == ("released", 48, None)
    assert facts.backbone == backbone_facts(backbone)
    assert facts.model_extra["imported_from"]["file"] == "weights.pt"
    refused(lambda: apply_adapter(tiny_backbone(seed=1), tmp_path / "adapter"), "made from backbone")
    wanted = changed(backbone)
    apply_adapter(backbone, tmp_path / "adapter")
    assert same(weights_of(backbone), wanted)


def test_an_import_that_does_not_fit_is_refused(tmp_path):
    backbone = tiny_backbone()
    path, out = tmp_path / "weights.pt", tmp_path / "adapter"
    for weights, words in [
        ({"layers.7.self_attn.q_proj": torch.ones(32, 32)}, "found module 'layers.7"),
        ({QUERY: torch.ones(16, 32)}, "found shape (16, 32), wanted (32, 32)"),
        ({QUERY: torch.ones(32, 32).bfloat16()}, "found dtype torch.bfloat16, wanted torch.float32"),
        ({QUERY: torch.full((32, 32), float("nan"))}, "1024 of 1024 values NaN"),
    ]:
        write_authors_weights(path, weights)
        refused(lambda: import_authors_weights(path, backbone, FACTS, out), words)
        assert not out.exists()


def test_an_import_converts_only_if_told(tmp_path):
    backbone = tiny_backbone()
    path = tmp_path / "weights.pt"
    halves = {QUERY: changed(backbone)[QUERY].bfloat16()}
    write_authors_weights(path, halves)
    import_authors_weights(path, backbone, FACTS, tmp_path / "adapter", convert=True)
    assert same(load_adapter(tmp_path / "adapter")[0], {QUERY: halves[QUERY].float()})


def test_the_command_line_goes_both_ways(tmp_path, capsys):
    backbone = tiny_backbone()
    backbone.model.save_pretrained(tmp_path / "model")
    backbone.processor.save_pretrained(tmp_path / "model")
    ours, theirs, again = (str(tmp_path / name) for name in ("ours.safetensors", "theirs.pt", "again"))
    save(ours, changed(backbone), backbone)
    assert main(["export", ours, theirs]) == 0
    model = ["--backbone", str(tmp_path / "model"), "--dtype", "float32", "--concept", "church"]
    assert main(["import", theirs, again, *model]) == 0
    assert "8 modules" in capsys.readouterr().out
    weights, facts = load_adapter(again)
    assert same(weights, changed(backbone))
    assert facts.backbone.sha256 == backbone.fingerprint()


def test_bad_input_on_the_command_line_is_one_line(tmp_path, capsys):
    assert main(["export", str(tmp_path / "nothing"), str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err == (
        f"error: {tmp_path / 'nothing'}: not found, wanted an adapter (ear-adapter/2, safetensors)\n"
    )
    write_authors_weights(tmp_path / "weights.pt", {QUERY: torch.ones(2, 2)})
    missing = ["--backbone", str(tmp_path / "no-model"), "--concept", "church"]
    assert main(["import", str(tmp_path / "weights.pt"), str(tmp_path / "out"), *missing]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert not (tmp_path / "out").exists()
