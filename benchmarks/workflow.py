"""What the workflow costs beside its work: a run with nothing to do, the paper's dry run, a finished run.

Usage: ``python -m benchmarks.workflow [--configfile FILE]`` in the root of the repository, that experiment
finished. Prints one JSON line.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pandas as pd
import yaml

from benchmarks.measure import ROUNDS, report, seconds

PAPER = "configs/janus-pro-7b.yaml"
TIME = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),(\d{3}) INFO ear\.jobs: wall time", re.MULTILINE)
# What nearly every job imports before it does anything.
IMPORTS = "import ear.models.families, ear.models.janus, ear.workflow.provenance, pandas, transformers"


def timed(*command: str) -> float:
    """Median wall time of a command, s."""

    def run() -> None:
        subprocess.run([sys.executable, *command], check=True, capture_output=True)

    return statistics.median(seconds(run) for _ in range(ROUNDS))


def time_at_work(results: Path, start_s: float, cores: int) -> dict[str, float]:
    """Where the time of a finished run went.

    Args:
        results: folder of the experiment.
        start_s: what a job takes before its work begins, s.
        cores: that the run had.

    Returns:
        elapsed_s; and shares of ``cores × elapsed``: work, start (imports), and idle (Snakemake between jobs,
        and cores that had no job to run).
    """
    work = start = 0.0
    begins, ends = [], []
    for path in results.glob("benchmarks/*.tsv"):
        took = float(pd.read_csv(path, sep="\t")["s"].iloc[0])
        threads = json.loads((results / f"logs/{path.stem}.json").read_text(encoding="utf-8"))["threads"]
        found = TIME.search((results / f"logs/{path.stem}.log").read_text(encoding="utf-8"))
        assert found, f"{path.stem}: its log has no closing line"
        ended = datetime.fromisoformat(f"{found[1]}.{found[2]}").timestamp()
        begins.append(ended - took)
        ends.append(ended)
        start += min(took, start_s)
        work += threads * max(0.0, took - start_s)
    elapsed = max(ends) - min(begins)
    shares = {"work": work / (cores * elapsed), "start": start / (cores * elapsed)}
    return {
        "elapsed_s": round(elapsed),
        **{name: round(share, 3) for name, share in shares.items()},
        "idle": round(1 - sum(shares.values()), 3),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--configfile", type=Path, default=Path("config.yaml"))
    parser.add_argument("--cores", type=int, default=2, help="that the finished run had")
    arguments = parser.parse_args()
    name = yaml.safe_load(arguments.configfile.read_text(encoding="utf-8"))["experiment"]
    start_s = timed("-c", IMPORTS)
    report(
        {
            "experiment": name,
            "nothing_to_do_s": round(timed("-m", "snakemake", "--configfile", str(arguments.configfile)), 2),
            "paper_dry_run_s": round(
                timed("-m", "snakemake", "--configfile", PAPER, "--dry-run", "--quiet", "all"), 2
            ),
            "start_of_a_job_s": round(start_s, 2),
            **time_at_work(Path("results") / name, start_s, arguments.cores),
        }
    )


if __name__ == "__main__":
    main()
