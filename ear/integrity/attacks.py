"""Attacks: a row for each attacked prompt, the queries that were allowed, verdicts as the judge has it."""

import pandas as pd

from ear.attacks.budget import ATTACK_COLUMNS, SEARCHES, relearned_set, search_set
from ear.integrity.inspection import Inspection
from ear.integrity.measurements import check_shown
from ear.integrity.rows import compare_rows
from ear.prompts.tables import PROMPT_COLUMNS

ROW = ["prompt_set", "prompt_id"]
GIVEN = [*ROW, "object", "window", "queries"]


def check_attacks(inspection: Inspection) -> None:
    """Check the verdicts on all attacks; what an attacked model draws is taken as it stands."""
    for concept, method, seed in inspection.config.attacked_runs():
        path = inspection.paths.run("attacks", concept, method, seed, "verdicts.csv")
        found = inspection.table(path, ATTACK_COLUMNS)
        prompts = inspection.table(inspection.paths.evaluation_prompts(concept), PROMPT_COLUMNS)
        if found is None or prompts is None:
            continue
        targets = prompts[prompts["prompt_set"] == "target"]
        window = inspection.config.method_window(concept, method) or 0
        compare_rows(inspection, path, found, _wanted(inspection, method, targets).assign(window=window), ROW)
        _check_prompts(inspection, path, found, targets)
        check_shown(inspection, path, found, concept, "judge", ROW)


def _wanted(inspection: Inspection, method: str, targets: pd.DataFrame) -> pd.DataFrame:
    """What an attack's table says but for what was found."""
    config, parts = inspection.config, []
    if search := config.searched(method):
        first = targets.head(search.prompts).assign(queries=search.queries)
        parts += [first.assign(prompt_set=search_set(name)) for name in SEARCHES]
    if relearning := config.relearned(method):
        first = targets.head(relearning.prompts).assign(queries=1)
        parts += [first.assign(prompt_set=relearned_set(steps)) for steps in relearning.steps]
    return pd.concat(parts, ignore_index=True)[[name for name in GIVEN if name != "window"]]


def _check_prompts(inspection: Inspection, path: str, found: pd.DataFrame, targets: pd.DataFrame) -> None:
    """An attacked prompt begins with its target prompt, and is that prompt where nothing was appended."""
    texts = dict(zip(targets["prompt_id"], targets["prompt"], strict=True))
    appended = [search_set(name) for name in SEARCHES[1:]]
    for prompt_set, prompt_id, prompt in zip(
        found["prompt_set"], found["prompt_id"], found["prompt"], strict=True
    ):
        text = texts.get(prompt_id)
        if text is None:
            continue
        if prompt != text and not (prompt_set in appended and str(prompt).startswith(f"{text} ")):
            inspection.mismatch(f"{path}: {prompt_set} {prompt_id}: prompt", repr(prompt), repr(text))
