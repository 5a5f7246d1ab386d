"""Conditions on tiny backbones: whose random numbers they share, what begins them, and what is drawn again."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from ear.evaluation.conditions import conditions_of, render_conditions
from ear.images.batching import BatchSize
from ear.images.rendering import image_seed, render_prompts
from ear.images.sampling import Guidance, random_numbers, sample_prompts
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
    """Rows of the manifest of all conditions, by prompt set."""
    drawn = render_conditions(
        model,
        conditions_of(PROMPTS, keys, pairs),
        tokens_of(first),
        folder,
        part=(shard, shards),
        window=0,
        experiment_seed=SEED,
        guidance=Guidance(SCALE),
        temperature=TEMPERATURE,
        batch_size=BatchSize(batch_size),
        desc="test",
    )
    return {rows["prompt_set"].iloc[0]: rows for rows in drawn}


def pixels_of(folder, rows):
    return np.stack([np.asarray(Image.open(folder / name)) for name in rows["file"]])


def naive(model, rows, scale, temperature, prefixes=None):
    """Pixels of the naive sampler's images."""
    tokens = [
        sample_one(model, text, random_numbers([seed], TOKENS)[0], scale, temperature, prefix=prefix)
        for text, seed, prefix in zip(rows["prompt"], rows["seed"], prefixes or [()] * len(rows), strict=True)
    ]
    return np.stack(list(model.pixels(torch.tensor(tokens))))


@pytest.fixture(scope="module")
def rendered(first, erased, tmp_path_factory):
    """Folder and conditions of the erased model."""
    folder = tmp_path_factory.mktemp("erased")
    return folder, probing(first, erased, folder)


def test_the_original_goes_on_from_its_own_beginning_to_its_own_image(first, tmp_path):
    rows = PROMPTS[PROMPTS["prompt_set"] == "target"].head(AXIS_KEYS["prompts"]).assign(window=0)
    settings = {"experiment_seed": SEED, "guidance": Guidance(SCALE), "temperature": TEMPERATURE}
    own = render_prompts(first, rows, tmp_path, batch_size=BatchSize(2), desc="test", **settings)
    for probed in probing(first, first, tmp_path, AXIS_KEYS | {"guidance": [], "temperature": []}).values():
        assert probed["sha256"].tolist() == own["sha256"].tolist()


def test_every_condition_of_a_target_prompt_shares_its_uniforms_and_names_it(rendered):
    ids = PROMPTS["prompt_id"].head(AXIS_KEYS["prompts"])
    assert list(rendered[1]) == ["prefix-1", "prefix-4", "guidance-3", "temperature-0.5"]
    for name, rows in rendered[1].items():
        assert rows["seed"].tolist() == [image_seed(SEED, prompt_id) for prompt_id in ids]
        assert rows["prompt"].tolist() == TEXTS[: len(ids)]
        assert rows["prompt_id"].tolist() == [f"church/{name}/{number:04d}" for number in range(len(ids))]


@pytest.mark.parametrize("count", [1, 4])
def test_the_erased_model_goes_on_from_the_originals_image_as_the_naive_sampler_does(
    first, erased, rendered, count
):
    folder, rows = rendered[0], rendered[1][f"prefix-{count}"]
    begun = [
        sample_one(first, text, random_numbers([seed], TOKENS)[0], SCALE, TEMPERATURE)[:count]
        for text, seed in zip(rows["prompt"], rows["seed"], strict=True)
    ]
    assert (pixels_of(folder, rows) == naive(erased, rows, SCALE, TEMPERATURE, begun)).all()


@pytest.mark.parametrize(
    ("name", "scale", "temperature"), [("guidance-3", 3.0, TEMPERATURE), ("temperature-0.5", SCALE, 0.5)]
)
def test_other_scales_and_temperatures_are_those_of_the_naive_sampler(
    erased, rendered, name, scale, temperature
):
    folder, rows = rendered[0], rendered[1][name]
    assert (pixels_of(folder, rows) == naive(erased, rows, scale, temperature)).all()


def test_the_ceiling_asks_for_the_safe_twin_after_the_beginning_of_the_unsafe_image(first, tmp_path):
    keys = {"prompts": 2, "prefixes": [4], "guidance": [], "temperature": []}
    probed = probing(first, first, tmp_path, keys, pairs=PAIRS)
    seeds = [image_seed(SEED, f"{pair_id}/unsafe") for pair_id in PAIRS["pair_id"]]
    settings = ("chat", Guidance(SCALE), TEMPERATURE)
    begun = sample_prompts(first, list(PAIRS["unsafe_prompt"]), seeds, *settings)
    for count in (0, 4):
        rows = probed[f"ceiling-{count}"]
        assert rows["seed"].tolist() == seeds
        assert rows["prompt"].tolist() == PAIRS["safe_prompt"].tolist()
        tokens = sample_prompts(first, list(PAIRS["safe_prompt"]), seeds, *settings, begun[:, :count])
        assert (pixels_of(tmp_path, rows) == np.stack(list(first.pixels(tokens)))).all()
    ids = pd.concat([PROMPTS["prompt_id"], *(rows["prompt_id"] for rows in probed.values())])
    assert ids.is_unique


def test_shards_draw_together_what_one_job_draws(first, erased, rendered, tmp_path):
    keys = AXIS_KEYS | {"prefixes": [4], "guidance": []}
    parts = [
        probing(first, erased, tmp_path / f"shard{shard}", keys, shard=shard, shards=2, batch_size=1)
        for shard in range(2)
    ]
    for name in ("prefix-4", "temperature-0.5"):
        columns = ["prompt_id", "sha256"]
        both = pd.concat([part[name] for part in parts]).sort_values("prompt_id", ignore_index=True)
        assert both[columns].equals(rendered[1][name][columns])


def test_a_further_prefix_draws_itself_alone_and_one_of_another_original_draws_anew(
    first, erased, tmp_path, monkeypatch
):
    keys = {"prompts": 2, "prefixes": [4], "guidance": [], "temperature": []}
    before = probing(first, erased, tmp_path, keys)
    drawn = watched(monkeypatch)
    after = probing(first, erased, tmp_path, keys | {"prefixes": [4, 7]})
    assert len(drawn) == 2 and after["prefix-4"].equals(before["prefix-4"])
    of_other = probing(erased, erased, tmp_path, keys)
    assert len(drawn) == 4 and not of_other["prefix-4"].equals(before["prefix-4"])
