"""Is a finished results folder what its jobs recorded, and do its weights say what the config says?

Every output of a job is compared with the hash that its record holds, every file that a manifest, a table of
windows or an asset's record lists with the hash there. Nothing is computed again.
"""

import json
import os
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import safe_open

from ear.config import Config
from ear.config.paths import Paths
from ear.erasure.edited_weights import FORMAT, KEY, WINDOW_COLUMNS, flat
from ear.erasure.joint import hash_of_pairs
from ear.erasure.variants import JOINT
from ear.errors import InputError
from ear.models.catalogue import Asset
from ear.models.lock import measure
from ear.workflow.files import read_csv, sha256_file
from ear.workflow.progress import progress
from ear.workflow.provenance import Record, chain, digest, read_records
from ear.workflow.seeding import stable_seed
from ear.workflow.texts import read_json

LISTS = ("manifest.csv", "windows.csv")
"""Tables that list further files of their job: column file, below or beside the table, and perhaps sha256."""
ON_DEMAND = ("dataset", "export")
"""Folders of what is asked for by its path; no result of the experiment is made from it."""


@dataclass
class Verification:
    """What was found in a results folder.

    Attributes:
        root: the folder.
        threads: files hashed at once.
        mismatches: a line each: file (and key), what was found, what is wanted.
        counts: what was looked at → how many.
        targets: files that jobs promise and that have to be made anew.
        kept: damaged files that their jobs would keep.
        hashes: of all files that were read.
    """

    root: Path
    threads: int = 1
    mismatches: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    targets: dict[str, None] = field(default_factory=dict)
    kept: dict[str, None] = field(default_factory=dict)
    hashes: dict[Path, str] = field(default_factory=dict)

    def mismatch(self, what: str | Path, found: object, wanted: object, path: Path, target: Path) -> None:
        """Note what is wrong with a file, and the file whose job repairs it."""
        line = f"{what}: found {found}, wanted {wanted}"
        if line in self.mismatches:  # several manifests list the same image
            return
        self.mismatches.append(line)
        self.targets[str(target)] = None
        if target != path and path.exists() and not path.is_symlink():
            self.kept[str(path)] = None

    def compare(self, wanted: Iterable[tuple[Path, str, Path]]) -> set[Path]:
        """Hash files (path, SHA-256, target), each once in all; returns those that hold what they should."""
        wanted = list(wanted)
        unknown = list({path: None for path, *_ in wanted if path not in self.hashes})
        with ThreadPoolExecutor(self.threads) as pool:
            found = progress(pool.map(_digest, unknown), f"hashing {self.root}", "file", len(unknown))
            self.hashes.update(zip(unknown, found, strict=True))
        self.counts["hashed files"] += len(unknown)
        for path, right, target in wanted:
            if self.hashes[path] != right:
                self.mismatch(path, self.hashes[path], f"sha256 {right}", path, target)
        return {path for path, right, _ in wanted if self.hashes[path] == right}

    def compare_facts(
        self, path: Path, facts: Mapping[str, Any], wanted: Mapping[str, Any], target: Path, section: str = ""
    ) -> None:
        """Compare nested facts, in one mismatch that names the first; further facts are left alone."""
        known, right = dict(flat(facts)), dict(flat(json.loads(json.dumps(wanted))))
        if names := [name for name, value in right.items() if known.get(name) != value]:
            name, *others = names
            more = f" (and {len(others)} more keys)" if others else ""
            what = f"{path}: {section}{name}{more}"
            self.mismatch(what, known.get(name), right[name], path, target)


def verify(
    config: Config, catalogue: Mapping[str, Asset], results: Iterable[str], threads: int = 1
) -> Verification:
    """Look at all results of an experiment below the current folder.

    Args:
        config: of the experiment.
        catalogue: assets by name.
        results: what the experiment is run for: paths of figures, tables and report.
        threads: files hashed at once.

    Raises:
        InputError: nothing has been made yet.
    """
    paths = Paths(config.experiment)
    found, records = Verification(Path(paths.root), threads), read_records(paths("logs"))
    if not records:
        raise InputError(
            f"{paths.root}: found no record of a job, wanted a finished run: run snakemake first"
        )
    wanted = [*results, *_promised(config, paths)]
    jobs = _behind(wanted, records, found.root)
    outputs = _outputs_of(jobs)
    inputs = {name for job in jobs for name in job["inputs"] if Path(name).is_relative_to(found.root)}
    for path in map(Path, dict.fromkeys([*wanted, *sorted(inputs)])):
        if path not in outputs:
            there = "no record of the job that made it" if path.exists() else "no file"
            found.mismatch(path, there, "one of the experiment's results", path, path)
    found.counts["recorded jobs"] += len(jobs)
    whole = found.compare((path, right, path) for path, right in outputs.items())
    listed = [
        (file, right, table)
        for table in sorted(path for path in whole if path.name in LISTS)
        for file, right in _listed(table)
        if right
    ]
    # A file that several tables list is made by the job of the one beside it.
    listed.sort(key=lambda row: not row[0].is_relative_to(row[2].parent))
    whole |= found.compare(listed)
    for job in jobs:
        if paths.report in job["outputs"]:  # it was written of this config, key by key
            report, of_report = Path(paths.report), dict(flat(job["params"]["config"]))
            of_config = dict.fromkeys(of_report) | dict(flat(config.model_dump()))
            found.compare_facts(report, of_report, of_config, report, "config: ")
    _check_assets(found, config, catalogue, paths, whole)
    _check_weights(found, config, paths, whole)
    return found


def as_text(found: Verification, configfiles: Sequence[str] = ()) -> str:
    """One line a mismatch, one a command that repairs what was found, and the summary.

    What is wrong is removed where its job would keep it. Then one command runs again all jobs that make what
    was found, sources before what is made from them, and another one the jobs that follow.

    Args:
        found: of a finished verification.
        configfiles: of the experiment; none for the default one.
    """
    flag = ["--configfile", *configfiles] if configfiles else []
    commands = [["rm", *found.kept]] if found.kept else []
    if found.targets:
        commands += [["snakemake", *found.targets, "--force", *flag], ["snakemake", *flag]]
    lines = found.mismatches + [f"to repair: {shlex.join(command)}" for command in commands]
    number = len(found.mismatches)
    verdict = f"{number or 'no'} mismatch{'' if number == 1 else 'es'}"
    looked_at = ", ".join(f"{count} {what}" for what, count in found.counts.items())
    return "\n".join([*lines, f"{found.root}: {verdict} ({looked_at})"])


def _outputs_of(jobs: Iterable[Record]) -> dict[Path, str]:
    return {Path(path): sha256 for job in jobs for path, sha256 in job["outputs"].items()}


def _listed(table: Path) -> Iterator[tuple[Path, str | None]]:
    """Files that a table lists, and their SHA-256 where it holds hashes."""
    rows = read_csv(table, ["file"])
    hashes = rows["sha256"] if "sha256" in rows else [None] * len(rows)
    for name, sha256 in zip(rows["file"], hashes, strict=True):
        yield Path(os.path.normpath(table.parent / str(name))), sha256


def _behind(results: Iterable[str], records: Mapping[str, Record], root: Path) -> list[Record]:
    """Records of the jobs behind some results, and of what was made on demand from nothing else."""
    jobs = {name: records[name] for name in chain(results, records)}
    made = set(map(str, _outputs_of(jobs.values())))
    folders = [root / stage for stage in ON_DEMAND]
    for name, record in records.items():
        asked_for = any(Path(path).is_relative_to(folder) for path in record["outputs"] for folder in folders)
        if asked_for and made.issuperset(record["inputs"]):
            jobs[name] = record
    return list(jobs.values())


def _promised(config: Config, paths: Paths) -> list[str]:
    """What the config promises of each run and each edited weights."""
    verdicts = [paths.run("evaluation", *run, "verdicts.csv") for run in config.runs()]
    attacks = [paths.run("attacks", *run, "verdicts.csv") for run in config.attacked_runs()]
    return verdicts + attacks + [paths.run("erasure", *run, "windows.csv") for run in config.edited_weights()]


def _check_assets(
    found: Verification, config: Config, catalogue: Mapping[str, Asset], paths: Paths, whole: set[Path]
) -> None:
    """What the experiment was made from is still behind its links."""
    for name in config.used_assets:
        record = Path(paths.asset(name))
        if record not in whole:
            continue
        found.counts["assets"] += 1
        try:
            measured = measure(catalogue[name], record.parent, f"hashing {name}")
        except OSError as error:  # a link that leads nowhere
            there = f"no file ({error.strerror})"
            found.mismatch(error.filename, there, "the asset's", Path(error.filename), record)
            continue
        for path, facts in read_json(record)["files"].items():
            here = measured[path].sha256 if path in measured else "no file"
            if here != facts["sha256"]:
                file = record.parent / path
                found.mismatch(file, here, f"sha256 {facts['sha256']}", file, record)


def _check_weights(found: Verification, config: Config, paths: Paths, whole: set[Path]) -> None:
    """Edited weights say that they are of this config and these pairs."""
    for run in config.edited_weights():
        table = Path(paths.run("erasure", *run, "windows.csv"))
        if table not in whole:
            continue
        windows = read_csv(table, WINDOW_COLUMNS)
        lengths, trained = sorted(windows["window"]), config.trained_windows(run[0].split(JOINT)[0], run[1])
        if lengths != trained:
            found.mismatch(table, f"windows {lengths}", trained, table, table)
        for name, window in zip(windows["file"], windows["window"], strict=True):
            file = table.parent / name
            if file in whole:
                found.counts["edited weights"] += 1
                with safe_open(file, framework="numpy") as handle:
                    facts = json.loads(handle.metadata()[KEY])
                found.compare_facts(file, facts, _wanted_facts(config, paths, run, window, whole), table)


def _wanted_facts(
    config: Config, paths: Paths, run: tuple[str, str, int], window: int, whole: set[Path]
) -> dict[str, Any]:
    """What the metadata of edited weights must say, by their place, the config and the pairs."""
    erased, method, seed = run
    facts: dict[str, Any] = {"format": FORMAT, "concept": erased, "method": method, "window": window}
    if not config.methods[method].trains:
        return facts
    concepts = erased.split(JOINT)
    pairs = [Path(paths.training_pairs(concept, config.filter.drop)) for concept in concepts]
    if whole.issuperset(pairs):
        facts["pairs_sha256"] = hash_of_pairs([sha256_file(path) for path in pairs])
    return facts | {
        "fine_tuning_seed": seed,
        "seed": stable_seed(config.seed, seed),
        "settings": config.settings(concepts[0], method).to_dict(),
    }


def _digest(path: Path) -> str:
    try:
        return digest(path)
    except OSError as error:
        return f"no file ({error.strerror})"
