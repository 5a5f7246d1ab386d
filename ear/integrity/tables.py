"""The tables of the results, computed again from verdicts, scores and detections."""

from collections.abc import Callable, Sequence
from itertools import zip_longest
from pathlib import Path

import pandas as pd

from ear.attacks.budget import ATTACK_COLUMNS
from ear.integrity.inspection import Inspection
from ear.integrity.rows import compare_rows
from ear.metrics import deviations
from ear.metrics.columns import (
    DETECTION_COUNTS_CSV,
    DETECTIONS_CSV,
    METRICS_CSV,
    SCORES_CSV,
    TOP_K_CSV,
    VERDICTS_CSV,
    WINDOW_LENGTH_CSV,
)
from ear.metrics.comparison import comparisons
from ear.metrics.score_card import score_card, to_latex
from ear.metrics.table import (
    Job,
    detection_table,
    metrics_table,
    top_k_table,
    window_table,
    with_attacks,
)

VALUES = ("value", "ci_low", "ci_high", "n")
Make = Callable[[Sequence[Job]], pd.DataFrame]

TABLES: dict[str, tuple[Make, Sequence[str]]] = {
    "metrics.csv": (metrics_table, list(METRICS_CSV.columns)),
    "window-length.csv": (window_table, list(WINDOW_LENGTH_CSV.columns)),
    "top-k.csv": (top_k_table, list(TOP_K_CSV.columns)),
    "detections.csv": (detection_table, list(DETECTION_COUNTS_CSV.columns)),
}
"""File → how it is made, and its columns: those that name a row, then VALUES."""


def check_tables(inspection: Inspection) -> None:
    """Check all tables; without all verdicts and scores there is nothing to compare them with."""
    jobs = _jobs(inspection)
    if jobs is None:
        inspection.notes.append("the tables were not computed again: verdicts or scores are missing")
        return
    try:
        made = {name: make(jobs) for name, (make, _) in TABLES.items()}
        compared = comparisons(jobs, inspection.config.evaluation.shown_method)
    except (KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        inspection.mismatch(inspection.paths("evaluation"), f"what gives no tables ({reason})", "numbers")
        return
    for name, (_, columns) in TABLES.items():
        _check_table(inspection, name, made[name], [one for one in columns if one not in VALUES])
    _check_table(
        inspection, "comparisons.csv", compared, ["concept", "prompt_set", "metric", "method", "reference"]
    )
    card = score_card(made["metrics.csv"], inspection.config.image_tokens)
    _check_table(inspection, "score-card.csv", card, ["concept", "method", "axis"])
    _check_text(inspection, "score-card.tex", to_latex(card))
    if inspection.config.evaluation.published:
        beside = deviations.deviations(made["metrics.csv"], made["window-length.csv"], made["detections.csv"])
        _check_table(inspection, "deviations.csv", beside, ["figure", "concept", "method", "quantity"])


def _jobs(inspection: Inspection) -> list[Job] | None:
    """What every (concept, method, seed) was measured to be, or None where a file of it cannot be read."""
    jobs: list[Job] = []
    attacked, run_file = inspection.config.attacked_runs(), inspection.paths.run
    for concept, method, seed in inspection.config.runs():
        verdicts, scores, detections = (
            inspection.table(run_file("evaluation", concept, method, seed, file), columns)
            for file, columns in (
                ("verdicts.csv", list(VERDICTS_CSV.columns)),
                ("scores.csv", list(SCORES_CSV.columns)),
                ("detections.csv", list(DETECTIONS_CSV.columns)),
            )
        )
        if verdicts is None or scores is None or detections is None:
            return None
        window = inspection.config.method_window(concept, method)
        also_erased = inspection.config.also_erased(concept, method)
        if (concept, method, seed) in attacked:
            attacks = inspection.table(
                run_file("attacks", concept, method, seed, "verdicts.csv"), ATTACK_COLUMNS
            )
            if attacks is None:
                return None
            verdicts = with_attacks(verdicts, attacks)
        jobs.append(Job(concept, method, seed, window, verdicts, scores, detections, also_erased))
    return jobs


def _check_table(inspection: Inspection, name: str, wanted: pd.DataFrame, keys: Sequence[str]) -> None:
    path = inspection.paths.table(name)
    found = inspection.table(path, list(wanted.columns))
    if found is not None:
        compare_rows(inspection, path, found, wanted, keys)


def _check_text(inspection: Inspection, name: str, wanted: str) -> None:
    path = Path(inspection.paths.table(name))
    if not inspection.there(path):
        return
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, (line, right) in enumerate(zip_longest(lines, wanted.splitlines()), start=1):
        if line != right:
            inspection.mismatch(f"{path}:{number}", repr(line), repr(right))
