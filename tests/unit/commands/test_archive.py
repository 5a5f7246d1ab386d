"""The archive for reviewers: the same bytes from the same files, nothing unsafe, nothing large."""

import os
import shutil
import tarfile
from pathlib import Path

from ear.commands.archive import write_archive
from ear.workflow.files import sha256_file, write_text
from tests.finished import RESULTS

SMOKE = Path("results/smoke")


def pack():
    write_archive(SMOKE / "archive.tar.gz", RESULTS, {"config.yaml": "experiment: smoke\n"})
    return SMOKE / "archive.tar.gz"


def test_tables_and_records_are_packed_as_they_are_and_weights_and_pictures_are_not(
    finished_smoke, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished_smoke, tmp_path / "results")
    with tarfile.open(pack()) as tar:
        tar.extractall("out", filter="data")
        assert {(entry.mode, entry.uid, entry.mtime) for entry in tar} == {(0o644, 0, 0)}
        names = [name.removeprefix("archive/") for name in tar.getnames()]
    tables = list(SMOKE.rglob("*.csv"))
    assert len(tables) > 20
    for path in [*tables, *SMOKE.rglob("*.json"), SMOKE / "benchmarks/tabulate.tsv"]:
        assert Path("out/archive", path.relative_to(SMOKE)).read_bytes() == path.read_bytes()
    assert {"report/church-ear-0.js", "report.html", "config.yaml", "README.txt"} <= set(names)
    assert not [name for name in names if "sensitive" in name or name.endswith((".png", ".safetensors"))]

    first = sha256_file(SMOKE / "archive.tar.gz")
    for path in SMOKE.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700)
    write_text(SMOKE / "prompts/castle/candidates.csv", "of no job behind the results\n")
    assert sha256_file(pack()) == first
