"""Fine-tuning goes on after SIGKILL at any moment and ends with the bytes of an undisturbed run."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ear.erasure.run import erase
from ear.erasure.sequences import Pair
from ear.erasure.trainer import Checkpoint, Trainer
from ear.erasure.variants import VARIANTS, Threshold
from ear.world.grammar import Grammar
from tests.kill import run_and_kill, run_to_the_end
from tests.tiny import tiny_backbone
from tests.unit.erasure.test_erasure import chosen, streams_of
from tests.unit.images.test_render_kills import hashes

pytestmark = pytest.mark.slow

TABLE = Grammar("church", "object", "church", seed=42).pairs(40)
PAIRS = list(TABLE[["pair_id", "unsafe_prompt", "safe_prompt"]].itertuples(index=False, name=None))


def train(
    begun: Callable[[], None],
    folder: Path,
    seconds_between_checkpoints: float = 0.0,
    mixed: bool = False,
    windows: Sequence[int] = (3, 9),
    eta: float = 1.0,
    code: str = "",
    pairs: Sequence[Pair] = PAIRS,
) -> None:
    """What the job does, on one thread: the tests share two cores."""
    torch.set_num_threads(1)
    backbone = tiny_backbone()
    threshold = Threshold(value=None, quantile=0.3, factor=1.0)
    choices = chosen(VARIANTS["ear"], threshold, window=3, passes=2, micro_batch=4)
    if mixed:
        choices = chosen(VARIANTS["ear-prefix"], window=3, passes=2, in_turn=True)
    choices = replace(choices, eta=eta)
    streams = streams_of(backbone, choices, pairs)
    begun()
    erase(
        folder,
        backbone,
        pairs,
        streams,
        choices,
        windows,
        seed=1,
        facts={"concept": "church", "method": "ear", "fine_tuning_seed": 0, "pairs_sha256": "0" * 64},
        sizes=[30, 10] if mixed else None,
        seconds_between_checkpoints=seconds_between_checkpoints,
        made_by={"code": code},
    )


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.soak)])
def test_killed_training_ends_with_the_same_bytes(tmp_path, kills):
    seconds = run_to_the_end(train, [tmp_path / "undisturbed"])
    random_moments = random.Random(kills)
    delays = [random_moments.uniform(0.02, 1.6 * seconds / kills) for _ in range(kills)]
    landed = run_and_kill(train, [tmp_path / "killed"], delays)
    assert landed >= kills // 2
    assert list((tmp_path / "killed").glob(".training-W*")), "no kill left a checkpoint to go on from"
    run_to_the_end(train, [tmp_path / "killed"])
    wanted = hashes(tmp_path / "undisturbed")
    files = {"adapter.safetensors", "windows/W9.safetensors", "training.csv", "windows.csv"}
    assert set(wanted) == files | {
        f".W{window}.{kind}" for window in (3, 9) for kind in ("safetensors", "json")
    }
    assert hashes(tmp_path / "killed") == wanted


@pytest.mark.parametrize("mixed", [False, True])
def test_a_checkpoint_is_taken_up_and_saves_the_work(tmp_path, monkeypatch, mixed):
    """Stopped in the middle, the second run trains on the rest alone."""
    steps = []
    step = torch.optim.Adam.step

    def counted(self, *args, **kwargs):
        steps.append(1)
        return step(self, *args, **kwargs)

    def interrupted(self, *args, **kwargs):
        if len(steps) >= 100:
            raise KeyboardInterrupt
        return counted(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.Adam, "step", counted)
    train(lambda: None, tmp_path / "undisturbed", mixed=mixed)
    whole = len(steps)
    steps.clear()
    monkeypatch.setattr(torch.optim.Adam, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(lambda: None, tmp_path / "stopped", mixed=mixed)
    steps.clear()
    monkeypatch.setattr(torch.optim.Adam, "step", counted)
    train(lambda: None, tmp_path / "stopped", mixed=mixed)
    assert whole - 100 <= len(steps) < whole - 90  # less than one pair is done again
    assert hashes(tmp_path / "stopped") == hashes(tmp_path / "undisturbed")


def test_a_checkpoint_of_other_settings_is_not_taken_up(tmp_path):
    train(lambda: None, tmp_path / "fresh")
    (tmp_path / "stale").mkdir()
    Checkpoint(tmp_path / "stale/.training-W3.safetensors", of={"window": 3}).save({}, done=80, records=[])
    (tmp_path / "stale/.training-W9.safetensors").write_bytes(b"cut off in the middle of")
    train(lambda: None, tmp_path / "stale")
    assert hashes(tmp_path / "stale") == hashes(tmp_path / "fresh")


PUBLISHED = ("adapter.safetensors", "training.csv", "windows.csv")


def job(folder, **changes):
    """A small job, as Snakemake runs it: what it promises is removed before it starts."""
    for name in PUBLISHED:
        (folder / name).unlink(missing_ok=True)
    train(lambda: None, folder, **{"pairs": PAIRS[:3]} | changes)


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


def shown(folder):
    return {name: digest for name, digest in hashes(folder).items() if not name.startswith(".")}


def test_a_window_less_trains_nothing_and_a_window_more_itself_alone(tmp_path, trained):
    """And all ends with the bytes of a job that was asked for these windows at once."""
    one, both = tmp_path / "one", tmp_path / "both"
    job(one, windows=[3])
    job(both)
    wanted, alone = shown(both), shown(one)
    trained.clear()
    job(both, windows=[3])
    assert trained == [] and shown(both) == alone
    job(both)
    assert trained == [] and shown(both) == wanted
    job(one)
    assert trained == [9] and shown(one) == wanted


def test_what_was_made_from_anything_else_or_is_damaged_is_trained_anew(tmp_path, monkeypatch, trained):
    folder = tmp_path / "job"
    job(folder)
    before = shown(folder)
    for change in ({"eta": 0.5}, {"code": "edited"}, {"pairs": PAIRS[1:4]}, {}):
        trained.clear()
        job(folder, **change)
        assert trained == [3, 9]
    with (folder / "windows/W9.safetensors").open("r+b") as file:  # the kept one is the same file
        file.seek(-5, 2)
        file.write(b"x")
    (folder / ".W3.json").write_text("{")
    trained.clear()
    job(folder)
    assert trained == [3, 9] and shown(folder) == before
    (folder / ".W9.json").unlink()

    def refused(*_):
        raise OSError("no links here")

    monkeypatch.setattr("os.link", refused)
    trained.clear()
    job(folder)
    assert trained == [9] and shown(folder) == before
