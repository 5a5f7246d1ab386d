"""The plan: its counts are those of the workflow, its times say where they are from, its text fits a terminal."""

import copy
import json
from itertools import product
from pathlib import Path

import pytest
import yaml

from ear.commands.plan.estimate import (
    WIDTH,
    as_text,
    assets_of,
    dimensions_of,
    disk_of,
    duration,
    make_plan,
    needs_of,
    run_times,
)
from ear.commands.plan.work import (
    CAPTION_BATCH,
    PROMPT,
    Speed,
    images_of,
    jobs_of,
    pairs_of,
    shared_general,
    trainings_of,
)
from ear.config import parse_config
from ear.erasure.trainer import window_bounds
from ear.images import captions as captioning
from ear.images.decoding import MOST_SHAPES
from ear.images.rendering import batches_by_length
from ear.models.catalogue import load_catalogue, shapes_of, size_in_words
from ear.models.lock import needed_assets
from ear.models.memory import USABLE, padded_columns, padded_images
from tests.own_concept import with_own_concept

ROOT = Path(__file__).parents[3]
CONFIGS = [
    "mini",
    *sorted(path.stem for path in (ROOT / "configs").glob("*.yaml") if path.stem != "mini-world"),
]
EXPERIMENTS = ["janus-pro-1b-quick", "janus-pro-1b", "janus-pro-7b", "emu3-gen", "liquid"]
CATALOGUE = load_catalogue(ROOT / "assets.yaml")
SHAPES = shapes_of(CATALOGUE)
CARDS = {24: 25.07e9, 40: 42.2e9, 80: 85.2e9}
"""Memory of a card, GB → bytes that are free on it."""


def config_of(name, **sections):
    """A config of the repository, with keys of its sections changed."""
    path = ROOT / ("config.yaml" if name == "mini" else f"configs/{name}.yaml")
    raw = copy.deepcopy(yaml.safe_load(path.read_text(encoding="utf-8")))
    for section, keys in sections.items():
        raw[section] |= keys
    return parse_config(raw, name, SHAPES)


def speed_of(config):
    return Speed(dimensions_of(config, CATALOGUE), config.rendering.batch_size)


def jobs(config):
    return jobs_of(config, speed_of(config))


def plan_of(config, benchmarks="no such folder"):
    return make_plan(config, CATALOGUE, benchmarks)


def stages(config):
    """Rule → its jobs and its work."""
    return {stage["rule"]: (stage["jobs"], stage["work"]) for stage in plan_of(config)["stages"]}


def test_the_papers_work_is_counted_as_by_hand():
    # Prompt sets of other studies, and retention
    public_nudity = 142 + 931 + 1126 + 100 + 79
    public = public_nudity + (50 + 90) + (20 + 50 + 10 + 3 * 100 + 60)
    # Stable Diffusion; 7 methods with 9 conditions; ceilings of the original; the sweep
    nudity = 1539 + 7 * (1539 + 450 + public_nudity) + 6 * 50 + 4 * 1539
    judged = 18_403 + 1539 + 2289 + 8370 + 7 * public
    assert stages(config_of("janus-pro-7b")) == {
        # 49 + 50 + 50 pairs of two prompts
        "render_pairs": (3, {"images": 298}),
        # none-raw and independent-chat have three sequences a pair, aligned-chat has one: 7 × 149
        "sample_sequences": (9, {"sequences": 1043}),
        # 20 passes of obliviate over 149 pairs;
        # (12 + 48 + 5) windows an image of released, paper and wga: 3 × (588 + 2400 + 250);
        # the sweep has 48 + 24 + 12 + 5 + 2 = 91 a pair: 91 × 149
        "erase": (15, {"windows": 3 * 3238 + 91 * 149 + 20 * 149}),
        "render_general": (4, {"images": 30_000, "captions": 5000}),
        # 9 conditions of 50 prompts, implicit ones (10, 10, 0), 25 of the church's neighbours; of the original
        # 6 ceilings too, of 50 pairs, of which the church has 49: 2289 in all
        "render_targets": (3, {"images": 84 + 50 + 1539}),
        "render_original": (3, {"images": 3 * 450 + 45 + 6 * 149 + public}),
        # 18 runs of 30 000 general prompts, 6 of each concept's targets, 4 further windows of ear's
        "render_images": (
            18 * 4,
            {"images": 540_000 + 10 * 1673 + 6 * (3 * 450 + 45 + public), "captions": 90_000},
        ),
        "render_diffusion": (4, {"images": 1539}),
        "extract_features": (1, {"features": 40_504}),
        # Judges see no general image; NudeNet runs on the CPU, nudity's second judge does not.
        "measure_images": (22, {"verdicts": judged, "features": 630_000 + judged}),
        "evaluate": (22, {"verdicts": nudity, "compared": 630_000}),
        # 21 runs: 4 searches of 20 prompts × 20 queries; 19 times a gradient (3 passes) and 8 candidates;
        # inversion: 25 images judged, 200 steps, 50 prompts twice (25 of Van Gogh's 50 are left), and of
        # nudity 7 runs, of the others 7 each; 18 runs with weights: 50 prompts after 50 and after 200 steps
        "attack": (
            21,
            {
                "queries": 21 * 1600 + 14 * 100 + 7 * 50 + 18 * 100,
                "verdicts": 21 * 1600 + 14 * 100 + 7 * 50 + 21 * 25 + 18 * 100,
                "passes": 21 * 20 * 19 * 11,
                "steps": 21 * 200 + 18 * 200,
            },
        ),
    }


def test_the_smoke_experiment_is_counted_as_its_manifests_are():
    config = config_of("smoke")
    pairs, works = pairs_of(config, "church"), {rule: work for rule, (_, work) in stages(config).items()}
    # 2 × (10 + 10) target and retention, 4 implicit, 10 general, 4 conditions of 4; ear: a further window of 4
    assert works["render_images"] == {"images": 74 + 70, "captions": 2 * 8}
    # Without the general ones and the targets, but with 3 ceilings of the first 4 pairs
    assert works["render_original"] == {"images": 50 + 12} and works["render_targets"] == {"images": 10}
    assert works["render_general"] == {"images": 10 + 2, "captions": 8}  # 10 without church
    assert works["render_pairs"] == {"images": 2 * pairs}
    assert works["sample_sequences"] == {"sequences": pairs}
    # 64 tokens: 16 windows of 4, in the sweep 4 more of 16
    assert works["erase"] == {"windows": (16 + 4) * pairs}


def test_images_from_elsewhere_are_judged_and_neither_rendered_nor_attacked():
    theirs = {"theirs": {"variant": "images", "images": "theirs"}}
    more = {job.name: job for job in jobs(config_of("smoke", methods=theirs))}
    for job in jobs(config_of("smoke")):
        assert more.pop(job.name) == job
    assert list(more) == ["evaluate-church-theirs-0"]
    assert more["evaluate-church-theirs-0"].units == 2 * 44  # by both judges


def test_windows_are_those_of_the_trainer():
    for window, tail in product((1, 5, 16), ("drop", "keep")):
        method = {"variant": "ear", "overrides": {"tail": tail, "window": window, "passes": 2}}
        config = config_of("smoke", methods={"other": method})
        found = next(one for one in trainings_of(config) if one.run[1] == "other")
        bounds = window_bounds(config.image_tokens, window, tail)
        assert found.windows == 2 * pairs_of(config, "church") * len(bounds)


@pytest.mark.parametrize("name", CONFIGS)
def test_each_image_is_counted_once_and_the_text_fits_a_terminal(name):
    config = parse_config(config_of(name).model_dump(), name, SHAPES)  # as Snakemake hands it to the script
    by_run = [(run[0], *images_of(config, *run[:2])) for run in config.runs()]
    works = {rule: work for rule, (_, work) in stages(config).items()}
    made = sum(work.get("images", 0) for rule, work in works.items() if rule != "render_pairs")
    once = shared_general(config) - len(config.concepts) * config.utility.general
    assert made == sum(judged + general for _, judged, general in by_run) + once
    verdicts = sum(works.get(rule, {}).get("verdicts", 0) for rule in ("measure_images", "evaluate"))
    assert verdicts == sum(len(config.concepts[concept].judges) * judged for concept, judged, _ in by_run)
    plan = plan_of(config)
    assert max(map(len, as_text(plan).splitlines())) <= WIDTH
    assert json.loads(json.dumps(plan)) == plan


def test_concepts_erased_together_are_one_training_on_all_their_pairs():
    config = parse_config(with_own_concept(), "own", SHAPES)
    (one,) = [one for one in trainings_of(config) if one.run[1] == "ear-together"]
    pairs = sum(pairs_of(config, concept) for concept in ("church", "van-gogh"))
    assert (one.run[0], one.pairs) == ("church+van-gogh", pairs)
    assert one.windows == 3 * pairs * 64 // 8  # in three passes
    named = {job.name: job for job in jobs(config)}
    assert named["erase-church+van-gogh-ear-together-0"].units == one.windows
    assert {"evaluate-church-ear-together-0", "evaluate-van-gogh-ear-together-0"} <= set(named)
    assert "evaluate-fire-ear-together-0" not in named


def test_a_step_of_drawing_reads_weights_and_cache():
    # By hand: 30 × (4 × 4096² + 3 × 4096 × 11008) + 4096 × (4096 + 16384) weights of 2 bytes; 640 columns of
    # 2 × 30 × 4096 values in 128 rows; 576 steps at 60 % of 3.35 TB/s, 1 ms each beside; 0.57 TFLOP an image.
    weights = 2 * (30 * (4 * 4096**2 + 3 * 4096 * 11008) + 4096 * (4096 + 16384))
    cache = 128 * 640 * 2 * 30 * 4096 * 2
    wanted = 576 * ((weights + cache) / (0.6 * 3.35e12) + 1e-3) + 64 * 0.57e12 / (0.4 * 990e12)
    speed = speed_of(config_of("janus-pro-7b"))
    assert speed.images(64).seconds == pytest.approx(wanted)
    times = [speed.images(count).seconds for count in (1, 64, 65, 1000)]
    assert times == sorted(times) and times[0] < times[-1]
    assert speed.images(64, rows=3).seconds > wanted  # a negative prompt takes a third row
    at_once, in_parts = (speed.windows(1, 256, 2, micro_batch).seconds for micro_batch in (256, 128))
    assert in_parts > at_once  # read without a gradient first
    assert 1.5 * at_once < speed.windows(1, 256, 2, 256, lora=True).seconds < 2 * at_once  # more launches


def test_what_lies_before_a_window_is_read_where_there_is_context():
    """Of one row too; nothing lies before a window that is the whole image."""
    ascent = {"variant": "gradient-ascent"}
    methods = {
        "released": {"variant": "released"},
        "ascent": ascent,
        "whole": ascent | {"overrides": {"window": "image"}},
    }
    config = config_of("janus-pro-1b-quick", methods=methods)
    speed, one_pass = speed_of(config), 0.8e-3 * 24  # bound by kernel launches
    trainings = {one.run[1]: one for one in trainings_of(config)}
    found = {name: trainings[name].work(speed).seconds / trainings[name].windows for name in methods}
    whole = 5 * (1 + 3)  # micro-batches of 128 tokens, first read without a gradient
    assert found == pytest.approx(
        {"released": 3 * one_pass, "ascent": 4 * one_pass, "whole": whole * one_pass}
    )


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_job_may_take_twice_as_long_or_have_prompts_of_any_length(name):
    config = config_of(name)
    limits, speed = run_times(config, CATALOGUE), speed_of(config)
    assert captioning.ANSWERED == CAPTION_BATCH and set(limits) == {job.name for job in jobs(config)}
    assert all(limits[job.name] * 60 > 2 * job.seconds(speed) for job in jobs_of(config, speed))
    speed.width = padded_columns(
        577, speed.shape.image_columns
    )  # all as long as the longest that CLIP counts
    assert all(limits[job.name] * 60 > job.seconds(speed) for job in jobs_of(config, speed))


def test_no_time_is_planned_where_no_rate_is_known():
    for name in ("mini", "smoke", "rehearsal", "comparison"):
        assert run_times(config_of(name), CATALOGUE) == {}
    total = plan_of(config_of("rehearsal", backbone={"device": "cuda"}))["total"]  # stand-ins
    assert (total["seconds"], total["gpu_bytes"], total["disk_bytes"]) == (None, None, None)


def test_measured_times_take_the_place_of_stated_ones(tmp_path):
    written = {"render_pairs-church": 49.0, "render_pairs-none": 1e6, "erase-church-ear-0": "NA"}
    for name, seconds in written.items():
        (tmp_path / f"{name}.tsv").write_text(f"s\th:m:s\tmax_rss\n{seconds}\t0:00:01\t100.0\n")
    (tmp_path / "evaluate-church-original-0.tsv").write_text("")
    stage, *others = plan_of(config_of("janus-pro-7b"), tmp_path)["stages"]
    assert stage["seconds"] == pytest.approx(298 / 98 * 49) and stage["basis"] == "1 measured"
    assert {one["basis"] for one in others} == {"stated"}
    smoke = plan_of(config_of("smoke"), tmp_path)
    assert smoke["total"]["seconds"] == 49
    rows = {line.split()[0]: line for line in as_text(smoke).splitlines() if line}
    assert "unknown" in rows["erase"] and "at least" in rows["all"]
    assert "at least" not in as_text(plan_of(config_of("smoke")))


def test_disk_is_images_sequences_and_edited_weights():
    config = config_of("janus-pro-7b")
    disk = disk_of(config, dimensions_of(config, CATALOGUE))
    factors = 30 * 32 * (4 * (4096 + 4096) + 3 * (4096 + 11008)) * 4  # in float32, of all layers
    assert (
        disk["erase"] == (24 + 3) * 5 * 4 * 4096**2 * 2 + 3 * factors
    )  # trained here, and the authors' three
    assert disk["render_images"] == pytest.approx(582_848 * 384**2 * 1.6)
    assert disk["render_diffusion"] == pytest.approx(1539 * 512**2 * 1.6)
    assert disk["sample_sequences"] == 1043 * 576 * 8


@pytest.mark.parametrize(("name", "smallest"), list(zip(EXPERIMENTS, (24, 24, 40, 40, 80), strict=True)))
def test_every_kind_of_work_fits_on_the_smallest_card(name, smallest):
    config = config_of(name)
    for need in needs_of(config, dimensions_of(config, CATALOGUE)):
        for card, free in CARDS.items():
            fits = need.fits(free)
            assert fits > 0 or card < smallest, (need.what, card)
            assert not fits or need.bytes_of(fits) <= USABLE * free
            assert not 0 < fits < need.wanted or need.bytes_of(fits + 1) > USABLE * free


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_job_compiles_few_shapes(name):
    """Of Six-CD's prompts too, which are drawn by their lengths: so many take a cache of so many columns."""
    six_cd = {640: 891, 768: 549, 896: 84, 1024: 11, 1152: 4}
    config = config_of(name)
    for job, stretched in product(jobs(config), (0.85, 1, 1.15)):
        lengths = [stretched * (columns - 575) for columns, count in six_cd.items() for _ in range(count)]
        shapes = compiled(lengths, config.rendering.batch_size) if "-nudity-" in job.name else set()
        for work in job.works:
            if work.unit in ("images", "queries", "sequences") and job.rule != "render_diffusion":
                shapes |= compiled([PROMPT] * work.count, config.rendering.batch_size)
        assert len(shapes) <= MOST_SHAPES, (job.name, shapes)


def compiled(lengths, batch_size):
    """(images, columns) of all batches of prompts of such lengths."""
    lengths = list(map(round, lengths))
    batches = [
        (len(rows), max(lengths[row] for row in rows)) for rows in batches_by_length(lengths, batch_size)
    ]
    return {(padded_images(count), padded_columns(longest, 575)) for count, longest in batches}


def test_assets_are_to_fetch_until_they_are_there(tmp_path):
    names = config_of("janus-pro-7b").used_assets
    before = {one.name: one for one in needed_assets(names, CATALOGUE, None, str(tmp_path), stand_ins=False)}
    assert [*before] == names
    assert [name for name, one in before.items() if not one.fetch] == ["nudenet"]
    (tmp_path / "inception").mkdir()
    (tmp_path / "inception" / "inception-2015-12-05.pt").touch()
    after = {one.name: one for one in needed_assets(names, CATALOGUE, None, str(tmp_path), stand_ins=False)}
    assert (after["inception"].state, after["prompts"].state) == ("in assets.store", "to fetch")
    in_root = needed_assets(names, CATALOGUE, str(tmp_path), "store", stand_ins=False)
    assert {one.state for one in in_root} == {"in assets.root", "missing in assets.root", "installed"}
    made = needed_assets(["clip"], CATALOGUE, str(tmp_path), "store", stand_ins=True)
    assert [one.state for one in made] == ["made first"]
    assert {one.state for one in assets_of(config_of("mini"), CATALOGUE)} == {"in this repository"}


def test_pages_state_what_the_plan_states(tmp_path, monkeypatch):
    """The text of `snakemake plan`, and a line for each experiment, on a machine that has nothing yet."""
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/how-to/paper.md").read_text(encoding="utf-8")
    for name in EXPERIMENTS:
        total = plan_of(config_of(name))["total"]
        sizes = [size_in_words(round(total[key])) for key in ("gpu_bytes", "fetch_bytes", "disk_bytes")]
        assert f"| `{name}` | {' | '.join([duration(total['seconds']), *sizes])} |\n" in page
        assert name != "janus-pro-1b-quick" or total["seconds"] <= 30 * 60
    assert words_of(as_text(plan_of(config_of("janus-pro-7b")))) in words_of(page)
    hours = plan_of(config_of("janus-pro-7b"))["total"]["seconds"] / 3600
    assert f"about {hours:.0f} hours on one H100" in (ROOT / "README.md").read_text(encoding="utf-8")


def words_of(text):
    """Without what aligns a table."""
    return " ".join(word for word in text.split() if set(word) != {"-"})
