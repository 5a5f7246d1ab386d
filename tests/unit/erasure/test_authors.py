"""The authors' file of weights: exact both ways, found in a download, and nothing else is taken for it."""

import pickle
from collections import OrderedDict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ear.erasure.edited_weights import (
    WINDOW_COLUMNS,
    apply_edited,
    backbone_facts,
    load_edited,
    read_windows,
    save_edited,
)
from ear.erasure.release import (
    PREFIXES,
    find_weights,
    import_authors_weights,
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
    save_edited(folder / "ours", weights, frozen, JOB | TRAINING)
    loaded, _ = load_edited(folder / "ours")
    write_authors_weights(folder / "theirs.pt", loaded)
    save_edited(folder / "again", read_authors_weights(folder / "theirs.pt"), frozen, JOB | TRAINING)
    back = load_edited(folder / "again")[0]
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
        ({QUERY: torch.ones(2, 2)}, f"{QUERY}: found a Tensor"),
        ({QUERY: {"weight": [1.0]}}, f"{QUERY}: found a list"),
        (
            {QUERY: {"weight": torch.ones(2, 2, dtype=torch.int64)}},
            "found int64, wanted float32, float16 or bfloat16",
        ),
        (
            {name + QUERY: {"weight": torch.ones(2, 2)} for name in ("", "language_model.model.")},
            "under two prefixes",
        ),
        ({}, "found nothing in it"),
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
    assert pickle.loads(pickle.dumps(Touch(trap))) is None  # the trap works
    assert trap.exists()


def test_what_is_no_whole_file_is_refused(tmp_path):
    whole, path = tmp_path / "whole.pt", tmp_path / "cut.pt"
    torch.save({QUERY: {"weight": torch.ones(40, 40)}}, whole)
    for content in (whole.read_bytes()[:60], whole.read_bytes()[:-3], b"hello"):
        path.write_bytes(content)
        refused(lambda: read_authors_weights(path), str(path), "found no whole file", "wanted")
    refused(lambda: read_authors_weights(tmp_path / "nothing.pt"), "not found")


def test_an_import_is_tied_to_the_backbone(tmp_path):
    backbone = tiny_backbone()
    write_authors_weights(tmp_path / "weights.pt", changed(backbone))
    import_authors_weights(tmp_path / "weights.pt", backbone, FACTS | {"window": 48}, tmp_path / "edited")
    facts = load_edited(tmp_path / "edited")[1]
    assert (facts.method, facts.window, facts.threshold) == ("released", 48, None)
    assert facts.backbone == backbone_facts(backbone)
    assert facts.model_extra["imported_from"]["file"] == "weights.pt"
    refused(lambda: apply_edited(tiny_backbone(seed=1), tmp_path / "edited"), "made from backbone")
    wanted = changed(backbone)
    apply_edited(backbone, tmp_path / "edited")
    assert same(weights_of(backbone), wanted)


def test_an_import_that_does_not_fit_is_refused(tmp_path):
    backbone = tiny_backbone()
    path, out = tmp_path / "weights.pt", tmp_path / "edited"
    for weights, words in [
        ({"layers.7.self_attn.q_proj": torch.ones(32, 32)}, "found module 'layers.7"),
        ({QUERY: torch.ones(16, 32)}, "found shape (16, 32), wanted (32, 32)"),
    ]:
        write_authors_weights(path, weights)
        refused(lambda: import_authors_weights(path, backbone, FACTS, out), words)
        assert not out.exists()


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
    weights, facts = load_edited(again)
    assert same(weights, changed(backbone))
    assert facts.backbone.sha256 == backbone.fingerprint()


def test_bad_input_on_the_command_line_is_one_line(tmp_path, capsys):
    assert main(["export", str(tmp_path / "nothing"), str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err == (
        f"error: {tmp_path / 'nothing'}: not found, wanted edited weights (ear-edited-weights/3, safetensors)\n"
    )


@pytest.fixture
def download(tmp_path):
    """An asset's folder: links to what was downloaded, and the record."""
    store, asset = tmp_path / "store", tmp_path / "assets" / "ear-weights"
    asset.mkdir(parents=True)
    backbone = tiny_backbone()
    for name in ("weights/EAR_Church.pt", "weights/van_gogh/model.pt", "nudity.pth"):
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
        ("*VAN*gogh*", "weights/van_gogh/model.pt"),
        ("nudity.*", "nudity.pth"),
        ("weights/[e]*.pt", "weights/EAR_Church.pt"),
    ],
)
def test_the_file_is_found_at_any_depth_and_in_any_case(download, pattern, name):
    assert find_weights(download, pattern) == download / name


def test_what_is_there_is_said_where_none_or_several_fit(download, tmp_path):
    every = "weights/EAR_Church.pt, weights/van_gogh/model.pt, wanted one that fits"
    for pattern, found in (
        ("*fire*", "none among nudity.pth, "),
        ("weights/*", "2 files of torch.save that fit: "),
    ):
        words = f"{download}: pattern {pattern!r}: found {found}{every}"
        refused(lambda pattern=pattern: find_weights(download, pattern), words)
    many = tmp_path / "many"
    many.mkdir()
    for number in range(20):
        torch.save({}, many / f"{number:02}.pt")
    refused(lambda: find_weights(many, "church"), "06.pt, 07.pt and 12 more, wanted one that fits")


def test_the_last_weights_are_taken_and_not_those_of_the_middle(tmp_path):
    names = [f"ft_model_ear_van_gogh{end}.pt" for end in ("_d3_i286", "_d5_i286", "_d5_i576", "")]
    for name in names:
        torch.save({}, tmp_path / name)
    assert find_weights(tmp_path, "*van*gogh*") == tmp_path / names[-1]
    (tmp_path / names[-1]).unlink()
    refused(lambda: find_weights(tmp_path, "*van*gogh*"), "found 3 files of torch.save that fit")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_rendering_reads_what_was_imported(download, tmp_path, dtype):
    backbone = tiny_backbone(dtype=dtype)
    wanted = {name: tensor.to(backbone.model.dtype) for name, tensor in changed(tiny_backbone()).items()}
    frozen = backbone.fingerprint()
    import_published(download, "*church*", backbone, 48, FACTS, tmp_path / "out")
    windows = read_windows(tmp_path / "out" / "windows.csv")
    assert (windows.own, list(windows.edited_weights)) == (48, [48])
    with windows.applied(backbone, 48):
        applied = weights_of(backbone)
        assert all(torch.equal(applied[name], tensor) for name, tensor in wanted.items())
    assert backbone.fingerprint() == frozen
    row = read_csv(tmp_path / "out" / "windows.csv", WINDOW_COLUMNS).iloc[0]
    assert bool(row["own"]) and row[["threshold", "skipped_share"]].isna().all()
    facts = load_edited(tmp_path / "out/weights.safetensors")[1]
    assert (facts.window, facts.fine_tuning_seed) == (48, None)
    assert facts.model_extra["imported_from"]["file"] == "EAR_Church.pt"
