"""Commands that repair a results folder: one for each kind of finding, exact, and in the right order."""

from pathlib import Path

import pytest

from ear.integrity.inspection import NO_FILE, Inspection
from ear.integrity.remedies import remedies
from tests.smoke_configs import smoke_config

SMOKE = Path("results/smoke")
SHARD = SMOKE / "images/church/ear/seed0/shard0"
ERASED = SMOKE / "erased/church/ear/seed0"
LAST = "snakemake --configfile configs/smoke.yaml"


def repaired(*findings, unlisted=()):
    inspection = Inspection(smoke_config())
    for where in findings:
        inspection.mismatch(where, NO_FILE, "one")
    inspection.unlisted_files |= set(unlisted)
    return remedies(inspection, ["configs/smoke.yaml"])


def forced(*targets):
    return f"snakemake {' '.join(map(str, targets))} --force --configfile configs/smoke.yaml"


@pytest.mark.parametrize(
    ("finding", "target"),
    [
        (SHARD / "church-target-0000-W4.png", SHARD / "manifest.csv"),
        (SHARD / "manifest.csv", SHARD / "manifest.csv"),
        (f"{SHARD}/manifest.csv: church/target/0000 4: seed", SHARD / "manifest.csv"),
        (SHARD / "captions.csv", SHARD / "captions.csv"),
        (SMOKE / "images/general/shard1/general-0001.png", SMOKE / "images/general/shard1/manifest.csv"),
        (SMOKE / "images/church/pairs/a.png", SMOKE / "images/church/pairs/manifest.csv"),
        (SMOKE / "prompts/reference/3.png", SMOKE / "prompts/reference/manifest.csv"),
        (ERASED / "windows/W16.safetensors", ERASED / "windows.csv"),
        (f"{ERASED}/adapter.safetensors: settings.eta", ERASED / "adapter.safetensors"),
        (SMOKE / "assets/clip/model.safetensors", SMOKE / "assets/clip/asset.json"),
        (SMOKE / "assets/coco-images/tree/a.jpg", SMOKE / "assets/coco-images/asset.json"),
        (SMOKE / "figures/tradeoff.png", SMOKE / "figures/tradeoff.png"),
        (SMOKE / "report.html", SMOKE / "report.html"),
        (
            f"{SMOKE}/tables/metrics.csv: church ear all target concept_rate: value",
            SMOKE / "tables/metrics.csv",
        ),
    ],
)
def test_a_finding_has_the_target_of_its_job(finding, target):
    assert repaired(finding) == [forced(target), LAST]


def test_several_findings_are_one_command_so_that_sources_are_made_before_what_reads_them():
    verdicts, table = SMOKE / "evaluation/church/ear/seed0/verdicts.csv", SMOKE / "tables/metrics.csv"
    assert repaired(f"{table}: row", f"{verdicts}: row", f"{table}: other") == [forced(table, verdicts), LAST]


def test_a_picture_that_is_there_is_removed_so_that_it_is_drawn_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    SHARD.mkdir(parents=True)
    (SHARD / "one.png").write_bytes(b"another picture")
    (SHARD / "more.png").write_bytes(b"a picture")
    (SHARD / "manifest.csv").write_bytes(b"damaged")
    found = repaired(
        SHARD / "one.png", f"{SHARD}/manifest.csv: row", SHARD / "more.png", unlisted=[SHARD / "more.png"]
    )
    assert found == [f"rm {SHARD}/more.png {SHARD}/one.png", forced(SHARD / "manifest.csv"), LAST]


def test_an_asset_is_not_removed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = SMOKE / "assets/clip"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"somebody's file, behind a link")
    assert repaired(folder / "model.safetensors") == [forced(folder / "asset.json"), LAST]


def test_the_default_experiment_needs_no_flag_and_a_clean_folder_nothing():
    inspection = Inspection(smoke_config())
    assert remedies(inspection) == []
    inspection.mismatch(SMOKE / "report.html", NO_FILE, "one")
    assert remedies(inspection) == [f"snakemake {SMOKE}/report.html --force", "snakemake"]
