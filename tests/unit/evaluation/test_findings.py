"""The tables of the findings hold the rows over all seeds, in percent."""

import pandas as pd
import pytest

from benchmarks import findings
from ear.evaluation.columns import METRICS_CSV, WINDOW_LENGTH_CSV

METRICS = [
    ("church", "original", "all", "target", "concept_rate", 0.991, 0.973, 0.998, 300),
    ("church", "original", "all", "retention", "accuracy", 1.0, 0.987, 1.0, 300),
    ("church", "ear", 0, "target", "concept_rate", 0.3, 0.2, 0.4, 300),
    ("church", "ear", "all", "target", "concept_rate", 0.07, 0.046, 0.105, 900),
    ("church", "ear", "all", "retention", "accuracy", 0.983, 0.962, 0.993, 900),
    ("church", "ear", "all", "relearned-50", "concept_rate", 0.5, 0.25, 0.75, 120),
    ("fire", "ear", "all", "target", "concept_rate", 0.0, 0.0, 0.013, 900),
]
WINDOWS = [
    ("church", "ear", "all", 8, "concept_rate", 0.07, 0.046, 0.105, 900),
    ("church", "ear", "all", 64, "concept_rate", 0.93, 0.86, 0.97, 300),
    ("church", "released", "all", 8, "concept_rate", 0.68, 0.63, 0.73, 900),
]


@pytest.fixture
def results(tmp_path):
    (tmp_path / "tables").mkdir()
    for name, rows, columns in (
        ("metrics", METRICS, METRICS_CSV.columns),
        ("window-length", WINDOWS, WINDOW_LENGTH_CSV.columns),
    ):
        pd.DataFrame(rows, columns=list(columns)).to_csv(tmp_path / f"tables/{name}.csv", index=False)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        (
            "methods",
            [
                ["method", "Church shown ↓", "Church kept ↑", "Fire shown ↓", "Fire kept ↑"],
                ["`original`", "99 [97, 100]", "100 [99, 100]", "–", "–"],
                ["`ear`", "7 [5, 10]", "98 [96, 99]", "0 [0, 1]", "–"],
            ],
        ),
        (
            "relearning",  # only what was attacked
            [
                ["concept", "method", "before", "20 steps", "50 steps"],
                ["church", "`ear`", "7 [5, 10]", "–", "50 [25, 75]"],
            ],
        ),
        (
            "windows",  # of methods with several
            [["concept", "method", "W = 8", "W = 64"], ["church", "`ear`", "7 [5, 10]", "93 [86, 97]"]],
        ),
    ],
)
def test_tables_of_the_findings(capsys, results, name, wanted):
    findings.main([name], results)
    lines = capsys.readouterr().out.splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    assert rows == wanted
