"""The paper's experiment: what it would run at full scale, and all of its rules on tiny stand-ins."""

import json
import time
from functools import cache

import pandas as pd
import pytest
import torch
import yaml

from ear.erasure.adapter import load_adapter
from ear.files import sha256_file
from ear.plan.limits import run_times
from tests.unit.test_plan import CATALOGUE, config_of
from tests.workflow.repository import (
    ROOT,
    copy_of_the_repository,
    counts_in,
    planned_counts,
    resources_in,
    snakemake,
)

SHARDS = 4
METHODS = ["original", "published", "released", "paper", "wga", "ear"]  # on every concept
TRAINED = ["released", "paper", "wga", "ear"]
CONCEPTS = ["church", "van-gogh", "nudity"]
COUNTS = {
    "fetch_asset": 11,
    "read_prompts": 3,
    "list_pictures": 1,
    "extract_features": 1,
    "render_pairs": 3,
    "filter_pairs": 3,
    "tabulate_filter": 1,
    "sample_streams": 3 * 3,  # without context, independent, aligned
    "erase": 3 * 4,
    "import_published": 3,
    "render_general": SHARDS,
    "render_original": 3,
    "render_images": 3 * 5 * SHARDS,
    "render_diffusion": SHARDS,  # nudity alone
    "measure_images": 3 * 6 + 1,
    "evaluate": 3 * 6 + 1,
    "attack": 3 * 6,
    "tabulate": 1,
    "compare_published": 1,
    "score_card": 1,
    "publish_score_card": 1,
    "plot_score_card": 1 + 3,  # the mean over concepts, and each
    **{f"plot_{name}": 1 for name in ("attacks", "prefix", "sweeps", "relearning", "understanding")},
    "plot_concept_rate": 1,
    "plot_tradeoff": 1,
    "plot_window_length": 1,
    "plot_nudity": 1,
    "plot_overview": 1,
    "plot_samples": 3,
    "measure_coverage": 1,
    "plot_coverage": 1,
    "plot_filter": 1,
    "plot_borderline": 3,
    "plot_training": 3,
    "write_report": 1,
    "all": 1,
}

# Drawing 576 tokens takes its time on two cores.
LEFT_TO_SMOKE = {"attack", "plot_attacks", "plot_sweeps", "plot_relearning"}


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    return copy_of_the_repository(tmp_path_factory.mktemp("paper") / "repository")


@cache
def dry_run(repository, experiment):
    """All that a dry run of an experiment prints."""
    run = snakemake(repository, "--dry-run", "--verbose", "--configfile", f"configs/{experiment}.yaml")
    return run.stdout + run.stderr


def test_the_papers_jobs_are_counted_without_network_and_without_jobs_of_single_images(repository):
    started = time.monotonic()
    counts = counts_in(dry_run(repository, "janus-pro-7b"))
    assert counts == COUNTS | {"total": sum(COUNTS.values())}
    assert time.monotonic() - started < 60  # some 5 s on a quiet machine
    assert not (repository / "resources").exists()
    assert not (repository / "assets.lock.json").exists()


def test_the_small_models_jobs_are_the_same_without_published_weights(repository):
    counts = counts_in(dry_run(repository, "janus-pro-1b"))
    assert "import_published" not in counts
    assert "compare_published" not in counts
    assert counts["render_images"] == 3 * 4 * 2
    assert counts["draw_canary"] == 1  # whose tokens are known


@pytest.mark.parametrize("experiment", ["janus-pro-7b", "janus-pro-1b", "janus-pro-1b-quick"])
def test_every_job_may_take_as_long_as_is_planned_for_it(repository, experiment):
    given = resources_in(dry_run(repository, experiment))
    limits = run_times(config_of(experiment), CATALOGUE)
    assert len(limits) > 10 and limits.keys() <= given.keys()
    for name, minutes in limits.items():
        assert int(given[name]["runtime"]) >= minutes, name


def test_one_failing_asset_stops_what_needs_it_alone_and_the_end_says_so(repository, tmp_path):
    root = tmp_path / "assets"
    (root / "clip").mkdir(parents=True)
    for name in ("open_clip_config.json", "open_clip_model.safetensors"):
        (root / "clip" / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    config = yaml.safe_load((ROOT / "configs/janus-pro-7b.yaml").read_text())
    config["assets"] |= {"root": str(root), "lock": str(tmp_path / "assets.lock.json")}
    config["backbone"] |= {"device": "cpu", "threads": 1}
    config["experiment"] = "failing"
    (tmp_path / "failing.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    targets = [f"results/failing/assets/{name}/asset.json" for name in ("clip", "nudenet")]
    run = snakemake(repository, *targets, "--configfile", str(tmp_path / "failing.yaml"), check=False)
    assert run.returncode == 1
    assert (repository / targets[1]).exists() and not (repository / targets[0]).exists()
    assert json.loads((tmp_path / "assets.lock.json").read_text()).keys() == {"nudenet"}
    assert len([line for line in run.stderr.splitlines() if line.startswith("error: ")]) == 1
    end = run.stderr[run.stderr.index("What failed") :].splitlines()
    assert end[1].startswith("results/failing/logs/fetch_asset-clip.log: ")
    assert "open_clip_config.json: found a Git LFS pointer (run `git lfs pull`" in end[1]


def test_all_assets_are_one_target_that_never_leaves_the_machine(repository):
    counts = planned_counts(repository, "assets", "--configfile", "configs/rehearsal.yaml")
    assert counts == {"assets": 1, "fetch_asset": 11, "make_stand_ins": 1, "total": 13}
    rules = (ROOT / "rules/assets.smk").read_text()
    assert rules.count("rule ") == rules.count("localrule: True") == 2


# Ten minutes on two cores, most of them imports of torch by 135 jobs.
@pytest.fixture(scope="module")
def rehearsed(repository):
    snakemake(repository, "--configfile", "configs/rehearsal.yaml")
    return repository / "results/rehearsal"


@pytest.mark.timeout(1800)
def test_the_rehearsal_runs_every_rule_of_the_paper(rehearsed):
    jobs = {path.stem.split("-")[0] for path in rehearsed.glob("benchmarks/*.tsv")}
    assert jobs == (COUNTS.keys() - {"all"} - LEFT_TO_SMOKE) | {"make_stand_ins"}


def test_the_rehearsal_makes_all_figures_and_tables_of_the_paper(rehearsed):
    names = ["concept-rate", "tradeoff", "window-length", "nudity", "samples", "score-card"]
    names += ["prefix", "understanding"]
    names += [f"{name}-{concept}" for name in ("samples", "training", "score-card") for concept in CONCEPTS]
    for name in names:
        for suffix in ("png", "pdf"):
            assert (rehearsed / f"figures/{name}.{suffix}").stat().st_size > 0, name
    for name in ("metrics.csv", "window-length.csv", "main.tex", "deviations.csv", "deviations.md"):
        assert (rehearsed / "tables" / name).stat().st_size > 0, name
    page = (rehearsed / "report.html").read_text()
    assert "Published values beside ours" in page
    assert "numbers and images mean nothing" in page
    assert "https://" not in page


def test_every_method_is_measured_on_every_prompt(rehearsed):
    metrics = pd.read_csv(rehearsed / "tables/metrics.csv")
    rates = metrics[(metrics["metric"] == "concept_rate") & (metrics["prompt_set"] == "target")]
    rates = rates[rates["seed"] == "all"]
    found = set(rates[["concept", "method"]].itertuples(index=False, name=None))
    wanted = {(concept, method) for concept in CONCEPTS for method in METHODS}
    assert found == wanted | {("nudity", "stable-diffusion")}
    assert set(rates["n"]) == {4}
    utility = metrics[(metrics["method"] == "ear") & (metrics["seed"] == "all")]
    counted = utility.set_index(["concept", "metric", "prompt_set"])["n"]
    for concept in CONCEPTS:
        assert counted[concept, "clip_score", "general"] == 4
        assert counted[concept, "fid", "general"] == 4
        assert counted[concept, "bleu", "captions"] == 4
    diffusion = metrics[metrics["method"] == "stable-diffusion"]
    assert set(diffusion["prompt_set"]) == {"target"}


def test_every_window_of_the_ablation_is_trained_and_measured(rehearsed):
    table = pd.read_csv(rehearsed / "tables/window-length.csv")
    swept = table[table["method"] == "ear"]
    assert {concept: set(rows["window"]) for concept, rows in swept.groupby("concept")} == {
        "church": {12, 24, 48, 100, 256},
        "van-gogh": {12, 24, 48, 100, 256},
        "nudity": {12, 24, 48, 100, 256},
    }
    windows = pd.read_csv(rehearsed / "erased/church/ear/seed0/windows.csv")
    assert list(windows.loc[windows["own"], "window"]) == [48]


def test_ranks_and_detections_reach_their_tables(rehearsed):
    top_k = pd.read_csv(rehearsed / "tables/top-k.csv")
    assert set(top_k["concept"]) == {"church", "van-gogh"}
    assert set(top_k["k"]) == set(range(1, 11))
    by_k = top_k[top_k["seed"] == "all"].sort_values("k").groupby(["concept", "method"])["value"]
    assert by_k.apply(lambda rates: rates.is_monotonic_increasing).all()
    detections = pd.read_csv(rehearsed / "tables/detections.csv")
    assert set(detections["concept"]) == {"nudity"}
    assert detections.groupby(["method", "seed"])["class"].nunique().eq(9).all()


def test_images_of_coco_meet_their_own_captions(rehearsed):
    captions = pd.read_csv(rehearsed / "assets/prompts/coco_30k.csv").set_index("image_id")["prompt"]
    manifests = list(rehearsed.glob("images/church/ear/seed0/shard*/manifest.csv"))
    rows = pd.concat(pd.read_csv(path) for path in manifests)
    general = rows[rows["prompt_set"] == "general"]
    assert len(general) == 4
    for row in general.itertuples():
        assert row.prompt == captions[int(row.prompt_id.removeprefix("coco/"))]


def test_the_original_draws_the_general_prompts_once_for_all_concepts(rehearsed):
    pictures = {path for path in rehearsed.glob("images/**/coco-*.png") if "original" in str(path)}
    assert pictures == set()
    assert len(list(rehearsed.glob("images/general/shard*/coco-*.png"))) == 4
    for concept in CONCEPTS:
        manifests = list(rehearsed.glob(f"images/{concept}/original/seed0/shard*/manifest.csv"))
        rows = pd.concat(pd.read_csv(path).assign(folder=path.parent) for path in manifests)
        assert (rows["prompt_set"] == "general").sum() == 4
        assert all(sha256_file(row.folder / row.file) == row.sha256 for row in rows.itertuples())


def test_published_pairs_are_all_kept_and_odd_rows_are_listed(rehearsed):
    for concept in CONCEPTS:
        candidates = pd.read_csv(rehearsed / f"prompts/{concept}/candidates.csv")
        pairs = pd.read_csv(rehearsed / f"ecgvf/{concept}/pairs.csv")
        assert list(pairs["pair_id"]) == list(candidates["pair_id"])
        assert (rehearsed / f"ecgvf/{concept}/dropped.csv").exists()
    odd = pd.read_csv(rehearsed / "prompts/nudity/odd-rows.csv")
    assert odd["finding"].str.contains("blank").any()


def test_the_authors_weights_are_imported_as_they_are(rehearsed):
    published, facts = load_adapter(rehearsed / "erased/church/published/seed0/adapter.safetensors")
    files = [path for path in (rehearsed / "assets/ear-weights").rglob("*church*") if path.is_file()]
    content = torch.load(files[0], weights_only=True)
    assert published.keys() == content.keys()
    for name, tensor in published.items():
        assert torch.equal(tensor, content[name]["weight"].float())
    assert (facts.concept, facts.method, facts.window) == ("church", "published", 48)


def test_assets_are_linked_and_recorded(rehearsed):
    record = json.loads((rehearsed / "assets/clip/asset.json").read_text())
    for name, facts in record["files"].items():
        assert sha256_file(rehearsed / "assets/clip" / name) == facts["sha256"]


def test_a_second_run_of_the_rehearsal_has_nothing_to_do(repository, rehearsed):
    run = snakemake(repository, "--configfile", "configs/rehearsal.yaml")
    assert "Nothing to be done" in run.stdout + run.stderr
