"""The smoke experiment, end to end in a copy of the repository."""

import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file

from ear.erasure.edited_weights import load_edited, read_windows
from ear.workflow.files import sha256_file
from tests.workflow.repository import ROOT, SMOKE, copy_of_the_repository, planned_counts, snakemake


@pytest.fixture(scope="module")
def results(done):
    return done / "results" / "smoke"


def test_every_promised_file_is_there(results):
    erased = "erasure/church/ear/seed0"
    for name in [
        "tables/metrics.csv",
        "tables/window-length.csv",
        "tables/score-card.csv",
        "tables/score-card.tex",
        "tables/sources.csv",
        "judges/church/pairs.csv",
        "judges/church/dropped.csv",
        "judges/church/verdicts.csv",
        "judges/church/second_judge.json",
        "tables/filter.csv",
        "tables/agreement.csv",
        f"{erased}/weights.safetensors",
        f"{erased}/training.csv",
        "report.html",
        *(
            f"figures/{name}.{kind}"
            for name in (
                "concept-rate",
                "score-card",
                "window-length",
                "tradeoff",
                "filter-scores",
                "borderline-church",
            )
            for kind in ("png", "pdf")
        ),
        "figures/samples-church.png",
        "figures/samples-church.pdf",
    ]:
        assert (results / name).stat().st_size > 0, name
    assert not (results / "erasure/church/original").exists()
    assert not list(results.rglob("*.partial-*"))


def test_metrics_are_tidy_and_whole(results):
    config = yaml.safe_load((ROOT / "configs/smoke.yaml").read_text())
    table = pd.read_csv(results / "tables/metrics.csv")
    assert list(table) == [
        "concept",
        "method",
        "seed",
        "prompt_set",
        "metric",
        "value",
        "ci_low",
        "ci_high",
        "n",
    ]
    found = set(table[["method", "seed"]].itertuples(index=False, name=None))
    assert found == {
        (method, seed) for method in ("original", "negative-prompt") for seed in ("0", "all")
    } | {(method, seed) for method in ("released", "ear") for seed in ("0", "1", "all")}
    key = ["concept", "method", "seed", "prompt_set", "metric"]
    assert not table.duplicated(key).any()
    rates = {"concept_rate", "second_concept_rate", "accuracy"}
    assert set(table["metric"]) == rates | {"clip_score", "fid", "kid", "diversity", "bleu", "length_ratio"}
    target = table[(table["prompt_set"] == "target") & (table["metric"] == "concept_rate")].set_index(
        ["method", "seed"]
    )
    images = config["prompts"]["target"] * config["axes"]["samples"]
    assert target.loc[("original", "0"), "n"] == images
    assert target.loc[("ear", "all"), "n"] == 2 * images
    with_interval = table[~table["metric"].isin(["fid", "diversity", "length_ratio"])]
    assert (with_interval["ci_low"] <= with_interval["value"]).all()
    assert (with_interval["value"] <= with_interval["ci_high"]).all()


def test_the_church_is_erased_and_the_rest_is_kept(results):
    """The shipped models, thirty pairs: two seeds of 20 images of the concept and 20 of other objects."""
    table = pd.read_csv(results / "tables/metrics.csv")
    table = table[table["seed"] == "all"].set_index(["method", "prompt_set", "metric"])["value"]
    shown = {method: table[method, "target", "concept_rate"] for method in ("original", "released", "ear")}
    kept = {method: table[method, "retention", "accuracy"] for method in ("original", "ear")}
    assert shown["original"] >= 0.9
    assert shown["ear"] <= 0.2
    assert shown["ear"] <= shown["released"] / 2
    assert kept["ear"] >= kept["original"] - 0.1


def test_window_lengths_are_all_measured(results):
    table = pd.read_csv(results / "tables/window-length.csv")
    assert set(table.loc[table["method"] == "ear", "window"]) == {4, 16}
    assert set(table.loc[table["method"] == "released", "window"]) == {4}


def test_threshold_skipped_some_windows_and_kept_others(results):
    log = pd.read_csv(results / "erasure/church/ear/seed0/training.csv")
    assert 0 < log["skipped"].sum() < len(log)


def test_adapters_differ_by_method_seed_and_window_and_know_what_they_are(results):
    hashes = set()
    for path in results.glob("erasure/church/*/seed*/windows.csv"):
        windows = read_windows(path)
        for window, edited in windows.edited_weights.items():
            weights, facts = load_edited(edited)
            hashes.add(sha256_file(edited))
            assert (facts.concept, facts.window) == ("church", window)
            assert facts.method == path.parts[-3]
            assert facts.pairs_sha256 == sha256_file(
                results / "prompts/church/candidates.csv"
            )  # none is dropped
            assert set(weights) == {
                f"layers.{layer}.self_attn.{name}_proj" for layer in range(6) for name in "qkvo"
            }
    assert len(hashes) == 2 * (1 + 2)  # seeds × (released at one window, ear at two)
    sequences = results / "erasure/church/sequences"
    assert load_file(sequences / "seed0/none-raw.safetensors").keys() == {"unsafe", "safe", "safe-2"}
    assert load_file(sequences / "seed0/aligned-chat.safetensors").keys() == {"unsafe"}


def test_manifests_hold_for_their_images(results):
    manifests = list(results.glob("images/church/*/seed*/shard*/manifest.csv"))
    assert len(manifests) == 6 * 2
    for path in manifests:
        table = pd.read_csv(path)
        assert all(sha256_file(path.parent / row.file) == row.sha256 for row in table.itertuples())


def test_an_erased_model_is_exported_on_demand(own):
    folder = own / "results/smoke/export/church/ear/seed0"
    assert not folder.exists()
    snakemake(own, str((folder / "README.md").relative_to(own)), *SMOKE)
    tensors = load_file(folder / "model.safetensors")
    weights, _ = load_edited(own / "results/smoke/erasure/church/ear/seed0/weights.safetensors")
    for name, weight in weights.items():
        assert torch.equal(tensors[f"model.language_model.{name}.weight"], weight)


def test_the_archive_is_packed_once_and_again_to_the_same_bytes(own):
    archive = own / "results/smoke/ear-repro-smoke.tar.gz"
    snakemake(own, "archive", *SMOKE)
    first = sha256_file(archive)
    assert archive.stat().st_size < 10**7  # figures and report, most of it
    assert planned_counts(own, "archive", *SMOKE) == {}
    snakemake(own, "archive", "--forcerun", "archive", *SMOKE)
    assert sha256_file(archive) == first


def test_a_method_that_trains_nothing_has_no_export(done):
    target = "results/smoke/export/church/negative-prompt/seed0/README.md"
    run = snakemake(done, target, *SMOKE, check=False)
    assert run.returncode != 0
    assert "found a method that trains no weights, wanted one of released, ear" in run.stdout + run.stderr


def test_nothing_of_the_mini_experiment_leaks_into_another(done):
    assert [path.name for path in (done / "results").iterdir()] == ["smoke"]
    assert not list((done / "results").rglob("*gogh*"))
    assert "van-gogh" not in (done / "results/smoke/report.html").read_text()


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda config: config | {"typo": 1}, "typo: unknown key, wanted one of experiment, seed"),
        (lambda config: config | {"seeds": "zero"}, "seeds: found 'zero', wanted"),
        (lambda config: {}, "experiment: missing, wanted"),
    ],
)
def test_a_broken_config_ends_in_one_line_before_any_job(tmp_path, edit, words):
    folder = copy_of_the_repository(tmp_path / "repository")
    config = yaml.safe_load((ROOT / "configs/smoke.yaml").read_text())
    (folder / "broken.yaml").write_text(yaml.safe_dump(edit(config)))
    run = snakemake(folder, "--configfile", "broken.yaml", check=False)
    assert run.returncode != 0
    errors = [
        line for line in run.stderr.splitlines() if not line.startswith("Using workflow specific profile")
    ]
    assert len(errors) == 1 or edit(config) == {}, run.stderr  # where each key is missing, each has its line
    assert all(line.startswith("error: ") for line in errors)
    assert words in errors[0]
    assert not (folder / "results").exists()
