"""Each kind of work begins with as much at once as the device has memory for, and its results stay the same."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from ear.erasure import contexts as reading
from ear.erasure import trainer
from ear.erasure.trainer import Trainer
from ear.erasure.variants import VARIANTS
from ear.evaluation.attacks import inversion, search
from ear.evaluation.attacks import relearning_set as relearning
from ear.evaluation.attacks.relearning_set import relearn
from ear.images import captions as captioning
from ear.images.captions import caption_images, yes_scores
from tests.tiny import tiny_backbone
from tests.unit.erasure.test_erasure import PAIRS, chosen, sequences_of
from tests.unit.evaluation.test_attacks import NAMES, SAFE, SAFE_IMAGES, rendering_attacked, targets
from tests.unit.models.test_memory import FREE, JANUS_7B


@pytest.fixture
def halved(monkeypatch):
    """Half of what the config asks for fits; gives what was asked for, with its need at the size of 7B."""
    asked = []

    def fitting(backbone, wanted, need):
        assert 0 < need(JANUS_7B, 1) < need(JANUS_7B, max(wanted, 2))
        asked.append((wanted, need(JANUS_7B, 1)))
        return max(1, wanted // 2)

    for module in (captioning, inversion, reading, relearning, search, trainer):
        monkeypatch.setattr(module, "fitting", fitting)
    return asked


def trained(settings, size=None, on_gpu=False):
    backbone = tiny_backbone(dtype="float64")
    made = Trainer(backbone, PAIRS, sequences_of(backbone, settings), settings, seed=1)
    assert size in (None, made.reader.micro_batch.size)
    made.halves |= on_gpu
    made.run(9, desc="test")
    return list(made.weights().values())


def test_training(halved, monkeypatch):
    wide, narrow = (chosen(VARIANTS["ear"], micro_batch=size) for size in (8, 4))
    found = trained(wide, size=4)
    assert [wanted for wanted, _ in halved] == [8, reading.PAIRS_AT_ONCE]
    assert all(need < FREE["24 GB"] - JANUS_7B.loaded_bytes for _, need in halved)
    monkeypatch.setattr(trainer, "fitting", lambda backbone, wanted, need: wanted)
    for mine, theirs in zip(found, trained(narrow), strict=True):
        assert torch.equal(mine, theirs)


def test_training_goes_on_where_memory_runs_out(monkeypatch, caplog):
    wanted = trained(chosen(VARIANTS["prefix-redirect"], micro_batch=2))
    losses = reading.Reader._losses

    def scarce(self, example, start, stop, cache):
        if stop - start > 2 and torch.is_grad_enabled():
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return losses(self, example, start, stop, cache)

    monkeypatch.setattr(reading.Reader, "_losses", scarce)
    wide = chosen(VARIANTS["prefix-redirect"], micro_batch=64)
    with pytest.raises(torch.OutOfMemoryError):  # on the CPU, where bytes are promised
        trained(wide)
    for mine, theirs in zip(trained(wide, on_gpu=True), wanted, strict=True):
        assert torch.equal(mine, theirs)
    assert caplog.messages == [
        "out of memory with batches of 9: continuing with 4",
        "out of memory with batches of 4: continuing with 2",
    ]


def test_captions_and_questions(halved, tmp_path):
    backbone, random = tiny_backbone(grid=8), np.random.default_rng(0)
    files = [tmp_path / f"{number}.png" for number in range(3)]
    for file in files:
        Image.fromarray(random.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(file)
    captions = caption_images(backbone, files, "test", max_new_tokens=4)
    alone = [caption_images(backbone, [file], "test", max_new_tokens=4)[0] for file in files]
    scores = yes_scores(backbone, files, "church")
    assert captions == alone and len(scores) == 3
    assert [wanted for wanted, _ in halved] == [captioning.ANSWERED] * 5


def attacked(work):
    return work(rendering_attacked(tiny_backbone(layers=2), batch_size=4))


def inverted(backbone):
    prompts = [
        inversion.inverted_ids(backbone, text, ["a"], inversion.placeholder(backbone)) for text in SAFE
    ]
    learned = inversion.learn(backbone, prompts[:4], SAFE_IMAGES[:4], torch.ones(32), 2, 1e-2, batch_size=4)
    return pd.DataFrame({"learned": learned.numpy()})


@pytest.mark.parametrize(
    "work",
    [
        lambda attacked: relearn(
            attacked, NAMES, SAFE, SAFE_IMAGES, targets(), [1, 2], 4, 1e-3, experiment_seed=42
        ),
        lambda attacked: search.search(
            attacked,
            targets(),
            torch.zeros(4, 9, dtype=torch.int64),
            torch.arange(20, 30),
            tokens=2,
            queries=2,
            experiment_seed=42,
            kind="object",
            attacks=["gradient"],
        ),
        lambda attacked: inverted(attacked.backbone),
    ],
    ids=["relearning", "search", "inversion"],
)
def test_attacks(halved, monkeypatch, work):
    found = attacked(work)
    assert [wanted for wanted, _ in halved] == [4]
    for module in (inversion, relearning, search):
        monkeypatch.setattr(module, "fitting", lambda backbone, wanted, need: wanted)
    pd.testing.assert_frame_equal(found, attacked(work), atol=1e-5)
