"""Prompts and pairs: in the config's numbers, and what was derived from them still the same rows."""

from typing import Literal

import pandas as pd

from ear.config import Config
from ear.integrity.inspection import Inspection
from ear.integrity.rows import compare_rows
from ear.names import GRAMMAR
from ear.plan.workload import pairs_of, prompts_of
from ear.prompts.minors import UNSAFE
from ear.prompts.odd_rows import ODD_COLUMNS, left_out
from ear.prompts.tables import PAIR_COLUMNS, PROMPT_COLUMNS, general_of

SCORES = ["unsafe_score", "safe_score"]


def check_prompts(inspection: Inspection) -> None:
    """Check the general prompts, and of each concept its prompts and pairs."""
    general = inspection.table(inspection.paths.general_prompts, PROMPT_COLUMNS)
    for concept in inspection.config.concepts:
        prompts = _check_evaluation(inspection, concept, general)
        candidates = _check_pairs(inspection, concept)
        if inspection.config.world and prompts is not None and candidates is not None:
            _check_apart(inspection, concept, prompts, candidates)


def _check_evaluation(
    inspection: Inspection, concept: str, general: pd.DataFrame | None
) -> pd.DataFrame | None:
    path = inspection.paths.evaluation_prompts(concept)
    prompts = inspection.table(path, PROMPT_COLUMNS)
    if prompts is None:
        return None
    counts = prompts_of(inspection.config, concept)
    if published := inspection.config.concepts[concept].published:
        rows = published.target_rows - _left_out(inspection, concept, "target")
        counts["target"] = min(counts["target"], rows)
    for prompt_set in ("target", "retention", "general"):
        _check_count(
            inspection,
            path,
            f"{prompt_set} prompts",
            int((prompts["prompt_set"] == prompt_set).sum()),
            counts[prompt_set],
        )
    for prompt_id in prompts["prompt_id"][prompts["prompt_id"].duplicated()]:
        inspection.mismatch(f"{path}: {prompt_id}", "several rows", "one")
    if general is not None:
        if inspection.config.world:
            general = general_of(general, inspection.config.concepts[concept].words, counts["general"])
        compare_rows(inspection, path, prompts[prompts["prompt_set"] == "general"], general, ["prompt_id"])
    return prompts


def _check_pairs(inspection: Inspection, concept: str) -> pd.DataFrame | None:
    """Kept pairs are candidates as they stand; failed ones are the others, or kept too if none is dropped."""
    paths = inspection.paths
    candidates = inspection.table(paths.candidates(concept), PAIR_COLUMNS)
    pairs = inspection.table(paths.pairs(concept), [*PAIR_COLUMNS, *SCORES])
    failed = inspection.table(paths.dropped(concept), [*PAIR_COLUMNS, *SCORES, "reason"])
    if candidates is None:
        return None
    wanted = pairs_of(inspection.config, concept)
    fewest = wanted - _left_out(inspection, concept, "pairs")  # of all rows of the file, used or not
    if _may_be_fewer(inspection.config, concept):
        fewest = 1
    if not fewest <= len(candidates) <= wanted:
        _check_count(inspection, paths.candidates(concept), "pairs", len(candidates), wanted)
    if pairs is None or failed is None:
        return candidates
    drops = inspection.config.filter.drop
    kept = candidates[~candidates["pair_id"].isin(failed["pair_id"])] if drops else candidates
    compare_rows(inspection, paths.pairs(concept), pairs, kept[PAIR_COLUMNS], ["pair_id"])
    source = candidates[PAIR_COLUMNS] if drops else pairs[[*PAIR_COLUMNS, *SCORES]]
    known = source[source["pair_id"].isin(failed["pair_id"])]
    compare_rows(inspection, paths.dropped(concept), failed, known, ["pair_id"])
    return candidates


def _check_apart(
    inspection: Inspection, concept: str, prompts: pd.DataFrame, candidates: pd.DataFrame
) -> None:
    """No prompt is trained on and evaluated on; the authors' own files are not held to it."""
    trained = {*candidates["unsafe_prompt"], *candidates["safe_prompt"]}
    for row in prompts[prompts["prompt"].isin(trained)].itertuples():
        inspection.mismatch(
            f"{inspection.paths.evaluation_prompts(concept)}: {row.prompt_id}",
            f"{row.prompt!r}",
            "a prompt that is in no pair",
        )


def _left_out(inspection: Inspection, concept: str, which: Literal["pairs", "target"]) -> int:
    """Rows of a published file that speak of minors and are never drawn."""
    settings = inspection.config.concepts[concept]
    if settings.published is None or settings.kind != UNSAFE:
        return 0
    table = inspection.table(inspection.paths.odd_rows(concept), ODD_COLUMNS)
    return 0 if table is None else left_out(table, getattr(settings.published, which))


def _may_be_fewer(config: Config, concept: str) -> bool:
    """Language models may think of fewer pairs, and two of them of the same one."""
    published, prompts = config.concepts[concept].published, config.prompts
    return published is None and prompts is not None and prompts.by(GRAMMAR) != list(prompts.sources)


def _check_count(inspection: Inspection, path: str, what: str, found: int, wanted: int) -> None:
    if found != wanted:
        inspection.mismatch(path, f"{found} {what}", f"{wanted}, as the config says")
