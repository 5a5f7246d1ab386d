"""Verification of a finished folder: it is clean, and every damage done to it has its line and its repair."""

import os
import re
import runpy
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from ear.commands.verify import Verification, _check_assets, as_text, verify
from ear.config.paths import Paths
from ear.config.sections import Section
from ear.erasure.edited_weights import load_edited, save_edited
from ear.errors import InputError
from ear.models.catalogue import Asset
from ear.models.fetch import fetch_asset
from ear.workflow.files import read_csv, sha256_file, write_csv
from tests.finished import RESULTS, make_results, record_training
from tests.smoke_configs import CATALOGUE, ROOT, joint_config, smoke_config

SMOKE = Path("results/smoke")
EAR = "erasure/church/ear/seed0"
SHARD = "images/church/ear/seed0/shard0"
VERDICTS = "evaluation/church/ear/seed1/verdicts.csv"
GENERAL = "images/general/shard0"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def results(finished_smoke, here):
    """A copy of the finished folder, below the current one."""
    shutil.copytree(finished_smoke, here / "results")
    return SMOKE


def looked_at(**changes):
    """The folder, held to a config with other values."""
    config = smoke_config()
    for section, keys in changes.items():
        value = getattr(config, section)
        new = value.model_copy(update=keys) if isinstance(value, Section) else keys
        config = config.model_copy(update={section: new})
    return verify(config, CATALOGUE, RESULTS)


def flip(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def test_a_clean_folder_has_no_mismatch(here):
    config = joint_config()
    make_results(config)
    found = verify(config, CATALOGUE, RESULTS)
    windows = [config.trained_windows(run[0].split("+")[0], run[1]) for run in config.edited_weights()]
    assert found.mismatches == [] and found.counts["edited weights"] == sum(map(len, windows))
    assert found.counts["assets"] == len(config.used_assets)
    assert as_text(found).startswith("results/smoke: no mismatches (") and "\n" not in as_text(found)


def flip_side_file(folder):
    flip(folder / "church-ear-0.js")


def forget(path):
    (SMOKE / "logs/evaluation-church-ear-1.json").unlink()


def scramble(path):
    path.write_bytes(b"\xff\xfe\x00")


def truncate(path):
    os.truncate(path, 99)


# What is done to a file → the only file that is blamed, and what is made anew for it where that is another.
DAMAGE = {
    "a flipped byte in an image": (flip, f"{SHARD}/target-0.png", f"{SHARD}/manifest.csv"),
    "a missing image": (os.remove, f"{SHARD}/target-1.png", f"{SHARD}/manifest.csv"),
    "an image that several manifests list": (flip, f"{GENERAL}/general-0.png", f"{GENERAL}/manifest.csv"),
    "a flipped byte in a manifest": (flip, f"{SHARD}/manifest.csv", None),
    "a manifest that is none": (scramble, f"{SHARD}/manifest.csv", None),
    "an edited verdict on an attack": (flip, "attacks/church/ear/seed0/verdicts.csv", None),
    "truncated weights": (truncate, f"{EAR}/weights.safetensors", None),
    "a flipped byte in another window's weights": (
        flip,
        f"{EAR}/windows/W16.safetensors",
        f"{EAR}/windows.csv",
    ),
    "a changed file beside the report": (flip_side_file, "report", None),
    "a missing report": (os.remove, "report.html", None),
    "a verdict without a record of its job": (forget, VERDICTS, None),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_found_where_it_is_and_its_job_named(results, name):
    damage, blamed, target = DAMAGE[name]
    damage(SMOKE / blamed)
    target = str(SMOKE / (target or blamed))
    found = looked_at()
    files = {re.match(r"([^:]+): found ", line)[1] for line in found.mismatches}
    # Of several manifests that list an image, one is not its own.
    assert files == {str(SMOKE / blamed)} and target in found.targets
    *_, repair, last, summary = as_text(found, ["my configs/smoke.yaml"]).splitlines()
    flag = "--configfile 'my configs/smoke.yaml'"
    assert repair.startswith("to repair: snakemake ") and repair.endswith(f" --force {flag}")
    assert target in repair.split() and last == f"to repair: snakemake {flag}"
    assert summary.startswith("results/smoke: 1 mismatch (")
    kept = target != str(SMOKE / blamed) and (SMOKE / blamed).exists()
    assert (f"to repair: rm {SMOKE / blamed}" in as_text(found).splitlines()) == kept


def test_nothing_made_yet_is_one_line(here):
    with pytest.raises(InputError, match="results/smoke: found no record of a job, wanted a finished run"):
        looked_at()


def test_what_the_config_promises_and_is_not_there_has_a_line_each(results):
    lines = looked_at(seeds=[0, 1, 2]).mismatches
    said = ": found no file, wanted one of the experiment's results"
    missing = {line for line in lines if line.endswith(said)}
    for method in ("ear", "released"):
        for path in ("erasure/church/{}/seed2/windows.csv", "evaluation/church/{}/seed2/verdicts.csv"):
            assert f"{SMOKE / path.format(method)}{said}" in missing
    (other,) = set(lines) - missing
    assert other == f"{SMOKE}/report.html: config: seeds: found [0, 1], wanted [0, 1, 2]"


@pytest.mark.parametrize(
    ("changes", "blamed"),
    [
        ({"erasure": {"eta": 2.0}}, f"{EAR}/weights.safetensors: settings.eta: found 0.1, wanted 2.0"),
        ({"seed": 8}, f"{EAR}/weights.safetensors: seed: found "),
        ({"utility": {"general": 11}}, "report.html: config: utility.general: found 10, wanted 11"),
        (
            {"erasure": {"windows": [4, 8, 16]}},
            f"{EAR}/windows.csv: found windows [4, 16], wanted [4, 8, 16]",
        ),
    ],
)
def test_results_of_another_config_do_not_pass(results, changes, blamed):
    assert any(line.startswith(f"{SMOKE}/{blamed}") for line in looked_at(**changes).mismatches)


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("concept", "castle"),
        ("window", 5),
        ("pairs_sha256", "0" * 64),
    ],
)
def test_recorded_weights_of_something_else_do_not_pass(results, fact, value):
    folder = SMOKE / EAR
    weights, facts = load_edited(folder / "weights.safetensors")
    metadata = facts.model_dump(exclude={"format"}) | {fact: value}
    save_edited(folder / "weights.safetensors", weights, metadata.pop("backbone"), metadata)
    table = read_csv(folder / "windows.csv", ["file"])
    hashes = [sha256_file(folder / name) for name in table["file"]]
    write_csv(folder / "windows.csv", table.assign(sha256=hashes))
    record_training("church", "ear", 0, ["results/smoke/judges/church/pairs.csv"])
    (line,) = looked_at().mismatches
    assert line.startswith(f"{folder}/weights.safetensors: {fact}: found ")


@pytest.mark.parametrize("damage", ["none", "changed", "missing", "moved"])
def test_what_lies_behind_an_assets_links_is_hashed(here, damage):
    source = {"kind": "url", "downloads": [{"url": "https://example.org/a.zip", "unpack": ["tree/*"]}]}
    catalogue = {"coco-images": Asset(title="t", licence="l", size=1, source=source)}
    files = here / "root" / "coco-images"
    (files / "tree").mkdir(parents=True)
    for name in ("tree/a.jpg", "tree/b.jpg"):
        (files / name).write_bytes(name.encode())
    asset = Path(Paths("smoke").asset("coco-images"))
    fetch_asset(
        "coco-images", catalogue["coco-images"], asset.parent, root="root", store="store", lock="lock.json"
    )
    if damage == "changed":
        (files / "tree/a.jpg").write_bytes(b"other")
    elif damage == "missing":
        (files / "tree/a.jpg").unlink()
    elif damage == "moved":
        shutil.move(files, files.with_name("elsewhere"))
    found, config = Verification(SMOKE), SimpleNamespace(used_assets=["coco-images"])
    _check_assets(found, config, catalogue, Paths("smoke"), {asset})
    assert len(found.mismatches) == (damage != "none")
    assert all(line.startswith(f"{asset.parent}/tree") for line in found.mismatches)
    assert found.kept == {} and list(found.targets) == [str(asset)] * (damage != "none")


def test_the_script_prints_all_and_its_exit_code_tells(results, capsys):
    (SMOKE / "report.html").unlink()
    params = SimpleNamespace(
        config=smoke_config().model_dump(),
        catalogue=str(ROOT / "assets.yaml"),
        results=RESULTS,
        configfiles=["configs/smoke.yaml"],
    )
    snakemake = SimpleNamespace(params=params, log=["verify.log"], threads=2)
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / "scripts/commands_verify.py"), {"snakemake": snakemake})
    assert end.value.code == 1
    assert len(capsys.readouterr().out.splitlines()) == 4
