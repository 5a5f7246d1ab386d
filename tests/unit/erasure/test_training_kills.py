"""Fine-tuning goes on after SIGKILL at any moment and ends with the bytes of an undisturbed run."""

import logging
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from ear.erasure.run import erase
from ear.erasure.sequences import pairs_of
from ear.erasure.trainer import Checkpoint, Trainer
from ear.erasure.variants import VARIANTS, Lora, Threshold
from ear.workflow.jobs import TAKEN_OVER
from ear.world.grammar import Grammar
from tests.kill import kill_at_random, run_to_the_end
from tests.tiny import tiny_backbone
from tests.tiny_emu3 import tiny_emu3
from tests.unit.erasure.test_erasure import chosen, sequences_of
from tests.unit.images.test_render_kills import hashes

pytestmark = pytest.mark.slow

PAIRS = pairs_of(Grammar("church", "object", "church", seed=42).pairs(40), "anchored", ["church"], ["barn"])
SMALL = partial(tiny_backbone, layers=2)
LORA = {"lora": Lora(2, 4.0), "optimiser": "adamw"}
PUBLISHED = ("weights.safetensors", "training.csv", "windows.csv")


def train(begun, folder, pairs=4, first=0, mixed=False, windows=(3, 9), eta=1.0, code="", of=SMALL, **more):
    """What the job does, on one thread, with a checkpoint after each pair: the tests share two cores."""
    torch.set_num_threads(1)
    backbone, own = of(), {"window": windows[0], "passes": 2}
    overrides = chosen(VARIANTS["ear"], Threshold(None, 0.3, 1.0), micro_batch=4, **own)
    if mixed:
        overrides = chosen(VARIANTS["prefix-redirect"], sequential=True, **own)
    overrides, table = replace(overrides, eta=eta, **more), PAIRS[first : first + pairs]
    sequences = sequences_of(backbone, overrides, table)
    facts = {"concept": "church", "method": "ear", "fine_tuning_seed": 0, "pairs_sha256": "0" * 64}
    sizes = [pairs - 1, 1] if mixed else None
    begun()
    erase(
        folder, backbone, table, sequences, overrides, windows, 1, facts, sizes, 0.0, made_by={"code": code}
    )


def job(folder, **changes):
    """As Snakemake runs it: what it promises is removed before it starts."""
    for name in PUBLISHED:
        (folder / name).unlink(missing_ok=True)
    train(lambda: None, folder, **changes)


def shown(folder):
    return {name: digest for name, digest in hashes(folder).items() if not name.startswith(".")}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A finished job, not to be changed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    job(folder)
    return folder


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.soak)])
def test_killed_training_ends_with_the_same_bytes(tmp_path, kills):
    whole, killed = ((tmp_path / name, 24) for name in ("undisturbed", "killed"))
    landed = kill_at_random(train, killed, kills, seconds=run_to_the_end(train, whole))
    assert landed >= kills // 2
    assert list(killed[0].glob(".training-W*")), "no kill left a checkpoint to go on from"
    run_to_the_end(train, killed)
    files = {"weights.safetensors", "windows/W9.safetensors", "training.csv", "windows.csv"}
    hidden = {f".W{window}.{kind}" for window in (3, 9) for kind in ("safetensors", "json")}
    assert set(hashes(whole[0])) == files | hidden
    assert hashes(killed[0]) == hashes(whole[0])


@pytest.mark.parametrize("changes", [{}, {"mixed": True}, {"of": tiny_emu3, "windows": (4, 12)}, LORA])
def test_a_checkpoint_is_taken_up_and_saves_the_work(tmp_path, monkeypatch, caplog, changes):
    """Stopped in the middle, the second run trains on the rest alone."""
    steps, most = [], [10**6]
    step = torch.optim.Adam.step

    def counted(self, *args, **kwargs):
        if len(steps) >= most[0]:
            raise KeyboardInterrupt
        steps.append(1)
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.Adam, "step", counted)
    job(tmp_path / "undisturbed", **changes)
    whole = len(steps)
    steps.clear()
    most[0] = 12
    with pytest.raises(KeyboardInterrupt):
        job(tmp_path / "stopped", **changes)
    steps.clear()
    most[0] = 10**6
    with caplog.at_level(logging.INFO):
        job(tmp_path / "stopped", **changes)
    assert TAKEN_OVER in caplog.text
    assert whole - 12 <= len(steps) <= whole - 12 + 3  # less than one pair is done again
    assert hashes(tmp_path / "stopped") == hashes(tmp_path / "undisturbed")


def test_a_checkpoint_of_other_settings_is_not_taken_up(undisturbed, tmp_path):
    Checkpoint(tmp_path / ".training-W3.pt", of={"window": 3}).save({"done": 8, "records": []})
    (tmp_path / ".training-W9.pt").write_bytes(b"cut off in the middle of")
    job(tmp_path)
    assert hashes(tmp_path) == hashes(undisturbed)


@pytest.fixture
def trained(monkeypatch):
    """Window lengths that are trained, one after the other."""
    found: list[int] = []
    run = Trainer.run

    def counted(self, window, *args, **kwargs):
        found.append(window)
        return run(self, window, *args, **kwargs)

    monkeypatch.setattr(Trainer, "run", counted)
    return found


def test_a_window_less_trains_nothing_and_a_window_more_itself_alone(undisturbed, tmp_path: Path, trained):
    """And all ends with the bytes of a job that was asked for these windows at once."""
    job(tmp_path, windows=[3])
    alone = shown(tmp_path)
    job(tmp_path)
    assert trained == [3, 9] and shown(tmp_path) == shown(undisturbed)
    job(tmp_path, windows=[3])
    assert trained == [3, 9] and shown(tmp_path) == alone


def test_what_was_made_from_anything_else_or_is_damaged_is_trained_anew(
    undisturbed, tmp_path, monkeypatch, trained
):
    job(tmp_path)
    for change in ({"eta": 0.5}, {"code": "edited"}, {"first": 1}, {}):
        trained.clear()
        job(tmp_path, **change)
        assert trained == [3, 9]
    with (tmp_path / "windows/W9.safetensors").open("r+b") as file:  # the kept one is the same file
        file.seek(-5, 2)
        file.write(b"x")
    (tmp_path / ".W3.json").write_text("{")

    def refused(*_):
        raise OSError("no links here")

    monkeypatch.setattr("os.link", refused)
    trained.clear()
    job(tmp_path)
    assert trained == [3, 9] and shown(tmp_path) == shown(undisturbed)
