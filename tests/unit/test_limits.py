"""Every job of the paper's experiments against its limits: run time, GPU memory, compiled shapes."""

import os
from functools import cache
from pathlib import Path

import pytest

from ear import captioning
from ear.decoding import MOST_SHAPES
from ear.erasure import reading
from ear.memory import USABLE, padded_columns, padded_images
from ear.plan.cards import CARDS
from ear.plan.dimensions import dimensions_of
from ear.plan.limits import MARGIN, run_times
from ear.plan.needs import LONGEST, PAIR_ROWS, PAIRS_AT_ONCE, needs_of
from ear.plan.rates import CAPTION_BATCH, PROMPT, Ours
from ear.plan.work import Images, Queries, Streams
from ear.plan.workload import jobs_of
from ear.prompts.published import read_targets
from ear.render import batches_by_length
from tests.unit.test_plan import CATALOGUE, config_of, plan_of

EXPERIMENTS = {"janus-pro-7b": 80, "janus-pro-1b": 24, "janus-pro-1b-quick": 24}
"""Experiment → GB of the smallest card that it has to fit on."""
STRETCHED = (0.85, 1, 1.15)
SIX_CD = {640: 891, 768: 549, 896: 84, 1024: 11, 1152: 4}
"""Columns of the cache → prompts of Six-CD, counted by CLIP's tokenizer."""
TEMPLATE = 8
PROMPT_FILES = os.environ.get("EAR_PROMPT_FILES")
"""A folder with the published prompt files."""


@pytest.fixture(params=EXPERIMENTS)
def experiment(request):
    config = config_of(request.param)
    return config, dimensions_of(config, CATALOGUE), EXPERIMENTS[request.param]


def made_up(columns=SIX_CD, tokens=576):
    """Prompt lengths that take caches of such widths: the longest of each."""
    return [width - tokens + 1 for width, count in columns.items() for _ in range(count)]


def lengths_of(config, concept):
    """Tokens of the concept's test prompts: of the real file where there is one, else made up."""
    published = config.concepts[concept].published
    if PROMPT_FILES and (path := Path(PROMPT_FILES) / published.target).exists():
        return real_lengths(path)
    return made_up() if published.target in LONGEST else [PROMPT] * published.target_rows


@cache
def real_lengths(path):
    from open_clip.tokenizer import SimpleTokenizer

    encode = SimpleTokenizer().encode
    return [len(encode(text)) + TEMPLATE for text in read_targets(path, "concept", "object")["prompt"]]


@pytest.mark.parametrize("stretched", STRETCHED)
def test_no_job_is_planned_to_take_longer_than_it_may(experiment, stretched):
    config, shape, _ = experiment
    limits, ours = run_times(config, CATALOGUE), Ours(shape, config.rendering.batch_size)
    for job in jobs_of(config):
        concept = next((name for name in config.concepts if f"-{name}-" in job.name), None)
        lengths = lengths_of(config, concept) if concept else [PROMPT]
        mean = stretched * sum(lengths) / len(lengths)
        ours.width = padded_columns(round(mean), shape.image_tokens)
        assert ours.job(job) < 60 * limits[job.name], job.name
        ours.width = padded_columns(round(stretched * max(lengths)), shape.image_tokens)
        assert ours.job(job) < 60 * limits[job.name], job.name  # were all prompts as long as the longest


def test_the_margin_covers_a_factor_of_two_in_every_rate(experiment):
    config, shape, _ = experiment
    limits, ours = run_times(config, CATALOGUE), Ours(shape, config.rendering.batch_size)
    assert MARGIN > 2
    assert set(limits) == {job.name for job in jobs_of(config)}
    assert all(limits[job.name] * 60 > 2 * ours.job(job) for job in jobs_of(config))


def test_no_run_time_is_planned_where_no_rate_is_known():
    for name in ("mini", "smoke", "rehearsal", "comparison"):
        assert run_times(config_of(name), CATALOGUE) == {}


@pytest.mark.parametrize("stretched", STRETCHED)
def test_every_kind_of_work_fits_on_the_smallest_card(experiment, stretched, monkeypatch):
    monkeypatch.setattr("ear.plan.needs.PROMPT", round(stretched * PROMPT))
    longest = {name: round(stretched * tokens) for name, tokens in LONGEST.items()}
    monkeypatch.setattr("ear.plan.needs.LONGEST", longest)
    config, shape, memory = experiment
    needs = needs_of(config, shape)
    for card in CARDS:
        for need in needs:
            fits = need.fits(card.free_bytes)
            assert fits > 0 or card.memory < memory, (need.what, card.name)
            if fits:
                assert need.bytes_of(fits) <= USABLE * card.free_bytes
            if 0 < fits < need.wanted:
                assert need.bytes_of(fits + 1) > USABLE * card.free_bytes


def test_the_plan_does_as_much_at_once_as_the_jobs_do():
    assert (reading.PAIRS_AT_ONCE, reading.PAIR_ROWS) == (PAIRS_AT_ONCE, PAIR_ROWS)
    assert captioning.ANSWERED == CAPTION_BATCH


@pytest.mark.parametrize("stretched", STRETCHED)
def test_a_job_compiles_few_shapes(experiment, stretched):
    config, shape, memory = experiment
    card = next(card for card in CARDS if card.memory == memory)
    draw = needs_of(config, shape)[0]
    for job in jobs_of(config):
        drawn = [work for work in job.works if isinstance(work, Images | Streams | Queries)]
        concept = next((name for name in config.concepts if f"-{name}-" in job.name), None)
        shapes = set()
        for work in drawn:
            lengths = lengths_of(config, concept) if concept else [PROMPT]
            lengths = [round(stretched * length) for length in lengths]
            shapes |= compiled(lengths, min(draw.fits(card.free_bytes), config.rendering.batch_size), shape)
            count = work.at_once if isinstance(work, Queries) else work.count
            shapes |= compiled([PROMPT] * count, config.rendering.batch_size, shape)
        assert len(shapes) <= MOST_SHAPES, (job.name, shapes)


def compiled(lengths, batch_size, shape):
    """(images, columns) of all batches of prompts of such lengths."""
    return {
        (padded_images(len(rows)), padded_columns(max(lengths[row] for row in rows), shape.image_tokens))
        for rows in batches_by_length(lengths, batch_size)
    }


def test_the_quick_run_is_half_an_hour_on_a_card_of_24_gb():
    plan = plan_of(config_of("janus-pro-1b-quick"))
    small = plan.cards[0]
    assert small.card.memory == 24
    assert 0 < small.seconds <= 30 * 60
    assert list(plan.config.concepts) == ["church"]
    assert list(plan.config.methods) == ["original", "released", "ear"]
    assert (plan.config.utility.general, plan.config.utility.captions) == (200, 200)
    counts = {job.rule: job.units for job in jobs_of(plan.config)}
    assert counts["render_pairs"] == 2 * 20 and counts["render_original"] == 40
