"""Rendering goes on after SIGKILL at any moment and ends with the bytes of an undisturbed run."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch

from ear.images.batching import BatchSize
from ear.images.rendering import render_prompts
from ear.images.sampling import Guidance, sample_prompts
from ear.images.tokens import SavedTokens
from ear.workflow.files import sha256_file, write_csv
from tests.kill import kill_at_random, run_to_the_end
from tests.tiny import tiny_backbone
from tests.unit.images.test_decoding import TEXTS

pytestmark = pytest.mark.slow

PLAIN = Guidance(1.5)
PROMPTS = pd.DataFrame(
    {
        "prompt_id": [f"church/target/{number:04d}" for number in range(len(TEXTS))],
        "prompt_set": "target",
        "prompt": TEXTS,
        "object": "church",
        "window": 0,
    }
)


def draw(begun: Callable[[], None], folder: Path) -> None:
    """What the job does, on one thread: the tests share two cores."""
    torch.set_num_threads(1)
    backbone = tiny_backbone(grid=5)
    list(backbone.pixels(sample_prompts(backbone, TEXTS[:2], [0, 1], "chat", PLAIN, 1.0)))  # late imports
    begun()
    saved = SavedTokens(folder.parent / "tokens.safetensors", backbone, PLAIN, 1.0)
    rows = render_prompts(
        backbone,
        PROMPTS,
        folder,
        experiment_seed=5,
        guidance=PLAIN,
        temperature=1.0,
        batch_size=BatchSize(8),
        desc="test",
        saved=saved,
    )
    saved.finish(zip(rows["prompt"], rows["seed"], strict=True))
    write_csv(folder / "manifest.csv", rows)


def hashes(folder: Path) -> dict[str, str]:
    """Of every file below, hidden ones too: what is half-written would show."""
    return {str(path.relative_to(folder)): sha256_file(path) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.soak)])
def test_killed_rendering_ends_with_the_same_bytes(tmp_path, kills):
    whole, killed = ([tmp_path / name / "shard0"] for name in ("undisturbed", "killed"))
    landed = kill_at_random(draw, killed, kills, seconds=run_to_the_end(draw, whole))
    drawn = len(list(killed[0].glob("*.png")))
    assert landed >= kills // 2 and 0 < drawn < len(PROMPTS)
    run_to_the_end(draw, killed)
    wanted = hashes(tmp_path / "undisturbed")
    assert len(wanted) == len(PROMPTS) + 4  # the manifest, a note of what it was made from, the tokens twice
    assert hashes(tmp_path / "killed") == wanted
