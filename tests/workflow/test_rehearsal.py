"""The paper's experiment on tiny stand-ins: every rule of it but the attacks', on files of the real formats."""

import pandas as pd
import pytest
import torch

from ear.erasure.edited_weights import load_edited
from ear.workflow.files import sha256_file
from tests.workflow.repository import (
    config_of,
    copy_of_the_repository,
    planned_counts,
    snakemake,
    write_config,
)
from tests.workflow.test_paper import COUNTS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

# Of each kind of method one, and no more runs than its rules need. The judge of objects is the smoke experiment's too.
CONCEPTS = ["van-gogh", "nudity"]
METHODS = {"original": CONCEPTS, "stable-diffusion": ["nudity"], "published": ["van-gogh"], "ear": CONCEPTS}
WINDOWS = [12, 48]
# The smoke experiment has them.
LEFT_TO_SMOKE = {"attack", "plot_sweeps", "plot_relearning"}


def rehearsal():
    """configs/rehearsal.yaml with fewer concepts, runs and window lengths."""
    config = config_of("rehearsal")
    implicit = {"van-gogh": ["a night sky in thick, swirling strokes"], "nudity": []}
    config["concepts"] = {name: config["concepts"][name] | {"implicit": implicit[name]} for name in CONCEPTS}
    config["methods"] = {name: config["methods"][name] for name in METHODS}
    config["methods"]["published"] |= {"concepts": METHODS["published"], "weights": {"van-gogh": "*gogh*"}}
    config["erasure"]["windows"] = WINDOWS
    return config


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory):
    folder = copy_of_the_repository(tmp_path_factory.mktemp("rehearsal") / "repository")
    config = write_config(folder / "rehearsal.yaml", rehearsal())
    snakemake(folder, *config)
    assert planned_counts(folder, *config) == {}
    return folder / "results/rehearsal"


def test_the_rehearsal_runs_every_rule_of_the_paper_and_makes_all_its_files(rehearsed):
    jobs = {path.stem.split("-")[0] for path in rehearsed.glob("benchmarks/*.tsv")}
    assert jobs == (COUNTS.keys() - {"all"} - LEFT_TO_SMOKE) | {"make_stand_ins"}
    names = ["concept-rate", "tradeoff", "window-length", "nudity", "samples", "score-card"]
    names += ["attacks", "prefix", "understanding", "filter-scores"]
    names += [f"{name}-{concept}" for name in ("samples", "training", "borderline") for concept in CONCEPTS]
    figures = {f"{name}.{suffix}" for name in names for suffix in ("png", "pdf")}
    assert {path.name for path in rehearsed.glob("figures/*")} == figures
    assert (rehearsed / "tables/deviations.csv").stat().st_size > 0
    page = (rehearsed / "report.html").read_text()
    assert "Published values beside ours" in page
    assert "numbers and images mean nothing" in page
    assert "https://" not in page


def test_every_method_and_window_is_measured_on_every_prompt(rehearsed):
    metrics = pd.read_csv(rehearsed / "tables/metrics.csv").query("seed == 'all'")
    rates = metrics.query("metric == 'concept_rate' and prompt_set == 'target'")
    found = set(rates[["concept", "method"]].itertuples(index=False, name=None))
    assert found == {(concept, method) for method, concepts in METHODS.items() for concept in concepts}
    assert set(rates["n"]) == {4}
    counted = metrics.query("method == 'ear'").set_index(["concept", "metric", "prompt_set"])["n"]
    for concept in CONCEPTS:
        for metric, prompt_set in (("clip_score", "general"), ("fid", "general"), ("bleu", "captions")):
            assert counted[concept, metric, prompt_set] == 4
        written = pd.read_csv(rehearsed / f"prompts/{concept}/evaluation.csv")["prompt_set"]
        for one in written[written.str.startswith("public-")]:
            rated = metrics[(metrics["concept"] == concept) & (metrics["prompt_set"] == one)]
            assert {"original", "ear"} <= set(rated["method"]) and set(rated["metric"]) >= {"concept_rate"}
    assert counted["van-gogh", "accuracy", "retention"] == 2
    assert set(metrics.query("method == 'stable-diffusion'")["prompt_set"]) == {"target"}
    swept = pd.read_csv(rehearsed / "tables/window-length.csv").query("method == 'ear'")
    windows = swept.groupby("concept")["window"].agg(set).to_dict()
    assert windows == {"van-gogh": {12, 48}, "nudity": {12, 48, 100}}  # its own with those of the sweep


def test_ranks_and_detections_reach_their_tables(rehearsed):
    top_k = pd.read_csv(rehearsed / "tables/top-k.csv")
    assert set(top_k["concept"]) == {"van-gogh"}
    assert set(top_k["k"]) == set(range(1, 11))
    by_k = top_k[top_k["seed"] == "all"].sort_values("k").groupby(["concept", "method"])["value"]
    assert by_k.apply(lambda rates: rates.is_monotonic_increasing).all()
    rules = pd.read_csv(rehearsed / "tables/judge-rules.csv").query(
        "seed == 'all' and prompt_set == 'target'"
    )
    counted = rules.groupby(["concept", "method"])["protocol"].nunique().groupby("concept").unique()
    assert counted.map(list).to_dict() == {"nudity": [4]}
    agreement = pd.read_csv(rehearsed / "tables/agreement.csv")
    assert agreement[["concept", "second"]].values.tolist() == [["nudity", "nsfw-classifier-top1/1"]]
    detections = pd.read_csv(rehearsed / "tables/detections.csv")
    assert set(detections["concept"]) == {"nudity"}
    assert detections.groupby(["method", "seed"])["class"].nunique().eq(9).all()


def test_the_original_draws_cocos_captions_once_for_all_concepts(rehearsed):
    captions = pd.read_csv(rehearsed / "models/prompts/coco_30k.csv").set_index("image_id")["prompt"]
    assert len(list(rehearsed.glob("images/general/shard*/coco-*.png"))) == 4
    assert not list(rehearsed.glob("images/*/original/**/coco-*.png"))
    for concept in CONCEPTS:
        manifests = list(rehearsed.glob(f"images/{concept}/original/seed0/shard*/manifest.csv"))
        rows = pd.concat(pd.read_csv(path).assign(folder=path.parent) for path in manifests)
        assert all(sha256_file(row.folder / row.file) == row.sha256 for row in rows.itertuples())
        general = rows[rows["prompt_set"] == "general"]
        ids = general["prompt_id"].str.removeprefix("coco/").astype(int)
        assert len(general) == 4 and list(general["prompt"]) == list(captions[ids])


def test_published_pairs_are_all_kept(rehearsed):
    for concept in CONCEPTS:
        candidates = pd.read_csv(rehearsed / f"prompts/{concept}/candidates.csv")
        pairs = pd.read_csv(rehearsed / f"judges/{concept}/pairs.csv")
        assert list(pairs["pair_id"]) == list(candidates["pair_id"])


def test_the_authors_weights_are_imported_as_they_are(rehearsed):
    published, facts = load_edited(rehearsed / "erasure/van-gogh/published/seed0/weights.safetensors")
    files = [path for path in (rehearsed / "models/ear-weights").rglob("*gogh*") if path.is_file()]
    content = torch.load(files[0], weights_only=True)
    assert published.keys() == content.keys()
    for name, tensor in published.items():
        assert torch.equal(tensor, content[name]["weight"].float())
    assert (facts.concept, facts.method, facts.window) == ("van-gogh", "published", 12)
