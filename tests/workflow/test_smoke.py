"""The smoke experiment, end to end in a copy of the repository."""

import re

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from ear.config.paths import Paths
from ear.erasure.edited_weights import load_edited, read_windows
from ear.evaluation.columns import METRICS_CSV
from ear.workflow.files import sha256_file
from tests.workflow.repository import (
    ROOT,
    SMOKE,
    config_of,
    copy_of_the_repository,
    dry_run,
    planned_counts,
    snakemake,
    write_config,
)

METHODS = {"original", "ear", "negative-prompt"}


@pytest.fixture(scope="module")
def results(done):
    return done / "results" / "smoke"


def test_tables_figures_and_report_are_there_and_nothing_half_written(results):
    tables = {"sources", "filter", "agreement", "score-card", "window-length", "top-k", "comparisons"}
    assert {path.stem for path in results.glob("tables/*.csv")} == tables | {"metrics", "detections"}
    figures = {path.name for path in results.glob("figures/*")}
    assert len(figures) == 2 * 14 and {"samples-church.png", "samples-church.pdf"} <= figures
    made = [results / "report.html", results / "tables/score-card.tex", *results.glob("figures/*")]
    assert all(path.stat().st_size > 0 for path in made)
    assert not list(results.rglob("*.partial-*"))
    assert [path.name for path in results.parent.iterdir()] == ["smoke"]  # nothing of the default experiment


def test_metrics_are_tidy_and_whole(results):
    config = config_of("smoke")
    table = METRICS_CSV.read(results / "tables/metrics.csv")
    found = set(table[["method", "seed"]].itertuples(index=False, name=None))
    assert found == {(method, seed) for method in METHODS for seed in ("0", "all")}
    assert not table.duplicated(["concept", "method", "seed", "prompt_set", "metric"]).any()
    rates = {"concept_rate", "second_concept_rate", "accuracy"}
    assert set(table["metric"]) == rates | {"clip_score", "fid", "kid", "diversity", "bleu", "length_ratio"}
    counts = table.query("prompt_set == 'target' and metric == 'concept_rate' and seed == '0'")["n"]
    assert set(counts) == {config["prompts"]["target"] * config["axes"]["samples"]}
    with_interval = table[~table["metric"].isin(["fid", "diversity", "length_ratio"])]
    assert (with_interval["ci_low"] <= with_interval["value"]).all()
    assert (with_interval["value"] <= with_interval["ci_high"]).all()
    windows = pd.read_csv(results / "tables/window-length.csv")
    assert set(windows.loc[windows["method"] == "ear", "window"]) == {4, 16}


def test_the_church_is_erased_and_the_rest_is_kept(results):
    """The shipped models, thirty pairs: 20 images of the concept and 20 of other objects."""
    table = METRICS_CSV.read(results / "tables/metrics.csv").query("seed == 'all'")
    values = table.set_index(["method", "prompt_set", "metric"])["value"]
    assert values["original", "target", "concept_rate"] >= 0.9
    assert values["ear", "target", "concept_rate"] <= 0.2
    assert values["ear", "retention", "accuracy"] >= values["original", "retention", "accuracy"] - 0.1


def test_each_window_has_weights_that_know_what_they_are(results):
    log = pd.read_csv(results / "erasure/church/ear/seed0/training.csv")
    assert 0 < log["skipped"].sum() < len(log)
    (table,) = results.glob("erasure/church/*/seed*/windows.csv")  # the others train nothing
    windows = read_windows(table).edited_weights
    assert len({sha256_file(path) for path in windows.values()}) == len(windows) == 2
    for window, path in windows.items():
        weights, facts = load_edited(path)
        assert (facts.concept, facts.method, facts.window) == ("church", "ear", window)
        assert facts.pairs_sha256 == sha256_file(results / "prompts/church/candidates.csv")  # none is dropped
        assert set(weights) == {
            f"layers.{layer}.self_attn.{name}_proj" for layer in range(6) for name in "qkvo"
        }


def test_manifests_hold_for_their_images(results):
    manifests = list(results.glob("images/church/*/seed*/shard*/manifest.csv"))
    assert len(manifests) == len(METHODS) * 2
    for path in manifests:
        table = pd.read_csv(path)
        assert all(sha256_file(path.parent / row.file) == row.sha256 for row in table.itertuples())


def test_an_erased_model_and_an_archive_are_made_on_demand(own):
    folder = own / "results/smoke/export/church/ear/seed0"
    archive = own / "results/smoke/ear-repro-smoke.tar.gz"
    assert not folder.exists() and not archive.exists()
    snakemake(own, str((folder / "README.md").relative_to(own)), "archive", *SMOKE)
    tensors = load_file(folder / "model.safetensors")
    weights, _ = load_edited(own / "results/smoke/erasure/church/ear/seed0/weights.safetensors")
    for name, weight in weights.items():
        assert torch.equal(tensors[f"model.language_model.{name}.weight"], weight)
    assert archive.stat().st_size < 10**7  # figures and report, most of it
    assert planned_counts(own, "archive", *SMOKE) == {}


def test_a_method_that_trains_nothing_has_no_export(done):
    text = dry_run(done, "results/smoke/export/church/negative-prompt/seed0/README.md", *SMOKE, check=False)
    assert "found a method that trains no weights, wanted one of ear" in text


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda config: config | {"seeds": "zero"}, ["seeds: found 'zero', wanted"]),
        (
            lambda config: config | {"typo": 1, "seed": -1},
            ["typo: unknown key, wanted one of", "seed: found -1"],
        ),
    ],
)
def test_each_error_of_a_config_is_a_line_before_any_job(tmp_path, edit, words):
    folder = copy_of_the_repository(tmp_path / "repository")
    broken = write_config(folder / "broken.yaml", edit(config_of("smoke")))
    lines = [line for line in dry_run(folder, *broken, check=False).splitlines() if "profile" not in line]
    assert len(lines) == len(words)
    for line, found in zip(lines, words, strict=True):
        assert line.startswith("error: ") and found in line
    assert not (folder / "results").exists()


def test_the_page_on_results_names_every_file(results):
    page = (ROOT / "results/README.md").read_text(encoding="utf-8")
    cells = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    named = re.escape("\n".join(path for cell in cells for path in re.findall(r"`([^`]+)`", cell)))
    patterns = re.sub(r"<\w+>|\\\*", "[^/]+", named).split("\\\n")
    files = [path.relative_to(results).as_posix() for path in results.rglob("[!.]*") if path.is_file()]
    files += [path.removeprefix("results/x/") for path in vars(Paths("x")).values() if path.count(".")]
    links = {path.parent for path in results.glob("models/*/asset.json")}  # what a link leads to is not ours
    unnamed = [
        file
        for file in files
        if (results / file).parent not in links
        and not any(re.fullmatch(pattern, file) for pattern in patterns)
    ]
    assert unnamed == [] and len(files) > 200
