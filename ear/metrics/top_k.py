"""How often the concept's label is among the judge's k most likely ones, k = 1 … 10."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from ear.metrics.intervals import clustered_wilson, over_seeds
from ear.metrics.table import Job, by_seed, numbers

TOP_K_COLUMNS = ("concept", "method", "seed", "k", "value", "ci_low", "ci_high", "n")
LARGEST_K = 10


def top_k_table(jobs: Sequence[Job]) -> pd.DataFrame:
    """Concept rate by k on the target prompts, at the methods' own windows.

    Intervals as in ``ear.metrics.table.metrics_table``: Wilson's for a seed, over seeds with the prompts
    shared by them. Jobs whose judge does not rank are left out.

    Returns:
        Columns TOP_K_COLUMNS, k ascending from 1.
    """
    rows: list[dict[str, Any]] = []
    for names, group in by_seed([job for job in jobs if job.own("target")["rank"].notna().any()]):
        images = [job.own("target") for job in group]
        together = pd.concat(images, ignore_index=True)
        for k in range(1, LARGEST_K + 1):
            seeds = [clustered_wilson(seed["rank"] <= k, seed["prompt_id"]) for seed in images]
            of_all = clustered_wilson(together["rank"] <= k, together["prompt_id"])
            interval = over_seeds(seeds, of_all, (0, 1))
            rows.append(names | {"k": k} | numbers(interval))
    return pd.DataFrame(rows, columns=list(TOP_K_COLUMNS))
