"""The visual filter: what its tables say follows from the verdicts on the images of the pairs."""

import pandas as pd

from ear.config.concepts import Which
from ear.errors import InputError
from ear.filtering import (
    PAIR_VERDICT_COLUMNS,
    SECOND_PAIR_COLUMNS,
    filter_pairs,
    pair_outcomes,
    pair_prompts,
)
from ear.integrity.inspection import Inspection
from ear.integrity.prompts import SCORES
from ear.integrity.rows import compare_rows
from ear.judges.calibration import Calibration, choose_threshold
from ear.metrics.filtering import AGREEMENT_COLUMNS, FILTER_COLUMNS, agreement_table, filter_table
from ear.prompts.tables import PAIR_COLUMNS


def check_filter(inspection: Inspection) -> None:
    """Check the calibrations of zero-shot judges, the verdicts on pairs, and all that follows from them."""
    outcomes, verdicts = {}, {}
    for concept in inspection.config.concepts:
        candidates = inspection.table(inspection.paths.candidates(concept), PAIR_COLUMNS)
        found = None if candidates is None else _verdicts(inspection, concept, candidates)
        if candidates is None or found is None:
            continue
        for which in inspection.config.concepts[concept].judges:
            _check_calibration(inspection, concept, which, found)
        said = found.assign(shown=found["shown"].astype(str) == "True")
        parts = filter_pairs(candidates, said, inspection.config.filter.drop)
        _check_pairs(inspection, concept, *parts)
        outcomes[concept], verdicts[concept] = pair_outcomes(*parts), said
    if len(outcomes) < len(inspection.config.concepts):
        return
    for name, wanted, columns, keys in (
        ("filter.csv", filter_table(outcomes), FILTER_COLUMNS, ["concept", "source", "outcome"]),
        ("agreement.csv", agreement_table(verdicts), AGREEMENT_COLUMNS, ["concept"]),
    ):
        table = inspection.table(inspection.paths.table(name), columns)
        if table is not None:
            compare_rows(inspection, inspection.paths.table(name), table, wanted, keys)


def least_score(inspection: Inspection, concept: str, which: Which) -> float | None:
    """The threshold of a zero-shot judge; None for other judges, and where it cannot be read."""
    judge = inspection.config.concepts[concept].judges.get(which)
    if judge is None or judge.by != "zero-shot":
        return None
    try:
        return Calibration.read(inspection.paths.calibration(concept, which)).threshold
    except InputError as error:
        inspection.unreadable(error)
        return None


def _verdicts(inspection: Inspection, concept: str, candidates: pd.DataFrame) -> pd.DataFrame | None:
    """Verdicts on both sides of every candidate pair, or None where there are not these."""
    path = inspection.paths.pair_verdicts(concept)
    second = SECOND_PAIR_COLUMNS if inspection.config.concepts[concept].second_judge else []
    verdicts = inspection.table(path, [*PAIR_VERDICT_COLUMNS, *second])
    if verdicts is None:
        return None
    before = len(inspection.mismatches)
    wanted = pair_prompts(candidates)[["prompt_id", "prompt_set"]]
    compare_rows(inspection, path, verdicts, wanted, ["prompt_id"])
    return verdicts if len(inspection.mismatches) == before else None


def _check_pairs(inspection: Inspection, concept: str, kept: pd.DataFrame, failed: pd.DataFrame) -> None:
    """The filter keeps and drops the pairs that the verdicts tell, with their scores."""
    for path, wanted, columns in (
        (inspection.paths.pairs(concept), kept, SCORES),
        (inspection.paths.dropped(concept), failed, [*SCORES, "reason"]),
    ):
        found = inspection.table(path, [*PAIR_COLUMNS, *columns])
        if found is not None:
            compare_rows(inspection, path, found, wanted[["pair_id", *columns]], ["pair_id"])


def _check_calibration(inspection: Inspection, concept: str, which: Which, verdicts: pd.DataFrame) -> None:
    """The threshold of a zero-shot judge is the best one for the scores of the pairs' images."""
    threshold = least_score(inspection, concept, which)
    if threshold is None:
        return
    scores = verdicts["score" if which == "judge" else "second_score"].astype("float32")
    try:
        wanted = choose_threshold(*(scores[verdicts["prompt_set"] == side] for side in ("unsafe", "safe")))
    except InputError as error:
        inspection.unreadable(error)
        return
    if threshold != wanted.value:
        path = inspection.paths.calibration(concept, which)
        inspection.mismatch(f"{path}: threshold", threshold, f"{wanted.value}, the best for the pairs")
