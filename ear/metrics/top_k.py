"""How often the concept's label is among the judge's k most likely ones, k = 1 … 10."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from ear.metrics.intervals import wilson
from ear.metrics.table import Job, by_seed, numbers, rate_over_seeds

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
        ranks = [job.own("target")["rank"] for job in group]
        for k in range(1, LARGEST_K + 1):
            seeds = [wilson(int((rank <= k).sum()), len(rank)) for rank in ranks]
            interval = seeds[0] if len(seeds) == 1 else rate_over_seeds(seeds)
            rows.append(names | {"k": k} | numbers(interval))
    return pd.DataFrame(rows, columns=list(TOP_K_COLUMNS))
