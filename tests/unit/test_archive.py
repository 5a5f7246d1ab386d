"""The archive for reviewers: the same bytes from the same files, nothing unsafe, nothing large."""

import os
import shutil
import tarfile

import pandas as pd
import pytest
import yaml

from ear.export.archive import write_archive
from ear.files import sha256_file, write_text
from tests.smoke_configs import ROOT

FOLDER = "results/smoke"
CONFIG = {"config.yaml": (ROOT / "configs/smoke.yaml").read_text(encoding="utf-8")}


@pytest.fixture
def finished(finished_smoke, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished_smoke, tmp_path / "results")
    write_text(f"{FOLDER}/logs/erase-church-ear-0.json", "{}\n")
    return tmp_path / FOLDER


def packed(name="archive.tar.gz"):
    write_archive(name, FOLDER, CONFIG)
    return name


def names_of(archive):
    with tarfile.open(archive) as tar:
        return tar.getnames()


def test_the_same_files_make_the_same_bytes_at_any_time_and_whoever_owns_them(finished):
    first = sha256_file(packed())
    for path in finished.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700)
    assert sha256_file(packed()) == first


def test_tables_manifests_and_records_are_in_it_as_they_are(finished, tmp_path):
    with tarfile.open(packed()) as tar:
        tar.extractall(tmp_path / "out", filter="data")
        assert {(entry.mode, entry.uid, entry.mtime) for entry in tar} == {(0o644, 0, 0)}
    out = tmp_path / "out/archive"
    for path in finished.rglob("*.csv"):
        assert (out / path.relative_to(finished)).read_bytes() == path.read_bytes()
    assert (out / "logs/erase-church-ear-0.json").exists()
    assert yaml.safe_load((out / "config.yaml").read_text())["experiment"] == "smoke"
    manifest = next(out.glob("images/church/ear/seed0/shard0/manifest.csv"))
    assert pd.read_csv(manifest)["sha256"].str.len().eq(64).all()
    assert "The experiment smoke" in (out / "README.txt").read_text()


def test_pictures_beside_the_page_are_in_it_but_unblurred_ones_are_not(finished):
    for name in ("church-ear-0.js", "sensitive-church-ear-0.js"):
        write_text(finished / "report" / name, "earSheets({});\n")
    names = names_of(packed())
    assert "archive/report/church-ear-0.js" in names
    assert not [name for name in names if "sensitive" in name]


def test_figures_are_the_only_images_and_weights_stay_out(finished):
    (finished / "figures").mkdir(exist_ok=True)
    (finished / "figures/tradeoff.png").write_bytes(b"a figure")
    write_text(finished / "export/church/ear/seed0/README.md", "a model card\n")
    write_text(finished / "images/church/.shard0-W4.drawn-from", "{}")
    names = names_of(packed())
    assert list(finished.rglob("images/**/*.png"))
    assert [name for name in names if name.endswith((".png", ".npy", ".safetensors"))] == [
        "archive/figures/tradeoff.png"
    ]
    assert not [name for name in names if "export" in name or "drawn-from" in name]


def test_an_archive_is_not_in_the_next_one(finished):
    first = packed(f"{FOLDER}/archive.tar.gz")
    content = sha256_file(first)
    assert sha256_file(packed(first)) == content
