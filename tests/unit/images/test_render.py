"""Rendering: an image depends on weights, prompt and seed, and on nothing else."""

import numpy as np
import pandas as pd
import pytest
import torch

from ear.images.batching import BatchSize
from ear.images.rendering import (
    MANIFEST_COLUMNS,
    batches_by_length,
    prompts_by_window,
    render_left,
    render_prompts,
    shard_rows,
)
from ear.images.sampling import Guidance, sample_prompts
from ear.models.janus import Janus
from ear.workflow.files import sha256_file, write_csv
from tests.tiny import tiny_backbone

TEXTS = [
    "a church",
    "a photo of a red church on a hill at sunset in the style of Van Gogh",
    "there is a boat by the sea",
    "at night in a city, a car on fire",
    "a blue tree in the desert",
    "a castle in the snow during the day",
    "we see a red windmill on a hill at night",
    "a house",
    "look at a lighthouse by the sea at sunset, on fire",
    "a view of a blue castle in the desert at night",
]
PROMPTS = pd.DataFrame(
    {
        "prompt_id": [f"church/target/{number:04d}" for number in range(len(TEXTS))],
        "prompt_set": "target",
        "prompt": TEXTS,
        "object": "church",
        "window": 0,
    }
)

PLAIN = Guidance(1.5)


@pytest.fixture(scope="module")
def backbone():
    return tiny_backbone()


def render(backbone, folder, prompts=PROMPTS, batch_size=3, seed=5, guidance=PLAIN, saved=None):
    return render_prompts(
        backbone,
        prompts,
        folder,
        experiment_seed=seed,
        guidance=guidance,
        temperature=1.0,
        batch_size=BatchSize(batch_size),
        desc="test",
        saved=saved,
    )


def watched(monkeypatch):
    """Prompts that are sampled from now on."""
    sampled = []

    def sample(backbone, prompts, *arguments, **named):
        sampled.extend(prompts)
        return sample_prompts(backbone, prompts, *arguments, **named)

    monkeypatch.setattr("ear.images.rendering.sample_prompts", sample)
    return sampled


def test_batch_size_order_and_shard_leave_the_images_alone(backbone, tmp_path):
    reference = render(backbone, tmp_path / "three").set_index("prompt_id")["sha256"]
    assert reference.nunique() == len(PROMPTS)
    for batch_size in (1, 8):
        rows = render(backbone, tmp_path / f"batch{batch_size}", batch_size=batch_size)
        assert rows.set_index("prompt_id")["sha256"].equals(reference)
    backwards = render(backbone, tmp_path / "backwards", shard_rows(PROMPTS.iloc[::-1], 1, 3))
    assert backwards["sha256"].tolist() == reference.loc[backwards["prompt_id"]].tolist()


@pytest.mark.parametrize("keep", [None, 40, -1])
def test_resumption_renders_only_what_is_missing_or_damaged_and_the_same(backbone, tmp_path, keep):
    rows = render(backbone, tmp_path)
    kept, lost = (tmp_path / rows["file"].iloc[row] for row in (0, 4))
    before = kept.stat().st_mtime_ns
    if keep is None:
        lost.unlink()
    else:
        lost.write_bytes(lost.read_bytes()[:keep])
    assert render(backbone, tmp_path).equals(rows)
    assert sha256_file(lost) == rows["sha256"].iloc[4]
    lengths = backbone.encode(TEXTS, "chat").mask.sum(dim=1).tolist()
    same_batch = next(batch for batch in batches_by_length(lengths, 3) if 4 in batch)
    assert (kept.stat().st_mtime_ns == before) == (0 not in same_batch)


def test_colours_are_rounded_or_cut_off_and_a_changed_protocol_draws_again(backbone, tmp_path):
    tokens = torch.arange(2 * backbone.num_image_tokens).reshape(2, -1) % backbone.codebook_size
    cut = Janus(backbone.model, backbone.processor, rounded=False)
    exact = (backbone.model.decode_image_tokens(tokens).double().clamp(-1, 1) + 1) * 127.5
    rounded, floor = (np.stack(list(which.pixels(tokens))) for which in (backbone, cut))
    assert np.abs(rounded - exact.numpy()).max() <= 0.5 + 1e-3
    assert (floor <= exact.numpy() + 1e-3).all() and (floor > exact.numpy() - 1 - 1e-3).all()
    lossless = render(backbone, tmp_path / "shard0")
    released = render(cut, tmp_path / "shard0")
    assert (lossless["sha256"] != released["sha256"]).all()
    assert render(backbone, tmp_path / "shard0").equals(lossless)


def test_images_of_another_job_are_not_rendered_again(backbone, tmp_path, monkeypatch):
    manifests = [tmp_path / f"general/shard{shard}/manifest.csv" for shard in range(2)]
    for shard, manifest in enumerate(manifests):
        write_csv(manifest, render(backbone, manifest.parent, shard_rows(PROMPTS, shard, 3)))
    place, sampled = tmp_path / "church/original/seed0/shard1", watched(monkeypatch)
    settings = {"experiment_seed": 5, "guidance": PLAIN, "temperature": 1.0, "batch_size": BatchSize(3)}
    rows = render_left(backbone, PROMPTS, place, manifests, desc="test", **settings)
    assert sorted(sampled) == sorted(shard_rows(PROMPTS, 2, 3)["prompt"])
    assert rows["prompt_id"].equals(PROMPTS["prompt_id"])
    assert all(sha256_file(place / row.file) == row.sha256 for row in rows.itertuples())


def test_no_prompts_are_no_images_and_no_error(backbone, tmp_path):
    assert list(render(backbone, tmp_path, PROMPTS.iloc[:0])) == MANIFEST_COLUMNS


def test_own_window_draws_everything_and_others_the_first_targets():
    prompts = pd.concat([PROMPTS, PROMPTS.assign(prompt_set="general")]).drop(columns="window")
    tables = prompts_by_window(prompts, own=16, windows=[4, 16], window_prompts=3)
    assert list(tables) == [16, 4]
    assert len(tables[16]) == len(prompts)
    assert tables[4]["prompt_id"].tolist() == PROMPTS["prompt_id"].tolist()[:3]
    assert (tables[4]["window"] == 4).all()


@pytest.mark.parametrize("other", ["weights", "seed", "guidance", "prompts"])
def test_images_of_anything_else_are_not_taken_for_these(backbone, tmp_path, other):
    before = render(backbone, tmp_path / "shard0")
    model = tiny_backbone(seed=1) if other == "weights" else backbone
    settings = {
        "seed": {"seed": 9},
        "guidance": {"guidance": Guidance(1.5, "a church", strength=1.0)},
        "prompts": {"prompts": PROMPTS.assign(prompt="a boat")},
    }.get(other, {})
    after = render(model, tmp_path / "shard0", **settings)
    assert after.equals(render(model, tmp_path / "fresh", batch_size=1, **settings))
    assert (after["sha256"] != before["sha256"]).any() and after["sha256"].nunique() == len(PROMPTS)


def test_memory_that_runs_out_changes_no_byte(backbone, tmp_path, monkeypatch):
    wanted = render(backbone, tmp_path / "undisturbed", batch_size=8)
    sizes = []

    def scarce(backbone, prompts, *arguments, **named):
        sizes.append(len(prompts))
        if len(prompts) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return sample_prompts(backbone, prompts, *arguments, **named)

    monkeypatch.setattr("ear.images.rendering.sample_prompts", scarce)
    rows = render(backbone, tmp_path / "scarce", batch_size=8)
    assert sizes == [8, 4, 2, 2, 2, 2, 2]
    assert rows.equals(wanted)


def test_a_picture_that_cannot_be_written_ends_the_job(backbone, tmp_path, monkeypatch):
    def full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ear.images.rendering.put_file", full)
    with pytest.raises(OSError, match="No space left"):
        render(backbone, tmp_path, PROMPTS[:1])


def test_one_changed_prompt_redraws_its_batch_alone(backbone, tmp_path, monkeypatch):
    before = render(backbone, tmp_path / "shard0", batch_size=1)
    changed = PROMPTS.assign(prompt=["a red church", *TEXTS[1:]])
    drawn = watched(monkeypatch)
    after = render(backbone, tmp_path / "shard0", changed, batch_size=1)
    assert drawn == ["a red church"]
    assert (after["sha256"] != before["sha256"]).tolist() == [True] + [False] * (len(TEXTS) - 1)


@pytest.mark.parametrize(("before", "after"), [(2, 3), (3, 1)])
def test_another_number_of_shards_draws_nothing_again(backbone, tmp_path, monkeypatch, before, after):
    hashes = {}
    for shard in range(before):
        rows = render(backbone, tmp_path / f"shard{shard}", shard_rows(PROMPTS, shard, before))
        hashes |= dict(zip(rows["prompt_id"], rows["sha256"], strict=True))
    drawn = watched(monkeypatch)
    for shard in range(after):
        rows = render(backbone, tmp_path / f"shard{shard}", shard_rows(PROMPTS, shard, after))
        assert [hashes[prompt_id] for prompt_id in rows["prompt_id"]] == rows["sha256"].tolist()
    assert drawn == []
    assert len(list(tmp_path.rglob("*.png"))) == len(PROMPTS)


def test_a_shard_takes_nothing_that_was_drawn_from_other_weights(backbone, tmp_path, monkeypatch):
    render(backbone, tmp_path / "shard0", shard_rows(PROMPTS, 0, 1))
    drawn = watched(monkeypatch)
    render(tiny_backbone(seed=1), tmp_path / "shard1", shard_rows(PROMPTS, 1, 2))
    assert len(drawn) == len(PROMPTS) // 2
