"""Edited weights: what is saved comes back, and what does not belong is refused in one line."""

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from ear.erasure.edited_weights import (
    FORMAT,
    backbone_facts,
    edited,
    load_edited,
    load_edited_for,
    read_windows,
    save_edited,
    trained_modules,
)
from ear.erasure.run import erase
from ear.erasure.sequences import load_sequences, made_from, save_sequences
from ear.erasure.variants import VARIANTS, Threshold
from ear.errors import InputError
from tests.tiny import tiny_backbone
from tests.unit.erasure.test_erasure import chosen, sequences_of

PAIRS = [
    ("a", "a photo of a church on a hill at night", "a photo of a red house on a hill at night"),
    ("b", "there is a church in the snow", "there is a car in the snow"),
]
JOB = {"concept": "church", "method": "ear", "fine_tuning_seed": 0, "pairs_sha256": "0" * 64}
TRAINING = {"settings": {"layers": 2}, "window": 3, "threshold": None, "versions": {"torch": "2"}}
QUERY = "layers.0.self_attn.q_proj"


class Touch:
    """An object whose unpickling creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def weights_of(backbone):
    return {name: module.weight.detach().clone() for name, module in trained_modules(backbone, 2).items()}


def changed(backbone):
    return {name: weight + 1 for name, weight in weights_of(backbone).items()}


def save(path, weights, backbone, **metadata):
    save_edited(path, weights, backbone_facts(backbone).model_dump(), {**JOB, **TRAINING, **metadata})
    return path


def same(weights, others):
    return weights.keys() == others.keys() and all(
        torch.equal(weights[name], others[name]) for name in weights
    )


def refused(call, *words):
    """The call ends with one line that holds the words."""
    with pytest.raises(InputError) as caught:
        call()
    line = str(caught.value)
    assert "\n" not in line
    assert all(word in line for word in words), line


@pytest.fixture
def saved(tmp_path):
    """A backbone and a set of edited weights for it."""
    backbone = tiny_backbone()
    return backbone, save(tmp_path / "weights.safetensors", changed(backbone), backbone)


def rewritten(path, change):
    """The file's copy with changed metadata, a text."""
    with safe_open(path, framework="pt") as handle:
        tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
        text = handle.metadata()["ear"]
    copy = path.with_name("rewritten.safetensors")
    save_file(tensors, copy, metadata={"ear": change(text)})
    return copy


def test_weights_and_facts_come_back(tmp_path):
    backbone = tiny_backbone()
    backbone.reference, backbone.revision = "org/janus", "abc"
    path = save(tmp_path / "edited", changed(backbone), backbone, threshold=0.5, note={"more": [1]})
    weights, facts = load_edited(path)
    assert same(weights, changed(backbone))
    given = JOB | TRAINING | {"format": FORMAT, "threshold": 0.5, "note": {"more": [1]}}
    frozen = {"reference": "org/janus", "revision": "abc", "sha256": backbone.fingerprint()}
    assert facts.model_dump() == given | {"backbone": frozen}


def test_the_same_training_gives_the_same_bytes_wherever_the_backbone_lies(tmp_path):
    files = []
    for number, folder in enumerate(("/home/one/model", "/scratch/two/model")):
        backbone = tiny_backbone()
        backbone.reference = folder
        files.append(save(tmp_path / f"{number}", changed(backbone), backbone).read_bytes())
    assert files[0] == files[1]
    assert b"scratch" not in files[1]


def test_applying_and_going_back(saved):
    backbone, path = saved
    wanted, frozen = changed(backbone), backbone.fingerprint()
    with edited(backbone, load_edited_for(backbone, path)[0]):
        assert same(weights_of(backbone), wanted)
    assert backbone.fingerprint() == frozen


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: {"layers.9.self_attn.q_proj": w[QUERY]}, ["found module 'layers.9.self_attn.q_proj'"]),
        (lambda w: {QUERY: w[QUERY][:8]}, [QUERY, "found shape (8, 32), wanted (32, 32)"]),
        (lambda w: {QUERY: w[QUERY].double()}, [QUERY, "found dtype torch.float64, wanted torch.float32"]),
    ],
    ids=["unknown", "shape", "dtype"],
)
def test_weights_that_do_not_fit_are_refused_before_any_is_touched(tmp_path, change, words):
    backbone = tiny_backbone()
    before = weights_of(backbone)
    first = {"layers.0.self_attn.k_proj": changed(backbone)["layers.0.self_attn.k_proj"]}
    path = save(tmp_path / "edited", first | change(changed(backbone)), backbone)
    refused(lambda: load_edited_for(backbone, path), str(path), *words)
    assert same(weights_of(backbone), before)


def test_values_that_are_not_finite_are_neither_written_nor_applied(tmp_path):
    backbone = tiny_backbone()
    before, broken = weights_of(backbone), changed(backbone)
    broken[QUERY][0, :2] = torch.tensor([float("nan"), float("inf")])
    words = (QUERY, "found 2 of 1024 values NaN or infinite")
    refused(lambda: save(tmp_path / "edited", broken, backbone), *words)
    assert not (tmp_path / "edited").exists()
    path = save(tmp_path / "edited", changed(backbone), backbone)
    with safe_open(path, framework="pt") as handle:
        metadata = handle.metadata()
    save_file({f"{name}.weight": tensor for name, tensor in broken.items()}, path, metadata=metadata)
    refused(lambda: load_edited_for(backbone, path), str(path), *words)
    assert same(weights_of(backbone), before)


def test_what_is_no_whole_safetensors_file_is_refused(saved, tmp_path):
    path, whole = tmp_path / "cut", saved[1].read_bytes()
    for content in (whole[:4], whole[:200], whole[:-1]):
        path.write_bytes(content)
        refused(lambda: load_edited(path), str(path), "no whole safetensors file", FORMAT)


def test_a_pickle_is_refused_and_its_code_does_not_run(tmp_path):
    trap = tmp_path / "trap"
    torch.save({QUERY: Touch(trap)}, tmp_path / "edited")
    refused(
        lambda: load_edited(tmp_path / "edited"),
        str(tmp_path / "edited"),
        "found no whole safetensors file",
        FORMAT,
    )
    assert not trap.exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text[:-5], ["not JSON"]),
        (lambda text: text.replace(FORMAT, "ear-adapter/2"), ["'ear-adapter/2'", f"'{FORMAT}'"]),
        (lambda text: text.replace('"sha256"', '"sha"'), ["backbone.sha256: found nothing"]),
    ],
    ids=["no JSON", "format", "no fingerprint"],
)
def test_wrong_metadata_are_refused(saved, change, words):
    path = rewritten(saved[1], change)
    refused(lambda: load_edited(path), str(path), "metadata", *words)


def test_tensors_of_something_else_are_refused(saved, tmp_path):
    save_sequences(tmp_path / "sequences", {"unsafe": torch.zeros(1, 1)}, "source")
    refused(lambda: load_edited(tmp_path / "sequences"), "found no metadata 'ear'")
    with safe_open(saved[1], framework="pt") as handle:
        metadata = handle.metadata()
    for tensors, words in (({"bias": torch.zeros(1)}, "found tensor 'bias'"), ({}, "found no tensors")):
        save_file(tensors, tmp_path / "other", metadata=metadata)
        refused(lambda: load_edited(tmp_path / "other"), words, "wanted weights named <module>.weight")


def test_sequences_of_another_source_are_refused(tmp_path):
    backbone = tiny_backbone()
    source, path, tokens = made_from(backbone, PAIRS), tmp_path / "sequences", torch.arange(6).view(2, 3)
    save_sequences(path, {"unsafe": tokens}, source)
    assert torch.equal(load_sequences(path, source, "aligned")["unsafe"], tokens)
    for other in (made_from(backbone, PAIRS[::-1]), made_from(tiny_backbone(seed=1), PAIRS)):
        refused(lambda other=other: load_sequences(path, other, "aligned"), "sequences", other[:12])
    refused(lambda: load_sequences(path, source, "mixed"), "found sequences unsafe, wanted unsafe, safe")


def erased(folder, backbone, windows=(3, 9)):
    settings = chosen(VARIANTS["ear"], Threshold(value=None, quantile=0.3, factor=1.0), window=3)
    sequences = sequences_of(backbone, settings, PAIRS)
    erase(folder, backbone, PAIRS, sequences, settings, windows, seed=5, facts=JOB)


def test_one_job_saves_every_window_and_leaves_the_backbone_alone(tmp_path):
    backbone = tiny_backbone()
    before, frozen = weights_of(backbone), backbone.fingerprint()
    erased(tmp_path / "first", backbone)
    assert same(weights_of(backbone), before)
    windows = read_windows(tmp_path / "first/windows.csv")
    assert windows.own == 3
    assert windows.edited_weights[3].name == "weights.safetensors"
    assert windows.edited_weights.keys() == {3, 9}
    erased(tmp_path / "one", tiny_backbone(), windows=(3,))  # no window depends on another
    alone = read_windows(tmp_path / "one/windows.csv").edited_weights[3]
    assert alone.read_bytes() == windows.edited_weights[3].read_bytes()
    for window in (3, 9):
        facts = load_edited(windows.edited_weights[window])[1]
        assert (facts.window, facts.backbone.sha256) == (window, frozen)
        with windows.applied(backbone, window):
            assert not torch.equal(weights_of(backbone)[QUERY], before[QUERY])
    with read_windows(None).applied(backbone, 0):  # the original model
        assert same(weights_of(backbone), before)


def test_exchanged_weights_are_found(tmp_path):
    erased(tmp_path, tiny_backbone())
    (tmp_path / "weights.safetensors").write_bytes((tmp_path / "windows/W9.safetensors").read_bytes())
    with pytest.raises(
        InputError, match=r"weights\.safetensors: found \w{12}, wanted the edited weights \w{12}"
    ):
        read_windows(tmp_path / "windows.csv")
