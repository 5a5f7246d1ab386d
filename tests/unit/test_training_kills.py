"""Fine-tuning goes on after SIGKILL at any moment and ends with the bytes of an undisturbed run."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ear.erasure.presets import VARIANTS, Threshold
from ear.erasure.run import erase
from ear.prompts.grammar import Grammar
from tests.kill import run_and_kill, run_to_the_end
from tests.tiny import tiny_backbone
from tests.unit.test_erasure import chosen, streams_of
from tests.unit.test_render_kills import hashes

TABLE = Grammar("church", "object", "church", seed=42).pairs(40)
PAIRS = list(TABLE[["pair_id", "unsafe_prompt", "safe_prompt"]].itertuples(index=False, name=None))


def train(
    begun: Callable[[], None], folder: Path, seconds_between_checkpoints: float = 0.0, mixed: bool = False
) -> None:
    """What the job does, on one thread: the tests share two cores."""
    torch.set_num_threads(1)
    backbone = tiny_backbone()
    threshold = Threshold(value=None, quantile=0.3, factor=1.0)
    choices = chosen(VARIANTS["ear"], threshold, window=3, passes=2, micro_batch=4)
    if mixed:
        choices = chosen(VARIANTS["ear-prefix"], window=3, passes=2, in_turn=True)
    streams = streams_of(backbone, choices, PAIRS)
    begun()
    erase(
        folder,
        backbone,
        PAIRS,
        streams,
        choices,
        [3, 9],
        seed=1,
        facts={"concept": "church", "method": "ear", "fine_tuning_seed": 0, "pairs_sha256": "0" * 64},
        sizes=[30, 10] if mixed else None,
        seconds_between_checkpoints=seconds_between_checkpoints,
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
    assert set(wanted) == {"adapter.safetensors", "windows/W9.safetensors", "training.csv", "windows.csv"}
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
    from ear.erasure.checkpoint import Checkpoint

    Checkpoint(tmp_path / "stale/.training-W3.safetensors", of={"window": 3}).save({}, done=80, records=[])
    (tmp_path / "stale/.training-W9.safetensors").write_bytes(b"cut off in the middle of")
    train(lambda: None, tmp_path / "stale")
    assert hashes(tmp_path / "stale") == hashes(tmp_path / "fresh")
