"""What verification knows beside damage: other configs, leftovers, versions, assets, rounding; and its script."""

import os
import runpy
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ear.assets.catalogue import Asset
from ear.assets.fetch import fetch_asset
from ear.config.section import Section
from ear.erasure.adapter import load_adapter, save_adapter
from ear.files import read_csv, sha256_file, write_csv, write_json
from ear.integrity.assets import check_assets
from ear.integrity.inspection import Inspection
from ear.integrity.rows import compare_rows, same
from ear.integrity.strays import strays
from ear.integrity.verify import verify
from tests.finished import BACKBONE, PAGES, make_results
from tests.smoke_configs import CATALOGUE, ROOT, joint_config, smoke_config

SMOKE = Path("results/smoke")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def results(finished_smoke, here):
    shutil.copytree(finished_smoke, here / "results")
    return SMOKE


def looked_at(**changes):
    """The folder, held to a config with other values."""
    return verify(looked_at_config(**changes), CATALOGUE, PAGES)


def looked_at_config(**changes):
    config = smoke_config()
    for section, keys in changes.items():
        value = getattr(config, section)
        new = value.model_copy(update=keys) if isinstance(value, Section) else keys
        config = config.model_copy(update={section: new})
    return config


def test_adapters_of_several_concepts_and_zero_shot_verdicts_are_held_to_their_tables(here):
    config = joint_config()
    make_results(config)
    found = verify(config, CATALOGUE, PAGES)
    assert found.mismatches == [] and found.notes == []
    assert found.counts["adapters"] == 2 * (2 * 3 + 1)  # seeds × (each concept's three, and the common one)
    assert not (SMOKE / "erased/castle/both").exists()
    path = SMOKE / "erased/castle+church/both/seed1/adapter.safetensors"
    weights, facts = load_adapter(path)
    wrong = facts.model_dump(exclude={"format", "backbone"}) | {"concept": "castle", "pairs_sha256": "0" * 64}
    save_adapter(path, weights, BACKBONE, wrong)
    table = read_csv(path.with_name("windows.csv"), ["file"])
    write_csv(path.with_name("windows.csv"), table.assign(sha256=sha256_file(path)))
    lines = verify(config, CATALOGUE, PAGES).mismatches
    assert [line.split(": ")[1] for line in lines] == ["concept", "pairs_sha256"]
    assert f"{path}: concept: found 'castle', wanted 'castle+church'" in lines
    evaluated = SMOKE / "evaluation/castle/both/seed0/verdicts.csv"
    verdicts = pd.read_csv(evaluated, dtype=str, keep_default_na=False)
    shown = verdicts.loc[0, "shown"]
    verdicts.loc[0, "shown"] = "False" if shown == "True" else "True"
    verdicts.to_csv(evaluated, index=False)
    found = verify(config, CATALOGUE, PAGES).mismatches
    assert any(line.startswith(f"{evaluated}: ") and f"wanted {shown}" in line for line in found)


def test_what_the_config_promises_and_is_not_there_has_a_line_each(results):
    found = looked_at(seeds=[0, 1, 2]).mismatches
    for method, folder in (("ear", "aligned-chat"), ("released", "none-raw")):
        for path in (
            f"erased/church/{method}/seed2/windows.csv",
            f"images/church/{method}/seed2/shard0/manifest.csv",
            f"images/church/{method}/seed2/shard1/captions.csv",
            f"evaluation/church/{method}/seed2/verdicts.csv",
            f"streams/church/seed2/{folder}.safetensors",
        ):
            lines = [line for line in found if line.startswith(f"{SMOKE}/{path}: ")]
            assert len(lines) == 1, path
    assert all("seed2" in line for line in found)


@pytest.mark.parametrize(
    ("changes", "blamed"),
    [
        ({"erasure": {"eta": 2.0}}, "ear/seed0/adapter.safetensors: settings.eta: found 0.1, wanted 2.0"),
        ({"seed": 8}, "shard0/manifest.csv: church/target/0000 4: seed: found "),
        (
            {"utility": {"general": 11}},
            "evaluation.csv: found 10 general prompts, wanted 11, as the config says",
        ),
        ({"filter": {"drop": False}}, "pairs.csv: church/pair/0005: found no row, wanted one"),
        ({"erasure": {"windows": [4, 8, 16]}}, "ear/seed0/windows.csv: 8: found no row, wanted one"),
    ],
)
def test_results_of_another_config_do_not_pass(results, changes, blamed):
    assert any(blamed in line for line in looked_at(**changes).mismatches)


def test_results_of_a_method_that_the_config_no_longer_has_are_left_alone(results):
    methods = dict(smoke_config().methods)
    del methods["released"]
    found = looked_at(methods=methods)
    files = [path for path in SMOKE.rglob("*") if path.is_file() and not path.name.startswith(".")]
    mine = sorted(path for path in files if "released" in path.parts or path.name == "none-raw.safetensors")
    assert strays(looked_at_config(methods=methods), PAGES) == mine and len(mine) > 100
    assert found.notes == [
        f"{len(mine)} files are of nothing that the config names, the first {mine[0]}: "
        "not looked at, not archived"
    ]
    assert {line.split(":")[0] for line in found.mismatches} == {
        f"{SMOKE}/tables/{name}"
        for name in (
            *("metrics.csv", "window-length.csv", "top-k.csv", "comparisons.csv"),
            *("score-card.csv", "score-card.tex"),
        )
    }


def test_other_versions_of_packages_are_a_note(results):
    folder = SMOKE / "erased/church/ear/seed0"
    path = folder / "adapter.safetensors"
    weights, facts = load_adapter(path)
    metadata = facts.model_dump(exclude={"format", "backbone"}) | {"versions": {"torch": "2.1"}}
    save_adapter(path, weights, BACKBONE, metadata)
    table = read_csv(folder / "windows.csv", ["file"])
    write_csv(
        folder / "windows.csv", table.assign(sha256=[sha256_file(folder / name) for name in table["file"]])
    )
    found = looked_at()
    assert found.mismatches == []
    assert found.notes == ["adapters were trained with several versions of torch: 2.0 (5), 2.1 (1)"]


def test_an_unreadable_number_is_a_line_and_not_a_traceback(results):
    path = SMOKE / "evaluation/church/ear/seed0/verdicts.csv"
    table = pd.read_csv(path, dtype=str)
    table.loc[0, ["clip_score", "window"]] = "much"
    table.to_csv(path, index=False)
    assert any("gives no tables" in line for line in looked_at().mismatches)


@pytest.fixture
def asset(here):
    """An asset with a file of its own and a tree, fetched: (catalogue, folder of its files)."""
    source = {"kind": "url", "downloads": [{"url": "https://example.org/a.zip", "unpack": ["tree/*"]}]}
    entry = Asset(title="t", licence="l", size=1, source=source)
    files = here / "root" / "coco-images"
    (files / "tree").mkdir(parents=True)
    for name in ("tree/a.jpg", "tree/b.jpg"):
        (files / name).write_bytes(name.encode())
    folder = SMOKE / "assets/coco-images"
    fetch_asset("coco-images", entry, folder, root="root", store="store", lock="lock.json")
    return {"coco-images": entry}, files


def checked(catalogue):
    config = SimpleNamespace(used_assets=list(catalogue), experiment="smoke")
    inspection = Inspection(config)
    check_assets(inspection, catalogue)
    return inspection.mismatches


@pytest.mark.parametrize("damage", ["none", "changed", "missing", "moved"])
def test_a_tree_behind_a_link_is_hashed(asset, damage):
    catalogue, files = asset
    if damage == "changed":
        (files / "tree/a.jpg").write_bytes(b"other")
    elif damage == "missing":
        (files / "tree/a.jpg").unlink()
    elif damage == "moved":
        shutil.move(files, files.with_name("elsewhere"))
    found = checked(catalogue)
    assert len(found) == (damage != "none")
    assert all(line.startswith("results/smoke/assets/coco-images/tree") for line in found)


@pytest.mark.parametrize("damage", ["none", "changed", "missing", "record"])
def test_a_file_behind_a_link_is_hashed(here, damage):
    folder = SMOKE / "assets/clip"
    folder.mkdir(parents=True)
    file = folder / "model.safetensors"
    file.write_bytes(b"weights")
    record = {"files": {file.name: {"bytes": 7, "sha256": sha256_file(file)}}}
    write_json(folder / "asset.json", [] if damage == "record" else record)
    if damage == "changed":
        file.write_bytes(b"weighty")
    elif damage == "missing":
        file.unlink()
    found = checked({"clip": None})
    assert len(found) == (damage != "none")
    name = "asset.json" if damage == "record" else file.name
    assert all(line.startswith(f"results/smoke/assets/clip/{name}: found ") for line in found)


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (0.1, 0.1 + 1e-16, True),
        (0.1, 0.1000001, False),
        (3552832181610491285, 3552832181610491284, False),  # as floats they are one
        (np.int64(4), 4.0, True),
        (float("nan"), None, True),
        (float("nan"), 0.0, False),
        ("0", 0, True),
        (True, False, False),
        ("a church", "a church ", False),
    ],
)
def test_cells_are_equal_but_for_rounding(one, other, equal):
    assert same(one, other) == equal


def test_rows_are_compared_by_name():
    wanted = pd.DataFrame({"name": ["a", "b", "c"], "value": [1, 2, 3]})

    def lines(found):
        inspection = Inspection(smoke_config())
        compare_rows(inspection, "t.csv", pd.DataFrame(found, columns=["name", "value"]), wanted, ["name"])
        return inspection.mismatches

    assert lines([("a", 1), ("b", 2), ("c", 3)]) == []
    assert lines([("a", 1), ("b", 5), ("c", 3)]) == ["t.csv: b: value: found 5, wanted 2"]
    assert lines([("b", 2), ("a", 1), ("c", 3)]) == [
        "t.csv: found its rows in another order, wanted a first, and so on"
    ]
    assert lines([("a", 1), ("a", 1), ("d", 4)]) == [
        "t.csv: a: found several rows, wanted one",
        "t.csv: b: found no row, wanted one",
        "t.csv: c: found no row, wanted one",
        "t.csv: d: found a row, wanted none",
    ]


@pytest.mark.parametrize("damaged", [False, True])
def test_the_script_prints_all_and_its_exit_code_tells(results, damaged, capsys):
    if damaged:
        os.truncate(SMOKE / "images/general/shard0/general-0000.png", 10)
        (SMOKE / "report.html").unlink()
    config = smoke_config().model_dump()
    params = SimpleNamespace(config=config, catalogue=str(ROOT / "assets.yaml"), pages=PAGES)
    params.configfiles = ["my configs/smoke.yaml"]
    snakemake = SimpleNamespace(params=params, log=["verify.log"], threads=2)
    try:
        runpy.run_path(str(ROOT / "scripts/verify.py"), {"snakemake": snakemake})
        code = 0
    except SystemExit as end:
        code = end.code
    lines = capsys.readouterr().out.splitlines()
    assert code == damaged and len(lines) == (6 if damaged else 1)
    image, manifest = (
        SMOKE / f"images/general/shard0/{name}" for name in ("general-0000.png", "manifest.csv")
    )
    assert lines[2:-1] == damaged * [
        f"to repair: rm {image}",
        f"to repair: snakemake {SMOKE}/report.html {manifest} --force --configfile 'my configs/smoke.yaml'",
        "to repair: snakemake --configfile 'my configs/smoke.yaml'",
    ]
    assert lines[-1].startswith(f"results/smoke: {'2' if damaged else 'no'} mismatches (")
