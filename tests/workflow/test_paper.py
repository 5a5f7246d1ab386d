"""The paper's experiment: what it would run at full scale."""

import json
import re
from functools import cache

import pytest

from ear.commands.plan.estimate import run_times
from tests.unit.commands.test_plan import CATALOGUE, config_of
from tests.workflow.repository import (
    ROOT,
    copy_of_the_repository,
    counts_in,
    dry_run,
    planned_counts,
    resources_in,
    snakemake,
    write_config,
)
from tests.workflow.repository import config_of as raw_config_of

SHARDS = 4
CONCEPTS = ["church", "van-gogh", "nudity"]
COUNTS = {
    "fetch_asset": 17,
    "read_prompts": 3,
    "list_pictures": 1,
    "extract_features": 1,
    "render_pairs": 3,
    "render_targets": 3,
    "filter_pairs": 3,
    "tabulate_pairs": 1,
    "sample_sequences": 3 * 3,  # without context, independent, aligned
    "erase": 3 * 5,
    "import_published": 3,
    "render_general": SHARDS,
    "render_original": 3,
    "render_images": 3 * 6 * SHARDS,
    "render_diffusion": SHARDS,  # nudity alone
    "measure_images": 3 * 7 + 1,
    "evaluate": 3 * 7 + 1,
    "attack": 3 * 7,
    "tabulate": 1,
    "plot_score_card": 1,
    **{f"plot_{name}": 1 for name in ("attacks", "prefix", "sweeps", "relearning", "understanding")},
    "plot_concept_rate": 1,
    "plot_tradeoff": 1,
    "plot_window_length": 1,
    "plot_nudity": 1,
    "plot_overview": 1,
    "plot_samples": 3,
    "plot_filter_scores": 1,
    "plot_borderline": 3,
    "plot_training": 3,
    "write_report": 1,
    "all": 1,
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    return copy_of_the_repository(tmp_path_factory.mktemp("paper") / "repository")


@cache
def jobs_of(repository, experiment):
    """All that a dry run of an experiment prints."""
    return dry_run(repository, "--verbose", "--configfile", f"configs/{experiment}.yaml")


def test_the_papers_jobs_are_counted_without_network_and_without_jobs_of_single_images(repository):
    counts = counts_in(jobs_of(repository, "janus-pro-7b"))
    assert counts == COUNTS | {"total": sum(COUNTS.values())}
    assert not (repository / "resources").exists()
    assert not (repository / "assets.lock.json").exists()


def test_the_small_models_jobs_are_the_same_without_published_weights(repository):
    counts = counts_in(jobs_of(repository, "janus-pro-1b"))
    assert "import_published" not in counts
    assert counts["render_images"] == 3 * 4 * 2
    assert counts["draw_canary"] == 1  # whose tokens are known


@pytest.mark.parametrize("experiment", ["janus-pro-7b", "janus-pro-1b"])
def test_every_job_may_take_as_long_as_is_planned_for_it(repository, experiment):
    given = resources_in(jobs_of(repository, experiment))
    limits = run_times(config_of(experiment), CATALOGUE)
    assert len(limits) > 10 and limits.keys() <= given.keys()
    for name, minutes in limits.items():
        assert int(given[name]["runtime"]) >= minutes, name


def test_one_failing_asset_stops_what_needs_it_alone_and_the_end_says_so(repository, tmp_path):
    root = tmp_path / "assets"
    (root / "clip").mkdir(parents=True)
    for name in ("open_clip_config.json", "open_clip_model.safetensors"):
        (root / "clip" / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    config = raw_config_of("janus-pro-7b")
    config["assets"] |= {"root": str(root), "lock": str(tmp_path / "assets.lock.json")}
    config["backbone"] |= {"device": "cpu", "threads": 1}
    config["experiment"] = "failing"
    failing = write_config(tmp_path / "failing.yaml", config)
    targets = [f"results/failing/models/{name}/asset.json" for name in ("clip", "nudenet")]
    run = snakemake(repository, *targets, *failing, check=False)
    assert run.returncode == 1
    assert (repository / targets[1]).exists() and not (repository / targets[0]).exists()
    assert json.loads((tmp_path / "assets.lock.json").read_text()).keys() == {"nudenet"}
    assert len([line for line in run.stderr.splitlines() if line.startswith("error: ")]) == 1
    end = run.stderr[run.stderr.index("Failed jobs") :].splitlines()
    assert end[1].startswith("results/failing/logs/fetch_asset-clip.log: ")
    assert "open_clip_config.json: found a Git LFS pointer (run `git lfs pull`" in end[1]


def test_all_assets_are_one_target(repository):
    counts = planned_counts(repository, "assets", "--configfile", "configs/rehearsal.yaml")
    assert counts == {"assets": 1, "fetch_asset": 17, "make_stand_ins": 1}


def test_the_slurm_profile_names_every_rule_of_a_gpu(repository):
    """Its commented block, which users take over for their partition."""
    profile = (ROOT / "profiles/slurm/config.yaml").read_text(encoding="utf-8")
    named = set(re.findall(r"^#   (\w+): ", profile, re.MULTILINE))
    given = resources_in(jobs_of(repository, "janus-pro-7b"))
    on_a_gpu = {name.split("-")[0] for name, resources in given.items() if int(resources.get("gpu", 0))}
    assert named == on_a_gpu | {"draw_canary"}
