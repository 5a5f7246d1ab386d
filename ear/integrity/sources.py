"""Sources of prompt pairs: candidates are pairs that a source made, and their table counts what is there."""

import pandas as pd

from ear.integrity.inspection import Inspection
from ear.integrity.rows import compare_rows
from ear.prompts.sources import SOURCES_COLUMNS, USAGE_COLUMNS, sources_table
from ear.prompts.tables import PAIR_COLUMNS


def check_sources(inspection: Inspection) -> None:
    """Check the candidates of all concepts without published pairs, and the table of sources."""
    config, paths = inspection.config, inspection.paths
    if config.prompts is None:
        return
    whole = True
    tables: dict[str, list[pd.DataFrame]] = {"usage": [], "candidates": [], "kept": []}
    for concept in config.own_prompts:
        made = [
            inspection.table(paths.source(concept, source, "pairs.csv"), PAIR_COLUMNS)
            for source in config.prompts.sources
        ]
        candidates = inspection.table(paths.candidates(concept), PAIR_COLUMNS)
        pairs = pd.concat(known) if (known := [table for table in made if table is not None]) else None
        if candidates is not None and pairs is not None and len(known) == len(made):
            of_sources = pairs[PAIR_COLUMNS][pairs["pair_id"].isin(candidates["pair_id"])]
            compare_rows(inspection, paths.candidates(concept), candidates, of_sources, ["pair_id"])
        found = {
            "usage": [
                inspection.table(paths.source(concept, source, "usage.csv"), USAGE_COLUMNS)
                for source in config.prompts.sources
            ],
            "candidates": [candidates],
            "kept": [inspection.table(paths.pairs(concept), PAIR_COLUMNS)],
        }
        for name, read in found.items():
            tables[name] += [table for table in read if table is not None]
            whole &= all(table is not None for table in read)
    path = paths.table("sources.csv")
    shown = inspection.table(path, SOURCES_COLUMNS)
    if whole and shown is not None:
        usage, candidates, kept = (pd.concat(tables[name]) for name in ("usage", "candidates", "kept"))
        wanted = sources_table(usage, candidates, kept, config.prompts.prices())
        compare_rows(inspection, path, shown, wanted, ["concept", "source"])
