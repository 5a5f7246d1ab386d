"""The paper's experiment on tiny stand-ins: every rule of it but the attacks', on files of the real formats."""

import json

import pandas as pd
import pytest
import torch

from ear.erasure.edited_weights import load_edited
from ear.workflow.files import sha256_file
from tests.workflow.repository import copy_of_the_repository, snakemake
from tests.workflow.test_paper import CONCEPTS, COUNTS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

METHODS = ["original", "published", "released", "paper", "wga", "ear"]  # on every concept
# The smoke experiment has them.
LEFT_TO_SMOKE = {"attack", "plot_attacks", "plot_sweeps", "plot_relearning"}


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    return copy_of_the_repository(tmp_path_factory.mktemp("rehearsal") / "repository")


@pytest.fixture(scope="module")
def rehearsed(repository):
    snakemake(repository, "--configfile", "configs/rehearsal.yaml")
    return repository / "results/rehearsal"


def test_the_rehearsal_runs_every_rule_of_the_paper(rehearsed):
    jobs = {path.stem.split("-")[0] for path in rehearsed.glob("benchmarks/*.tsv")}
    assert jobs == (COUNTS.keys() - {"all"} - LEFT_TO_SMOKE) | {"make_stand_ins"}


def test_the_rehearsal_makes_all_figures_and_tables_of_the_paper(rehearsed):
    names = ["concept-rate", "tradeoff", "window-length", "nudity", "samples", "score-card"]
    names += ["prefix", "understanding"]
    names += [f"{name}-{concept}" for name in ("samples", "training") for concept in CONCEPTS]
    for name in names:
        for suffix in ("png", "pdf"):
            assert (rehearsed / f"figures/{name}.{suffix}").stat().st_size > 0, name
    for name in ("metrics.csv", "window-length.csv", "score-card.tex", "deviations.csv"):
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
    windows = pd.read_csv(rehearsed / "erasure/church/ear/seed0/windows.csv")
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
    captions = pd.read_csv(rehearsed / "models/prompts/coco_30k.csv").set_index("image_id")["prompt"]
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


def test_published_pairs_are_all_kept(rehearsed):
    for concept in CONCEPTS:
        candidates = pd.read_csv(rehearsed / f"prompts/{concept}/candidates.csv")
        pairs = pd.read_csv(rehearsed / f"judges/{concept}/pairs.csv")
        assert list(pairs["pair_id"]) == list(candidates["pair_id"])
        assert (rehearsed / f"judges/{concept}/dropped.csv").exists()


def test_the_authors_weights_are_imported_as_they_are(rehearsed):
    published, facts = load_edited(rehearsed / "erasure/church/published/seed0/weights.safetensors")
    files = [path for path in (rehearsed / "models/ear-weights").rglob("*church*") if path.is_file()]
    content = torch.load(files[0], weights_only=True)
    assert published.keys() == content.keys()
    for name, tensor in published.items():
        assert torch.equal(tensor, content[name]["weight"].float())
    assert (facts.concept, facts.method, facts.window) == ("church", "published", 48)


def test_assets_are_linked_and_recorded(rehearsed):
    record = json.loads((rehearsed / "models/clip/asset.json").read_text())
    for name, facts in record["files"].items():
        assert sha256_file(rehearsed / "models/clip" / name) == facts["sha256"]


def test_a_second_run_of_the_rehearsal_has_nothing_to_do(repository, rehearsed):
    run = snakemake(repository, "--configfile", "configs/rehearsal.yaml")
    assert "Nothing to be done" in run.stdout + run.stderr
