"""Which files below an experiment's folder are its results, and which no more: told by its jobs' records."""

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from ear.files import read_csv
from ear.provenance import Record, chain

LISTS = ("manifest.csv", "windows.csv")
"""Tables that list further files of their job: column file, below or beside the table, and perhaps sha256."""
WHOLE_FOLDERS = ("README.md", "asset.json", "assets.lock.json")
"""Files that stand for all of their folder."""
ON_DEMAND = ("dataset", "export")
"""Folders of what is asked for by its path; no result of the experiment is made from it."""


def outputs_of(jobs: Iterable[Record]) -> dict[Path, str]:
    """Output → SHA-256, of all jobs."""
    return {Path(path): sha256 for job in jobs for path, sha256 in job["outputs"].items()}


def listed(table: Path) -> dict[Path, str | None]:
    """File that a table lists → its SHA-256, None where the table holds no hashes."""
    rows = read_csv(table, ["file"])
    files = [Path(os.path.normpath(table.parent / str(name))) for name in rows["file"]]
    hashes = rows["sha256"] if "sha256" in rows else [None] * len(rows)
    return dict(zip(files, hashes, strict=True))


def behind(results: Iterable[str], records: Mapping[str, Record], root: Path) -> dict[str, Record]:
    """Records of the jobs behind some results, and of what was made on demand from nothing else.

    Args:
        results: paths.
        records: of all jobs, by name.
        root: the experiment's folder.
    """
    jobs = {name: records[name] for name in chain(results, records)}
    made = {str(path) for path in outputs_of(jobs.values())}
    for name, record in records.items():
        asked_for = any(
            Path(path).is_relative_to(root / stage) for path in record["outputs"] for stage in ON_DEMAND
        )
        if asked_for and made.issuperset(record["inputs"]):
            jobs[name] = record
    return jobs


def strays(root: Path, records: Mapping[str, Record], jobs: Collection[str]) -> list[Path]:
    """Files below the experiment's folder that none of its jobs made, in a fixed order.

    They stay when a concept, a method or a seed is taken out of the config. Logs and benchmarks are strays
    where their job is none of the experiment's. Hidden files and files of the folder itself are none.

    Args:
        root: the folder.
        records: of all jobs, by name.
        jobs: names of those that the experiment has.
    """
    outputs = outputs_of(records[name] for name in jobs)
    known = set(outputs).union(*(listed(path) for path in outputs if path.name in LISTS))
    folders = {path for path in outputs if path.is_dir()}
    folders |= {path.parent for path in outputs if path.name in WHOLE_FOLDERS}
    over = {name for name, record in records.items() if record["outputs"] and name not in jobs}
    found = []
    for path in sorted(root.rglob("*")):
        place = path.relative_to(root).parts
        if len(place) == 1 or not path.is_file() or any(part.startswith(".") for part in place):
            continue
        if place[0] in ("logs", "benchmarks"):
            stray = path.stem in over
        else:
            stray = path not in known and not folders.intersection(path.parents)
        if stray:
            found.append(path)
    return found
