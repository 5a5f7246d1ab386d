"""Verification: a folder as the jobs write it is clean, and every damage done to it has its line."""

import json
import os
import re
import shutil
from fnmatch import fnmatch
from pathlib import Path

import pandas as pd
import pytest

from ear.erasure.adapter import load_adapter, save_adapter
from ear.files import read_csv, sha256_file, write_csv
from ear.integrity.verify import as_text, verify
from tests.finished import BACKBONE, PAGES
from tests.smoke_configs import CATALOGUE, smoke_config

SMOKE = Path("results/smoke")
EAR, RELEASED = "erased/church/ear/seed0", "erased/church/released/seed0"
SHARD = "images/church/ear/seed0/shard0"
IMAGE = f"{SHARD}/church-target-0000-W4.png"
ATTACKS = "attacks/church/ear/seed0/verdicts.csv"
VERDICTS = "evaluation/church/ear/seed1/verdicts.csv"


@pytest.fixture
def results(finished_smoke, tmp_path, monkeypatch):
    """A copy of the finished folder, below the current one."""
    shutil.copytree(finished_smoke, tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    return SMOKE


def looked_at():
    return verify(smoke_config(), CATALOGUE, PAGES)


def blamed(lines):
    """Files below the results folder that lines begin with."""
    return {re.match(r"results/smoke/([^:]+)", line)[1] for line in lines}


def flip(path, at=-20):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def edit(path, row, **cells):
    """Change cells of a row of a table, and leave all others as they were written."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    for column, value in cells.items():
        assert table.loc[row, column] != value
        table.loc[row, column] = value
    table.to_csv(path, index=False)


def flip_cell(path, row, column):
    """Turn a verdict of a table round."""
    shown = pd.read_csv(path, dtype=str).loc[row, column]
    edit(path, row, **{column: "False" if shown == "True" else "True"})


def edit_json(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def drop_row(path, row=0):
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[: row + 1] + lines[row + 2 :]))


def list_again(folder):
    """Write the hash of each adapter anew into windows.csv, as one does who covers a change up."""
    table = read_csv(folder / "windows.csv", ["file"])
    hashes = [sha256_file(folder / name) for name in table["file"]]
    write_csv(folder / "windows.csv", table.assign(sha256=hashes))


def rewrite(path, **facts):
    """An adapter with other facts in its metadata, and listed with its new hash."""
    weights, found = load_adapter(path)
    metadata = found.model_dump(exclude={"format", "backbone"}) | facts
    save_adapter(path, weights, metadata.pop("backbone", BACKBONE), metadata)
    list_again(path.parent)


def test_a_clean_folder_has_no_mismatch(results):
    found = looked_at()
    assert found.mismatches == [] and found.notes == []
    # Of the pairs 12, general 10, the original 50, 16 in probes and 12 ceilings; of five others 66, and 4 of 2 windows.
    assert found.counts["images"] == 12 + 10 + 78 + 5 * 66 + 2 * 4 and found.counts["adapters"] == 6
    assert as_text(found).startswith("results/smoke: no mismatches (")


# What is done to the folder → patterns of the files that must be blamed, and no others.
DAMAGE = {
    "a flipped byte in an image": (lambda at: flip(at / IMAGE), {IMAGE}),
    "a missing image": (lambda at: (at / IMAGE).unlink(), {IMAGE}),
    "an image too many": (lambda at: shutil.copy(at / IMAGE, at / SHARD / "one.png"), {f"{SHARD}/one.png"}),
    "two images exchanged": (
        lambda at: shutil.copy(at / IMAGE, at / SHARD / "church-target-0002-W4.png"),
        {f"{SHARD}/church-target-0002-W4.png"},
    ),
    "a flipped byte in an image that two manifests list": (
        lambda at: flip(at / "images/general/shard0/general-0000.png"),
        {"images/general/shard0/general-0000.png"},
    ),
    "a flipped byte in a picture without a hash": (
        lambda at: flip(at / "prompts/captions/0.png", at=60),
        {"prompts/captions/0.png"},
    ),
    "a missing picture of the reference": (
        lambda at: (at / "prompts/reference/3.png").unlink(),
        {"prompts/reference/3.png"},
    ),
    "a changed prompt in a manifest": (
        lambda at: edit(at / SHARD / "manifest.csv", 0, prompt="a house"),
        {f"{SHARD}/manifest.csv", "evaluation/church/ear/seed0/verdicts.csv"},
    ),
    "a changed seed in a manifest": (
        lambda at: edit(at / SHARD / "manifest.csv", 0, seed="7"),
        {f"{SHARD}/manifest.csv"},
    ),
    "a changed hash in a manifest": (
        lambda at: edit(at / SHARD / "manifest.csv", 0, sha256="0" * 64),
        {IMAGE},
    ),
    "a row too few in a manifest": (
        lambda at: drop_row(at / SHARD / "manifest.csv"),
        {f"{SHARD}/manifest.csv", IMAGE, "evaluation/church/ear/seed0/verdicts.csv"},
    ),
    "a missing manifest": (
        lambda at: (at / SHARD / "manifest.csv").unlink(),
        {f"{SHARD}/manifest.csv"},
    ),
    "an invented success of an attack": (
        lambda at: edit(at / ATTACKS, 0, shown="True"),
        {ATTACKS, "tables/metrics.csv", "tables/comparisons.csv"},
    ),
    "an attack beyond its budget": (lambda at: edit(at / ATTACKS, 1, queries="4"), {ATTACKS}),
    "another prompt under attack": (lambda at: edit(at / ATTACKS, 2, prompt="a house red"), {ATTACKS}),
    "a resampled prompt with something appended": (
        lambda at: edit(at / ATTACKS, 0, prompt="a church, number 0 red"),
        {ATTACKS},
    ),
    "a row too few of an attack": (
        lambda at: drop_row(at / ATTACKS),
        {ATTACKS, "tables/metrics.csv", "tables/comparisons.csv"},
    ),
    "a missing table of an attack": (lambda at: (at / ATTACKS).unlink(), {ATTACKS}),
    "an answer against its score": (
        lambda at: edit(at / SHARD / "answers.csv", 0, answered="yes"),
        {f"{SHARD}/answers.csv", "evaluation/church/ear/seed0/scores.csv"},
    ),
    "a question that the references answer otherwise": (
        lambda at: edit(at / SHARD / "answers.csv", 0, wanted="maybe"),
        {f"{SHARD}/answers.csv", "evaluation/church/ear/seed0/scores.csv"},
    ),
    "an edited prompt": (
        lambda at: edit(at / "prompts/church/candidates.csv", 0, unsafe_prompt="a boat"),
        {"prompts/church/candidates.csv", "ecgvf/church/pairs.csv", "images/church/pairs/manifest.csv"},
    ),
    "a pair that is also evaluated on": (
        lambda at: edit(at / "prompts/church/candidates.csv", 0, safe_prompt="a boat, number 3"),
        {
            "prompts/church/evaluation.csv",
            "prompts/church/candidates.csv",
            "ecgvf/church/pairs.csv",
            "images/church/pairs/manifest.csv",
            "images/church/original/seed0/shard0/manifest.csv",
        },
    ),
    "a pair too few": (
        lambda at: drop_row(at / "ecgvf/church/pairs.csv"),
        {"ecgvf/church/pairs.csv", "tables/sources.csv", "streams/*", "erased/*.safetensors"},
    ),
    "an edited pair of a source": (
        lambda at: edit(at / "prompts/church/sources/grammar/pairs.csv", 0, safe_prompt="a boat"),
        {"prompts/church/candidates.csv"},
    ),
    "an edited count of a source": (
        lambda at: edit(at / "tables/sources.csv", 0, kept="6"),
        {"tables/sources.csv"},
    ),
    "an edited pair": (
        lambda at: edit(at / "ecgvf/church/pairs.csv", 1, safe_prompt="a boat"),
        {"ecgvf/church/pairs.csv", "streams/*", "erased/*.safetensors"},
    ),
    "an edited score of a pair": (
        lambda at: edit(at / "ecgvf/church/pairs.csv", 1, safe_score="0.5"),
        {"ecgvf/church/pairs.csv", "erased/*.safetensors"},
    ),
    "an edited verdict on a pair": (
        lambda at: edit(at / "ecgvf/church/verdicts.csv", 0, shown="False"),
        {"ecgvf/church/*.csv", "tables/filter.csv", "tables/agreement.csv"},
    ),
    "a second judge's edited verdict on a pair": (
        lambda at: edit(at / "ecgvf/church/verdicts.csv", 0, second_shown="False"),
        {"tables/agreement.csv"},
    ),
    "a verdict on a pair too few": (
        lambda at: drop_row(at / "ecgvf/church/verdicts.csv"),
        {"ecgvf/church/verdicts.csv"},
    ),
    "an edited threshold": (
        lambda at: edit_json(at / "ecgvf/church/second_judge.json", threshold=0.9),
        {"ecgvf/church/second_judge.json", "evaluation/*/verdicts.csv"},
    ),
    "a missing calibration": (
        lambda at: (at / "ecgvf/church/second_judge.json").unlink(),
        {"ecgvf/church/second_judge.json"},
    ),
    "a second judge's edited verdict": (
        lambda at: flip_cell(at / VERDICTS, 0, "second_shown"),
        {VERDICTS, "tables/metrics.csv", "tables/score-card.*", "tables/comparisons.csv"},
    ),
    "an edited count of the filter": (
        lambda at: edit(at / "tables/filter.csv", 1, count="6"),
        {"tables/filter.csv"},
    ),
    "an edited reference of a caption": (
        lambda at: edit(at / "images/general/shard1/captions.csv", 0, references='["a dog"]'),
        {"images/general/shard1/captions.csv", "evaluation/church/original/seed0/scores.csv"},
    ),
    "an edited caption": (
        lambda at: edit(at / "images/general/shard1/captions.csv", 0, caption="a picture of house number 1"),
        {"evaluation/church/original/seed0/scores.csv"},
    ),
    "a truncated adapter": (
        lambda at: os.truncate(at / EAR / "adapter.safetensors", 900),
        {f"{EAR}/adapter.safetensors"},
    ),
    "a truncated adapter that is listed so": (
        lambda at: (os.truncate(at / EAR / "adapter.safetensors", 900), list_again(at / EAR)),
        {f"{EAR}/adapter.safetensors"},
    ),
    "a flipped byte in an adapter": (
        lambda at: flip(at / EAR / "windows/W16.safetensors", at=-1),
        {f"{EAR}/windows/W16.safetensors"},
    ),
    "a missing adapter": (
        lambda at: (at / EAR / "windows/W16.safetensors").unlink(),
        {f"{EAR}/windows/W16.safetensors"},
    ),
    "an adapter too many": (
        lambda at: shutil.copy(at / EAR / "adapter.safetensors", at / EAR / "windows/W8.safetensors"),
        {f"{EAR}/windows/W8.safetensors"},
    ),
    "an adapter of another method": (
        lambda at: shutil.copy(at / RELEASED / "adapter.safetensors", at / EAR / "adapter.safetensors"),
        {f"{EAR}/adapter.safetensors"},
    ),
    "an adapter of another method that is listed so": (
        lambda at: (
            shutil.copy(at / RELEASED / "adapter.safetensors", at / EAR / "adapter.safetensors"),
            list_again(at / EAR),
        ),
        {f"{EAR}/adapter.safetensors"},
    ),
    "an adapter of another backbone": (
        lambda at: rewrite(at / EAR / "adapter.safetensors", backbone=BACKBONE | {"sha256": "c" * 64}),
        {f"{EAR}/adapter.safetensors"},
    ),
    "an edited list of adapters": (
        lambda at: edit(at / EAR / "windows.csv", 0, window="5"),
        {f"{EAR}/windows.csv", f"{EAR}/training.csv", f"{EAR}/adapter.safetensors"},
    ),
    "an edited log of a training": (
        lambda at: edit(at / EAR / "training.csv", 0, skipped="False"),
        {f"{EAR}/training.csv"},
    ),
    "truncated streams": (
        lambda at: os.truncate(at / "streams/church/seed0/none-raw.safetensors", 300),
        {"streams/church/seed0/none-raw.safetensors"},
    ),
    "missing streams": (
        lambda at: (at / "streams/church/seed0/none-raw.safetensors").unlink(),
        {"streams/church/seed0/none-raw.safetensors"},
    ),
    "an edited verdict": (
        lambda at: edit(at / VERDICTS, 0, clip_score="99.5"),
        {"tables/metrics.csv", "tables/window-length.csv"},
    ),
    "a verdict too few": (
        lambda at: drop_row(at / VERDICTS, 12),
        {VERDICTS, "tables/*"},
    ),
    "an edited score": (
        lambda at: edit(at / "evaluation/church/ear/seed1/scores.csv", 0, value="1.5"),
        {"tables/metrics.csv", "tables/score-card.csv", "tables/score-card.tex"},
    ),
    "an edited table": (lambda at: edit(at / "tables/metrics.csv", 3, value="0.5"), {"tables/metrics.csv"}),
    "an edited comparison": (
        lambda at: edit(at / "tables/comparisons.csv", 0, verdict="worse"),
        {"tables/comparisons.csv"},
    ),
    "a row too many in a table": (
        lambda at: (at / "tables/top-k.csv").write_text(
            (at / "tables/top-k.csv").read_text() + "fire,ear,0,1,0,0,0,1\n"
        ),
        {"tables/top-k.csv"},
    ),
    "an edited table of the paper": (
        lambda at: (at / "tables/score-card.tex").write_text(
            (at / "tables/score-card.tex").read_text().replace("9.5", "8.5")
        ),
        {"tables/score-card.tex"},
    ),
    "an edited front": (
        lambda at: edit(at / "tables/score-card.csv", 12, front="True"),
        {"tables/score-card.csv"},
    ),
    "a missing page": (lambda at: (at / "report.html").unlink(), {"report.html"}),
    "a table that is none": (lambda at: (at / VERDICTS).write_bytes(b"\xff\xfe\x00"), {VERDICTS}),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_found_where_it_is(results, name):
    damage, patterns = DAMAGE[name]
    damage(results)
    found = looked_at()
    files = blamed(found.mismatches)
    assert {file for file in files if not any(fnmatch(file, one) for one in patterns)} == set()
    assert {one for one in patterns if not any(fnmatch(file, one) for file in files)} == set()
    assert as_text(found).splitlines()[-1].startswith(f"results/smoke: {len(found.mismatches)} mismatch")
