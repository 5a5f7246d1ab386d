"""The plan: its counts are those of the workflow, its times say where they are from, its text fits a terminal."""

import copy
import json
import re
from pathlib import Path

import pytest
import yaml

from ear.assets.catalogue import load_catalogue, shapes_of
from ear.config import parse_config
from ear.erasure.trainer import window_bounds
from ear.plan.assets import needed_assets
from ear.plan.dimensions import dimensions_of
from ear.plan.disk import files_of
from ear.plan.estimate import make_plan
from ear.plan.pages import BLOCK, PAGES, filled
from ear.plan.rates import STATED, Ours, Release
from ear.plan.record import as_json
from ear.plan.report import WIDTH, as_text, table
from ear.plan.work import Images, Windows, Work
from ear.plan.workload import drawn, fine_tunings, jobs_of, shared_general
from ear.prompts.tables import with_samples
from ear.render import shard_rows
from tests.own_concept import with_own_concept

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "configs/mini-world.yaml"
CONFIGS = [ROOT / "config.yaml", *sorted({*(ROOT / "configs").glob("*.yaml")} - {RECIPE})]
CATALOGUE = load_catalogue(ROOT / "assets.yaml")
SHAPES = shapes_of(CATALOGUE)


def config_of(name, **sections):
    """A config of the repository, with keys of its sections changed."""
    path = ROOT / ("config.yaml" if name == "mini" else f"configs/{name}.yaml")
    raw = copy.deepcopy(yaml.safe_load(path.read_text(encoding="utf-8")))
    for section, keys in sections.items():
        raw[section] |= keys
    return parse_config(raw, name, SHAPES)


JANUS_7B = dimensions_of(config_of("janus-pro-7b"), CATALOGUE)


def plan_of(config, benchmarks="no such folder"):
    return make_plan(config, CATALOGUE, benchmarks)


def units(config, rule):
    """Unit → count over all jobs of a rule."""
    stage = next(stage for stage in plan_of(config).stages if stage.rule == rule)
    return dict(stage.units)


@pytest.fixture(scope="module")
def paper():
    return plan_of(config_of("janus-pro-7b"))


@pytest.fixture
def finished(tmp_path):
    """Writes the benchmark file of a job."""

    def write(name, seconds):
        text = f"s\th:m:s\tmax_rss\n{seconds}\t0:00:01\t100.0\n"
        (tmp_path / f"{name}.tsv").write_text(text, encoding="utf-8")
        return tmp_path

    return write


def test_the_papers_work_is_counted_as_by_hand(paper):
    stages = {stage.rule: stage for stage in paper.stages}
    # Stable Diffusion; 6 methods with 9 probes; ceilings of the original; the sweep
    nudity = 1539 + 6 * (1539 + 450) + 6 * 50 + 4 * 1539
    assert {rule: (stage.jobs, dict(stage.units)) for rule, stage in stages.items()} == {
        # 49 + 50 + 50 pairs of two prompts
        "render_pairs": (3, {"images": 298}),
        "filter_pairs": (3, {"verdicts": 298}),
        # none-raw and independent-chat have three streams a pair, aligned-chat has one: 7 × 149
        "sample_streams": (9, {"streams": 1043}),
        # (12 + 48 + 5) windows an image of released, paper and wga: 3 × (588 + 2400 + 250);
        # the sweep has 48 + 24 + 12 + 5 + 2 = 91 a pair: 91 × 149
        "erase": (12, {"windows": 3 * 3238 + 91 * 149, "pairs read": 4 * 149}),
        "render_general": (4, {"images": 30_000, "captions": 5000}),
        # Axes: 9 probes of 50 prompts, implicit ones (10, 10, 0), 25 of the church's neighbours; of the original
        # 6 ceilings too, of 50 pairs, of which the church has 49: 2289 in all
        "render_original": (3, {"images": 84 + 50 + 1539 + 3 * 450 + 45 + 6 * 149}),
        # 15 runs of 30 000 general prompts, 5 of each concept's targets, 4 further windows of ear's
        "render_images": (15 * 4, {"images": 450_000 + 9 * 1673 + 5 * (3 * 450 + 45), "captions": 75_000}),
        "render_diffusion": (4, {"images": 1539}),
        "extract_features": (1, {"features": 40_504}),
        # Judges see no general image; NudeNet runs on the CPU.
        "measure_images": (
            19,
            {"verdicts": 16_730 + 1539 + 2289 + 6975 - nudity, "features": 540_000 + nudity},
        ),
        "evaluate": (19, {"verdicts": nudity, "compared": 540_000}),
        # 18 runs: 4 searches of 20 prompts × 20 queries; 19 times a gradient and 8 candidates a prompt;
        # 15 of them with weights: 50 prompts after 50 and after 200 steps
        "attack": (
            18,
            {
                "queries": 18 * 1600 + 15 * 100,
                "readings": 18 * 20 * 19 * 9,
                "steps": 15 * 200,
                "streams": 18 * 20 + 5 * 149,
            },
        ),
    }
    assert stages["render_images"].tokens == 472_032 * 576
    assert stages["sample_streams"].tokens == 1043 * 576
    assert len(paper.trainings) == 3 * (3 + 5)


def test_the_smoke_experiment_is_counted_as_its_manifests_are():
    config = config_of("smoke")
    # 2 × (10 + 10) target and retention, 4 implicit, 10 general, 4 probes of 4; ear: 4 of the further window too
    assert units(config, "render_images") == {"images": 2 * 70 + 2 * 74 + 70, "captions": 5 * 8}
    # Without the general ones, but with 3 ceilings of the 30 pairs' first 4.
    assert units(config, "render_original") == {"images": 60 + 12}
    assert units(config, "render_general") == {"images": 10 + 2, "captions": 8}  # 10 without church
    assert units(config, "render_pairs") == {"images": 60}
    assert units(config, "sample_streams") == {"streams": 2 * (3 * 30 + 30)}
    # 64 tokens: 16 windows of 4, in the sweep 4 more of 16; rows of training.csv: 480 and 600 a seed
    assert units(config, "erase")["windows"] == 2 * 480 + 2 * 600
    assert [one.pairs for one in fine_tunings(config)] == [30] * 6


def test_shards_have_the_images_that_rendering_gives_them():
    import pandas as pd

    config = config_of("smoke", rendering={"shards": 3})
    sets = ["target"] * 10 + ["retention"] * 10 + ["implicit"] * 4 + ["general"] * 10
    prompts = with_samples(pd.DataFrame({"prompt_id": map(str, range(34)), "prompt_set": sets}), 2)
    jobs = {job.name: job for job in jobs_of(config) if job.rule == "render_images"}
    for shard in range(3):
        rows = shard_rows(prompts, shard, 3)["prompt_set"]
        of_four = len(shard_rows(prompts.head(4), shard, 3))  # the further window, and each of 4 probes
        special, general, _ = jobs[f"render_images-church-ear-1-{shard}"].works
        assert (special.count, general.count) == (
            (rows != "general").sum() + 5 * of_four,
            (rows == "general").sum(),
        )


@pytest.mark.parametrize("tail", ["drop", "keep"])
@pytest.mark.parametrize("window", [1, 5, 16])
def test_windows_are_those_of_the_trainer(window, tail):
    config = config_of(
        "smoke",
        methods={"other": {"variant": "ear", "choices": {"tail": tail, "window": window, "passes": 2}}},
    )
    bounds = window_bounds(config.image_tokens, window, tail)
    found = next(one.windows for one in fine_tunings(config) if one.method == "other")
    assert found.count == len(bounds) * 30 * 2
    assert found.tokens == sum(stop - start for start, stop in bounds) * 30 * 2


def test_a_negative_prompt_takes_a_third_row():
    works = [job.works[0] for job in jobs_of(config_of("smoke")) if "negative-prompt" in job.name]
    assert {work.rows for work in works if isinstance(work, Images)} == {3}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_images_judged_are_images_drawn_and_the_originals_general_ones_are_drawn_once(path):
    config = config_of("mini" if path.stem == "config" else path.stem)
    by_run = sum(drawn(config, concept, method).total for concept, method, _ in config.runs())
    made = sum(units(config, rule)["images"] for rule in drawing_rules(config))
    judges = {concept: len(config.concepts[concept].judges) for concept in config.concepts}
    judged = sum(judges[run[0]] * _judged(drawn(config, *run[:2])) for run in config.runs())
    judging = ("evaluate",) if config.world else ("measure_images", "evaluate")
    found = sum(units(config, rule).get("verdicts", 0) for rule in judging)
    assert judged == found
    assert made == by_run - len(config.concepts) * config.utility.general + shared_general(config)


def _judged(images):
    return images.total - images.general


def drawing_rules(config):
    rules = {job.rule for job in jobs_of(config)}
    return rules & {"render_general", "render_original", "render_images", "render_diffusion"}


@pytest.mark.parametrize(
    ("section", "key", "more", "rules"),
    [
        (
            "prompts",
            "sources",
            {"grammar": {"by": "grammar", "pairs": 31}},
            ["render_pairs", "filter_pairs", "sample_streams", "erase"],
        ),
        ("prompts", "target", 11, ["render_images", "evaluate"]),
        ("utility", "general", 11, ["render_images", "evaluate", "extract_features"]),
    ],
)
def test_more_asked_for_is_more_to_do(section, key, more, rules):
    before, after = config_of("smoke"), config_of("smoke", **{section: {key: more}})
    for rule in rules:
        assert sum(units(after, rule).values()) > sum(units(before, rule).values())


def test_concepts_erased_together_are_one_training_on_all_their_pairs():
    config = parse_config(with_own_concept(), "own", SHAPES)
    (one,) = [one for one in fine_tunings(config) if one.method == "ear-together"]
    assert (one.concept, one.pairs) == ("church+van-gogh", 170)
    assert one.windows.count == 3 * 170 * 64 // 8  # in three passes
    jobs = {job.name: job for job in jobs_of(config)}
    assert jobs["erase-church+van-gogh-ear-together-0"].units == one.windows.count
    assert {"evaluate-church-ear-together-0", "evaluate-van-gogh-ear-together-0"} <= set(jobs)
    assert "evaluate-fire-ear-together-0" not in jobs
    assert jobs["calibrate_judge-windmill-judge"].units == 170
    assert jobs["filter_pairs-windmill"].units == 2 * 170  # by two judges


def test_more_images_take_more_time():
    ours = Ours(JANUS_7B, batch_size=64)
    times = [ours.seconds(Images(count, count * 576, rows=2)) for count in (1, 64, 65, 1000)]
    assert times == sorted(times) and times[0] < times[-1]


def test_a_window_longer_than_a_micro_batch_is_read_twice():
    ours = Ours(JANUS_7B, batch_size=64)
    at_once, in_parts = (
        ours.seconds(Windows(1, 256, 256, "aligned", micro_batch, 5)) for micro_batch in (256, 128)
    )
    assert in_parts > at_once


def test_a_step_of_drawing_reads_weights_and_cache():
    # By hand: 30 × (4 × 4096² + 3 × 4096 × 11008) + 4096 × (4096 + 16384) weights of 2 bytes; 640 columns of
    # 2 × 30 × 4096 values in 128 rows; 576 steps at 60 % of 3.35 TB/s, 1 ms each beside; 0.57 TFLOP an image.
    weights = 2 * (30 * (4 * 4096**2 + 3 * 4096 * 11008) + 4096 * (4096 + 16384))
    cache = 128 * 640 * 2 * 30 * 4096 * 2
    wanted = 576 * ((weights + cache) / (0.6 * 3.35e12) + 1e-3) + 64 * 0.57e12 / (0.4 * 990e12)
    ours = Ours(JANUS_7B, batch_size=64)
    assert ours.seconds(Images(64, 64 * 576, rows=2)) == pytest.approx(wanted)


def test_the_release_takes_a_step_for_each_token_of_each_image():
    release = Release(Ours(JANUS_7B, batch_size=64))
    assert release.seconds(Images(8, 8 * 576, rows=2)) == pytest.approx(8 * 576 * 0.024)
    assert release.seconds(Images(8, 8 * 576, rows=2, general=True)) == pytest.approx(2 * 576 * 0.024)
    assert release.seconds(Windows(2, 96, 48, "aligned", 128, 5)) == pytest.approx(96 * 6 * 0.024)


def test_the_papers_loop_takes_longer_and_the_sum_is_that_of_the_stages(paper):
    ours, release = (sum(getattr(stage, key) for stage in paper.stages) for key in ("seconds", "release"))
    assert release > 5 * ours
    assert f"{ours / 3600:,.1f} hours" in as_text(paper)
    assert f"{release / 3600:,.0f} hours" in " ".join(as_text(paper).split())


def test_every_rate_has_a_basis(paper):
    rates = [*paper.rates, *plan_of(config_of("mini")).rates]
    assert all(one.basis.startswith(("stated: ", "measured: ")) or one.basis == "unknown" for one in rates)
    assert all((one.seconds is None) == (one.basis == "unknown") for one in rates)
    assert {kind for job in jobs_of(paper.config) for kind in map(type, job.works)} == set(STATED)


def test_measured_times_take_the_place_of_stated_ones(finished):
    config = config_of("janus-pro-7b")
    folder = finished("render_pairs-church", 49.0)  # 98 images
    finished("render_pairs-no-such-concept", 1e6)
    plan = plan_of(config, folder)
    stage = next(stage for stage in plan.stages if stage.rule == "render_pairs")
    assert stage.seconds == pytest.approx(298 * 0.5)
    assert stage.basis == "measured: 1 of 3 jobs"
    assert plan.rates[0].seconds == pytest.approx(0.5) and plan.rates[0].basis.startswith("measured: ")


def test_a_benchmark_file_that_is_not_whole_measures_nothing(finished):
    folder = finished("render_pairs-church", "NA")
    (folder / "filter_pairs-church.tsv").write_text("", encoding="utf-8")
    assert not any("measured" in stage.basis for stage in plan_of(config_of("smoke"), folder).stages)


def test_unknown_times_are_shown_and_not_summed(finished):
    plan = plan_of(config_of("smoke"), finished("render_pairs-church", 90.0))
    text = as_text(plan)
    (row,) = (line for line in text.splitlines() if line.startswith("  fine-tune "))
    assert row.endswith("unknown   unknown")
    assert "≥ 1.50" in text and "at least 1.5 minutes" in text
    told = as_json(plan)
    assert told["known_seconds"] == 90 and "erase" in told["stages_of_unknown_time"]
    assert "is unknown until" in as_text(plan_of(config_of("smoke")))


def test_stand_ins_have_unknown_sizes_and_times(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # away from a rehearsal that has been made
    config = config_of("rehearsal")
    assert dimensions_of(config, CATALOGUE) is None
    assert {one.each for one in files_of(config, None) if one.what.startswith("adapters")} == {None}
    assert "≥" in as_text(plan_of(config)) and "made first" in as_text(plan_of(config))


def test_disk_is_images_streams_adapters_and_features(paper):
    files = {one.what: one for one in paper.files}
    adapter = 5 * 4 * 4096**2 * 2
    assert files["adapters trained here, K = 5"].bytes == 24 * adapter
    assert files["adapters imported, as if K = 5"].bytes == 3 * adapter
    assert files["images of the backbone (PNG)"].bytes == pytest.approx(
        (556_730 - 60_000 + 298 + 9264) * 384**2 * 1.6
    )
    assert files["images of Stable Diffusion, 512 px (PNG)"].count == 1539
    assert files["image tokens of streams"].bytes == 1043 * 576 * 8
    kept = sum(one.bytes for one in paper.files if not one.passing)
    assert f"{kept / 1e9:.3g} GB" in as_text(paper)


def test_assets_are_to_fetch_until_they_are_there(tmp_path):
    raw = config_of("janus-pro-7b").model_dump()
    raw["assets"] |= {"store": str(tmp_path)}
    config = parse_config(raw, "test", SHAPES)
    before = {one.name: one for one in needed_assets(config, CATALOGUE)}
    assert [*before] == config.used_assets
    assert [name for name, one in before.items() if not one.fetch] == ["nudenet"]
    (tmp_path / "inception").mkdir()
    (tmp_path / "inception" / "inception-2015-12-05.pt").touch()
    after = {one.name: one for one in needed_assets(config, CATALOGUE)}
    assert (after["inception"].fetch, after["inception"].state) == (False, "in assets.store")
    assert after["prompts"].state == "to fetch"


def test_the_mini_worlds_models_are_in_the_repository_or_in_root(tmp_path):
    config = config_of("mini")
    assert {one.state for one in needed_assets(config, CATALOGUE)} == {"in this repository"}
    assert "To fetch: nothing" in as_text(plan_of(config))
    raw = config.model_dump()
    raw["assets"] |= {"root": str(tmp_path)}
    own = parse_config(raw, "test", SHAPES)
    (tmp_path / "mini-classifier").mkdir()
    for file in CATALOGUE["mini-classifier"].sha256:
        (tmp_path / "mini-classifier" / file).touch()
    states = {one.name: one.state for one in needed_assets(own, CATALOGUE)}
    assert states.pop("mini-classifier") == "in assets.root"
    assert set(states.values()) == {"missing in assets.root"}


def test_assets_missing_in_root_are_not_to_be_fetched(tmp_path):
    raw = config_of("janus-pro-7b").model_dump()
    raw["assets"] |= {"root": str(tmp_path)}
    found = needed_assets(parse_config(raw, "test", SHAPES), CATALOGUE)
    assert {one.state for one in found} == {"missing in assets.root", "installed"}
    assert not any(one.fetch for one in found)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_text_fits_a_terminal_and_json_holds_the_plan(path):
    config = config_of("mini" if path.stem == "config" else path.stem)
    again = parse_config(config.model_dump(), path.stem, SHAPES)  # as Snakemake hands it to the script
    plan = plan_of(again)
    text = as_text(plan)
    assert max(map(len, text.splitlines())) <= WIDTH
    assert not any(line != line.rstrip() for line in text.splitlines())
    assert json.loads(json.dumps(as_json(plan)))["experiment"] == config.experiment


@pytest.mark.parametrize("page", PAGES)
def test_pages_state_what_the_plan_states(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert filled(text, ROOT) == text, "run python -m ear.plan"
    outside = BLOCK.sub("", text)
    assert not re.search(r"\d+ (GPU )?hours", outside)  # figures outside of the blocks would go stale


def test_work_is_done_in_as_large_batches_as_a_card_holds(paper):
    draw = next(need for need in paper.needs if need.what == "draw")
    assert [draw.fits(one.card.free_bytes) for one in paper.cards] == [8, 32, 64]
    assert [one.batch_size for one in paper.cards] == [0, 32, 64]  # 24 GB: fine-tuning does not fit
    assert paper.cards[1].seconds > paper.cards[2].seconds
    assert "too large for one RTX 3090" in " ".join(as_text(paper).split())
    assert plan_of(config_of("mini")).cards == plan_of(config_of("rehearsal")).needs == []


def test_a_table_is_aligned():
    assert table(["a", "count"], [["long name", "1"], ["b", "1,000"]]).splitlines() == [
        "a          count",
        "long name      1",
        "b          1,000",
    ]


def test_work_without_a_rate_is_unknown():
    assert Ours(JANUS_7B, batch_size=64).seconds(Work(1, 0)) is None
