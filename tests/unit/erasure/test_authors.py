"""The authors' file of weights: exact both ways, found in a download, and nothing else is taken for it."""

import pickle
from collections import OrderedDict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ear.erasure.edited_weights import WINDOW_COLUMNS, load_edited, load_edited_for, read_windows, save_edited
from ear.erasure.release import (
    PREFIXES,
    find_weights,
    import_published,
    main,
    read_authors_weights,
    write_authors_weights,
)
from ear.workflow.files import read_csv
from tests.tiny import tiny_backbone
from tests.unit.erasure.test_edited_weights import (
    JOB,
    QUERY,
    TRAINING,
    Touch,
    changed,
    refused,
    same,
    save,
    weights_of,
)

FACTS = {"concept": "church", "method": "released"}


@settings(max_examples=15, deadline=None)
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
    save_edited(folder / "ours", weights, frozen, JOB | TRAINING)
    write_authors_weights(folder / "theirs.pt", load_edited(folder / "ours")[0])
    save_edited(folder / "again", read_authors_weights(folder / "theirs.pt"), frozen, JOB | TRAINING)
    assert (folder / "again").read_bytes() == (folder / "ours").read_bytes()
    back = load_edited(folder / "again")[0]
    for name, weight in weights.items():
        assert back[name].dtype == weight.dtype
        assert torch.equal(back[name].view(torch.uint8), weight.view(torch.uint8))


def test_what_we_write_is_what_the_release_loads(tmp_path):
    backbone = tiny_backbone()
    write_authors_weights(tmp_path / "weights.pt", changed(backbone))
    content = torch.load(tmp_path / "weights.pt", weights_only=True)
    for name, tensors in content.items():  # FineTunedModel.load_state_dict, module by module
        backbone.language_model.get_submodule(name).load_state_dict(tensors)
    assert same(weights_of(backbone), {name: tensors["weight"] for name, tensors in content.items()})


@pytest.mark.parametrize("prefix", PREFIXES)
def test_what_the_release_writes_is_read(tmp_path, prefix):
    linear = nn.Linear(4, 3, bias=False)
    rotary = {f"{prefix}layers.0.self_attn.rotary_emb": OrderedDict()}  # of older transformers: no tensors
    torch.save({f"{prefix}{QUERY}": linear.state_dict()} | rotary, tmp_path / "weights.pt")
    assert same(read_authors_weights(tmp_path / "weights.pt"), {QUERY: linear.weight.detach()})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"model.layers.0.self_attn.q_proj": {"weight": torch.ones(2, 2)}}, "found module 'model.layers.0"),
        ({QUERY: {"weight": torch.ones(2, 2), "bias": torch.ones(2)}}, "found keys weight, bias"),
        ({QUERY: torch.ones(2, 2)}, f"{QUERY}: found Tensor"),
        ({QUERY: {"weight": [1.0]}}, "found a weight of type list"),
        ({QUERY: {"weight": torch.ones(2, 2, dtype=torch.int64)}}, "found int64, wanted float32"),
        ({QUERY: {"weight": torch.tensor([[torch.nan]])}}, "found 1 of 1 values NaN or infinite"),
        ({name + QUERY: {"weight": torch.ones(2, 2)} for name in PREFIXES[:2]}, "under two prefixes"),
        ({}, "found no tensors"),
        ([torch.ones(2)], "found a list"),
    ],
)
def test_other_structures_are_refused(tmp_path, content, words):
    path = tmp_path / "weights.pt"
    torch.save(content, path)
    refused(lambda: read_authors_weights(path), str(path), words, "wanted")


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_pickle_does_not_run(tmp_path, zipped):
    trap, path = tmp_path / "trap", tmp_path / "weights.pt"
    torch.save({QUERY: {"weight": Touch(trap)}}, path, _use_new_zipfile_serialization=zipped)
    refused(lambda: read_authors_weights(path), str(path), "nothing was run")
    assert not trap.exists()
    pickle.loads(pickle.dumps(Touch(trap)))
    assert trap.exists()  # the trap works


def test_what_is_no_whole_file_is_refused(tmp_path):
    whole, path = tmp_path / "whole.pt", tmp_path / "cut.pt"
    torch.save({QUERY: {"weight": torch.ones(40, 40)}}, whole)
    for content in (whole.read_bytes()[:60], whole.read_bytes()[:-3], b"hello"):
        path.write_bytes(content)
        refused(lambda: read_authors_weights(path), str(path), "found no whole file", "wanted")


def test_the_command_line_goes_both_ways_and_says_what_is_wrong_in_one_line(tmp_path, capsys):
    backbone = tiny_backbone()
    backbone.model.save_pretrained(tmp_path / "model")
    backbone.processor.save_pretrained(tmp_path / "model")
    ours, theirs, again = (str(tmp_path / name) for name in ("ours.safetensors", "theirs.pt", "again"))
    save(ours, changed(backbone), backbone)
    assert main(["export", ours, theirs]) == 0
    model = ["--backbone", str(tmp_path / "model"), "--dtype", "float32", "--concept", "church"]
    assert main(["import", theirs, again, *model]) == 0
    weights, facts = load_edited(again)
    assert same(weights, changed(backbone))
    assert facts.backbone.sha256 == backbone.fingerprint()
    capsys.readouterr()
    assert main(["export", str(tmp_path / "nothing"), theirs]) == 1
    assert capsys.readouterr().err == (
        f"error: {tmp_path / 'nothing'}: not found, wanted edited weights (ear-edited-weights/3, safetensors)\n"
    )


@pytest.fixture
def download(tmp_path):
    """An asset's folder: links to what was downloaded, and the record."""
    store, asset = tmp_path / "store", tmp_path / "assets" / "ear-weights"
    asset.mkdir(parents=True)
    backbone = tiny_backbone()
    middle = "ft_model_ear_nudity_d3_i286.pt", "ft_model_ear_nudity.pt", "ft_model_ear_nudity_d5_i576.pt"
    for name in ("weights/EAR_Church.pt", "weights/van_gogh/model.pth", *middle):
        (store / name).parent.mkdir(parents=True, exist_ok=True)
        write_authors_weights(store / name, changed(backbone))
    (store / "weights/church.png").write_bytes(b"\x89PNG of a church")
    (store / "README.md").write_text("church")
    for entry in store.iterdir():
        (asset / entry.name).symlink_to(entry)
    (asset / "asset.json").write_text("{}")
    return asset


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("*church*", "weights/EAR_Church.pt"),
        ("*VAN*gogh*", "weights/van_gogh/model.pth"),
        ("*nudity*", "ft_model_ear_nudity.pt"),  # the last weights, not those of the middle
    ],
)
def test_the_file_is_found_at_any_depth_and_in_any_case(download, pattern, name):
    assert find_weights(download, pattern) == download / name


def test_what_is_there_is_said_where_none_or_several_fit(download):
    (download / "ft_model_ear_nudity.pt").unlink()
    middle = "ft_model_ear_nudity_d3_i286.pt, ft_model_ear_nudity_d5_i576.pt"
    for pattern, found in (
        ("*fire*", f"none among {middle}, weights/EAR_Church.pt and 1 more"),
        ("*nudity*", f"2 files of torch.save that fit: {middle}"),
    ):
        words = f"{download}: pattern {pattern!r}: found {found}, wanted one that fits"
        refused(lambda pattern=pattern: find_weights(download, pattern), words)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_rendering_reads_what_was_imported_and_ties_it_to_the_backbone(download, tmp_path, dtype):
    backbone = tiny_backbone(dtype=dtype)
    wanted = {name: tensor.to(backbone.model.dtype) for name, tensor in changed(tiny_backbone()).items()}
    frozen = backbone.fingerprint()
    import_published(download, "*church*", backbone, 48, FACTS, tmp_path / "out")
    windows = read_windows(tmp_path / "out" / "windows.csv")
    assert (windows.own, list(windows.edited_weights)) == (48, [48])
    with windows.applied(backbone, 48):
        assert same(weights_of(backbone), wanted)
    assert backbone.fingerprint() == frozen
    row = read_csv(tmp_path / "out" / "windows.csv", WINDOW_COLUMNS).iloc[0]
    assert bool(row["own"]) and row[["threshold", "skipped_share"]].isna().all()
    facts = load_edited(tmp_path / "out/weights.safetensors")[1]
    assert (facts.method, facts.window, facts.fine_tuning_seed) == ("released", 48, None)
    assert facts.model_extra["imported_from"]["file"] == "EAR_Church.pt"
    other = tiny_backbone(seed=1, dtype=dtype)
    other.reference, before = "org/other", weights_of(other)
    prints = (f"{model.fingerprint()[:12]}" for model in (backbone, other))
    edited = tmp_path / "out/weights.safetensors"
    refused(lambda: load_edited_for(other, edited), str(edited), "edited from backbone", "org/other", *prints)
    assert same(weights_of(other), before)
