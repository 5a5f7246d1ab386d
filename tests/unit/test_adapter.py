"""Adapters: what is saved comes back, and what does not belong is refused in one line."""

import pytest
import torch

from ear.erasure.adapter import apply_adapter, load_adapter, put_weights, save_adapter
from ear.erasure.presets import VARIANTS
from ear.erasure.run import WINDOW_COLUMNS, erase, read_windows
from ear.erasure.streams import load_streams, sample_streams, save_streams
from ear.erasure.trainer import trained_modules
from ear.errors import InputError
from ear.files import read_csv
from ear.janus import Backbone
from tests.tiny import tiny_backbone

PAIRS = [
    ("a", "a photo of a church on a hill at night", "a photo of a red house on a hill at night"),
    ("b", "there is a church in the snow", "there is a car in the snow"),
]


def weights_of(backbone):
    return {name: module.weight.detach().clone() for name, module in trained_modules(backbone, 2).items()}


@pytest.fixture
def saved(tmp_path):
    """A backbone and an adapter for it."""
    backbone = tiny_backbone()
    replaced = weights_of(backbone)
    changed = {name: weight + 1 for name, weight in replaced.items()}
    save_adapter(tmp_path / "adapter.safetensors", changed, replaced, {"concept": "church"})
    return backbone, changed, tmp_path / "adapter.safetensors"


def test_weights_and_facts_come_back(saved):
    _, changed, path = saved
    weights, facts = load_adapter(path)
    assert weights.keys() == changed.keys()
    assert all(torch.equal(weights[name], changed[name]) for name in changed)
    assert facts["concept"] == "church"


def test_applying_and_going_back(saved):
    backbone, changed, path = saved
    before = weights_of(backbone)
    replaced = apply_adapter(backbone, path)
    assert all(torch.equal(weight, changed[name]) for name, weight in weights_of(backbone).items())
    put_weights(backbone, replaced)
    assert all(torch.equal(weight, before[name]) for name, weight in weights_of(backbone).items())


def test_another_backbone_is_refused_and_left_alone(saved):
    other = tiny_backbone(seed=1)
    before = weights_of(other)
    with pytest.raises(
        InputError, match=r"adapter\.safetensors: made from backbone \w{12}, found backbone \w{12}"
    ):
        apply_adapter(other, saved[2])
    with pytest.raises(InputError, match="not in the backbone"):
        apply_adapter(tiny_backbone(layers=1), saved[2])
    assert all(torch.equal(weight, before[name]) for name, weight in weights_of(other).items())


def test_what_is_no_adapter_is_refused(saved, tmp_path):
    whole = saved[2].read_bytes()
    (tmp_path / "cut").write_bytes(whole[:-10])
    (tmp_path / "text").write_text("not weights")
    save_streams(tmp_path / "streams", {"unsafe": torch.zeros(1, 1)}, ["a"])
    for name, words in [
        ("cut", "not a whole safetensors file"),
        ("text", "not a whole safetensors file"),
        ("streams", "found format None"),
        ("nothing", "not found"),
    ]:
        with pytest.raises(InputError, match=words) as caught:
            load_adapter(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_streams_of_other_pairs_are_refused(tmp_path):
    save_streams(tmp_path / "streams", {"unsafe": torch.arange(6).view(2, 3)}, ["a", "b"])
    assert load_streams(tmp_path / "streams", ["a", "b"])["unsafe"].tolist() == [[0, 1, 2], [3, 4, 5]]
    for pair_ids in (["b", "a"], ["a"], ["a", "c"]):
        with pytest.raises(InputError, match="streams"):
            load_streams(tmp_path / "streams", pair_ids)


def erased(folder, backbone, windows=(3, 9), own=3):
    streams = sample_streams(
        backbone, PAIRS, "aligned", "chat", 7, guidance=2.0, temperature=1.0, batch_size=4
    )
    erase(
        folder,
        backbone,
        PAIRS,
        streams,
        VARIANTS["ear"],
        own_window=own,
        windows=windows,
        layers=2,
        eta=1.0,
        learning_rate=1e-3,
        threshold={"value": None, "quantile": 0.3, "factor": 1.0},
        seed=5,
        facts={"concept": "church"},
    )


def test_one_job_saves_every_window_and_leaves_the_backbone_alone(tmp_path):
    backbone = tiny_backbone()
    before = weights_of(backbone)
    erased(tmp_path / "first", backbone)
    assert all(torch.equal(weight, before[name]) for name, weight in weights_of(backbone).items())
    windows = read_windows(tmp_path / "first/windows.csv")
    assert windows.own == 3
    assert windows.adapters[3].name == "adapter.safetensors"
    assert windows.adapters.keys() == {3, 9}
    for window in (3, 9):
        with windows.applied(backbone, window):
            assert not torch.equal(
                weights_of(backbone)["layers.0.self_attn.v_proj"], before["layers.0.self_attn.v_proj"]
            )
    assert all(torch.equal(weight, before[name]) for name, weight in weights_of(backbone).items())


def test_a_window_does_not_depend_on_the_others_and_a_run_repeats_itself(tmp_path):
    erased(tmp_path / "both", tiny_backbone())
    erased(tmp_path / "one", tiny_backbone(), windows=(3,))
    read = [
        read_csv(tmp_path / name / "windows.csv", WINDOW_COLUMNS).set_index("window")
        for name in ("both", "one")
    ]
    assert read[0].loc[3, "sha256"] == read[1].loc[3, "sha256"]


def test_an_exchanged_adapter_is_found(tmp_path):
    erased(tmp_path, tiny_backbone())
    (tmp_path / "adapter.safetensors").write_bytes((tmp_path / "windows/W9.safetensors").read_bytes())
    with pytest.raises(InputError, match=r"adapter\.safetensors: found \w{12}, wanted the adapter \w{12}"):
        read_windows(tmp_path / "windows.csv")


def test_the_original_model_has_no_adapter():
    backbone = tiny_backbone()
    before = weights_of(backbone)
    windows = read_windows(None)
    with windows.applied(backbone, windows.own):
        assert all(torch.equal(weight, before[name]) for name, weight in weights_of(backbone).items())


def test_a_folder_without_a_model_is_one_line(tmp_path):
    with pytest.raises(InputError, match="wanted a folder or hub id of a transformers Janus model") as caught:
        Backbone.load(str(tmp_path), "float32", "cpu")
    assert "\n" not in str(caught.value)
