"""The archive for reviewers: the same bytes from the same files, nothing unsafe, nothing large."""

import os
import shutil
import tarfile
from pathlib import Path

import pytest

from ear.commands.archive import write_archive
from ear.workflow.files import sha256_file, write_text
from tests.finished import RESULTS

SMOKE = Path("results/smoke")


@pytest.fixture
def packed(finished_smoke, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished_smoke, tmp_path / "results")
    return pack()


def pack():
    write_archive(SMOKE / "archive.tar.gz", RESULTS, {"config.yaml": "experiment: smoke\n"})
    return SMOKE / "archive.tar.gz"


def test_tables_manifests_and_records_are_in_it_as_they_are(packed):
    with tarfile.open(packed) as tar:
        tar.extractall("out", filter="data")
        assert {(entry.mode, entry.uid, entry.mtime) for entry in tar} == {(0o644, 0, 0)}
    out = Path("out/archive")
    tables = list(SMOKE.rglob("*.csv"))
    assert len(tables) > 20
    for path in [*tables, *SMOKE.rglob("*.json"), SMOKE / "benchmarks/tabulate.tsv"]:
        assert (out / path.relative_to(SMOKE)).read_bytes() == path.read_bytes()
    assert (out / "config.yaml").read_text() == "experiment: smoke\n"
    assert "The experiment smoke" in (out / "README.txt").read_text()


def test_weights_images_and_unblurred_pictures_stay_out(packed):
    with tarfile.open(packed) as tar:
        names = tar.getnames()
    assert "archive/report/church-ear-0.js" in names and "archive/report.html" in names
    assert not [name for name in names if "sensitive" in name or name.endswith((".png", ".safetensors"))]


def test_the_same_files_make_the_same_bytes_at_any_time_and_whoever_owns_them(packed):
    first = sha256_file(packed)
    for path in SMOKE.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700)
    write_text(SMOKE / "prompts/castle/candidates.csv", "of no job behind the results\n")
    assert sha256_file(pack()) == first
