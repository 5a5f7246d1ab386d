"""Probes on tiny backbones: whose uniforms they share, what begins them, and what is drawn again."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from ear.evaluation.conditions import of_shard, probes_of, render_probes, sizes_of
from ear.images.batching import BatchSize
from ear.images.rendering import image_seed, render_prompts
from ear.images.sampling import Guidance, sample_prompts, uniforms
from ear.images.tokens import ImageTokens
from ear.prompts.tables import PAIR_COLUMNS, PROMPT_COLUMNS
from tests.oracles import sample_one
from tests.tiny import tiny_backbone
from tests.unit.images.test_render import watched

SEED, SCALE, TEMPERATURE, TOKENS = 5, 1.5, 1.0, 9
AXIS_KEYS = {"prompts": 3, "prefixes": [1, 4], "guidance": [3.0], "temperature": [0.5]}
TEXTS = ["a photo of a church in the snow", "a church", "we see a red church by the sea", "a church at night"]
PROMPTS = pd.DataFrame(
    [(f"church/target/{number:04d}", "target", text, "church") for number, text in enumerate(TEXTS)]
    + [("church/retention/0000", "retention", "a car", "car")],
    columns=PROMPT_COLUMNS,
)
PAIRS = pd.DataFrame(
    {
        "pair_id": ["church/pair/0000", "church/pair/0001"],
        "unsafe_prompt": ["a church on a hill", "a blue church in a city"],
        "safe_prompt": ["a house on a hill", "a blue house in a city"],
    }
).reindex(columns=PAIR_COLUMNS)


@pytest.fixture(scope="module")
def first():
    return tiny_backbone()


@pytest.fixture(scope="module")
def erased():
    return tiny_backbone(seed=1)


def tokens_of(first):
    """Those of the target prompts' images and of the pairs' unsafe ones."""
    images = list(
        zip(TEXTS, [image_seed(SEED, prompt_id) for prompt_id in PROMPTS["prompt_id"]], strict=False)
    )
    unsafe = [image_seed(SEED, f"{pair_id}/unsafe") for pair_id in PAIRS["pair_id"]]
    images += zip(PAIRS["unsafe_prompt"], unsafe, strict=True)
    texts, seeds = zip(*images, strict=True)
    sampled = sample_prompts(first, texts, seeds, "chat", Guidance(SCALE), TEMPERATURE)
    return ImageTokens([], dict(zip(images, sampled, strict=True)))


def probing(first, model, folder, keys=AXIS_KEYS, pairs=None, shard=0, shards=1, batch_size=2):
    """Rows of the manifest of all probes, by prompt set."""
    probes = of_shard(probes_of(PROMPTS, keys, pairs), shard, shards)
    drawn = render_probes(
        model,
        probes,
        tokens_of(first),
        folder,
        window=0,
        experiment_seed=SEED,
        guidance=Guidance(SCALE),
        temperature=TEMPERATURE,
        batch_size=BatchSize(batch_size),
        desc="test",
    )
    return {rows["prompt_set"].iloc[0]: rows for rows in drawn}


def targets(model, folder):
    rows = PROMPTS[PROMPTS["prompt_set"] == "target"].head(AXIS_KEYS["prompts"]).assign(window=0)
    settings = {"experiment_seed": SEED, "guidance": Guidance(SCALE), "temperature": TEMPERATURE}
    return render_prompts(model, rows, folder, batch_size=BatchSize(2), desc="test", **settings)


def pixels_of(folder, rows):
    return np.stack([np.asarray(Image.open(folder / name)) for name in rows["file"]])


def decoded(model, tokens):
    return np.stack(list(model.pixels(torch.tensor(tokens))))


def test_the_original_goes_on_from_its_own_beginning_to_its_own_image(first, tmp_path):
    own = targets(first, tmp_path)
    probed = probing(first, first, tmp_path)
    for name in ("prefix-1", "prefix-4"):
        assert probed[name]["sha256"].tolist() == own["sha256"].tolist()


def test_every_probe_of_a_target_prompt_shares_its_uniforms_and_names_it(first, erased, tmp_path):
    own = targets(erased, tmp_path)
    for name, rows in probing(first, erased, tmp_path).items():
        assert rows["seed"].tolist() == own["seed"].tolist()
        assert rows["prompt"].tolist() == own["prompt"].tolist()
        assert rows["prompt_id"].tolist() == [f"church/{name}/{number:04d}" for number in range(len(own))]


@pytest.mark.parametrize("count", [1, 4])
def test_the_erased_model_goes_on_from_the_originals_image_as_the_naive_sampler_does(
    first, erased, tmp_path, count
):
    rows = probing(first, erased, tmp_path)[f"prefix-{count}"]
    wanted = []
    for text, seed in zip(rows["prompt"], rows["seed"], strict=True):
        numbers = uniforms([seed], TOKENS)[0]
        begun = sample_one(first, text, numbers, SCALE, TEMPERATURE)[:count]
        wanted.append(sample_one(erased, text, numbers, SCALE, TEMPERATURE, prefix=begun))
    assert (pixels_of(tmp_path, rows) == decoded(erased, wanted)).all()


def test_other_scales_and_temperatures_are_those_of_the_naive_sampler(first, erased, tmp_path):
    probed = probing(first, erased, tmp_path)
    for name, scale, temperature in (("guidance-3", 3.0, TEMPERATURE), ("temperature-0.5", SCALE, 0.5)):
        rows = probed[name]
        wanted = [
            sample_one(erased, text, uniforms([seed], TOKENS)[0], scale, temperature)
            for text, seed in zip(rows["prompt"], rows["seed"], strict=True)
        ]
        assert (pixels_of(tmp_path, rows) == decoded(erased, wanted)).all()


def test_the_ceiling_asks_for_the_safe_twin_after_the_beginning_of_the_unsafe_image(first, tmp_path):
    probed = probing(first, first, tmp_path, pairs=PAIRS)
    seeds = [image_seed(SEED, f"{pair_id}/unsafe") for pair_id in PAIRS["pair_id"]]
    unsafe, safe = list(PAIRS["unsafe_prompt"]), list(PAIRS["safe_prompt"])
    settings = ("chat", Guidance(SCALE), TEMPERATURE)
    begun = sample_prompts(first, unsafe, seeds, *settings)
    for count in (0, 1, 4):
        rows = probed[f"ceiling-{count}"]
        assert rows["seed"].tolist() == seeds
        assert rows["prompt"].tolist() == safe
        tokens = sample_prompts(first, safe, seeds, *settings, begun[:, :count])
        assert (pixels_of(tmp_path, rows) == decoded(first, tokens.tolist())).all()


def test_shards_draw_together_what_one_job_draws(first, erased, tmp_path):
    whole = probing(first, erased, tmp_path / "one")
    parts = [
        probing(first, erased, tmp_path / f"shard{shard}", shard=shard, shards=2, batch_size=1)
        for shard in range(2)
    ]
    for name, rows in whole.items():
        columns = ["prompt_id", "sha256"]
        both = pd.concat([part[name] for part in parts]).sort_values("prompt_id", ignore_index=True)
        assert both[columns].equals(rows[columns])


def test_a_further_prefix_draws_itself_alone(first, erased, tmp_path, monkeypatch):
    before = probing(first, erased, tmp_path)
    drawn = watched(monkeypatch)
    after = probing(first, erased, tmp_path, AXIS_KEYS | {"prefixes": [1, 4, 7]})
    assert len(drawn) == AXIS_KEYS["prompts"]
    assert all(after[name].equals(rows) for name, rows in before.items())


def test_images_of_another_original_are_not_taken_for_these(first, erased, tmp_path):
    probing(first, erased, tmp_path / "shard0")
    other = probing(erased, erased, tmp_path / "shard0")
    fresh = probing(erased, erased, tmp_path / "fresh")
    assert other["prefix-4"].equals(fresh["prefix-4"])


@pytest.mark.parametrize("pairs", [None, PAIRS])
@pytest.mark.parametrize("prefixes", [[], [2]])
@pytest.mark.parametrize("prompts", [1, 3, 50])
def test_the_number_of_images_is_known_before_the_prompts_are(prompts, prefixes, pairs):
    keys = AXIS_KEYS | {"prompts": prompts, "prefixes": prefixes}
    probes = probes_of(PROMPTS, keys, pairs)
    sizes = sizes_of(keys, len(TEXTS), 0 if pairs is None else len(pairs))
    assert sizes == tuple(len(probe.rows) for probe in probes)


def test_ids_name_one_image_each():
    ids = pd.concat([probe.rows["prompt_id"] for probe in probes_of(PROMPTS, AXIS_KEYS, PAIRS)])
    assert ids.is_unique
    assert not set(ids) & set(PROMPTS["prompt_id"])
