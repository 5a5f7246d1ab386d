"""Is a finished results folder what its jobs recorded, and do its weights say what the config says?

Every output of a job is compared with the hash that its record holds, every file that a manifest, a table of
windows or an asset's record lists with the hash there. Nothing is computed again.
"""

import json
import os
import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

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


NO_FILE = "no file"
TOLD = 4
"""Keys of one file that a mismatch names; it counts further ones."""


@dataclass
class Verification:
    """What was found in a results folder.

    Attributes:
        root: the folder.
        mismatches: a line each: file (and key), what was found, what is wanted.
        notes: what a reader should know although nothing is wrong.
        counts: what was looked at → how many.
        targets: files that jobs promise and that have to be made anew.
        kept: damaged files that their jobs would keep.
    """

    root: Path
    threads: int = 1
    mismatches: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    targets: dict[str, None] = field(default_factory=dict)
    kept: dict[str, None] = field(default_factory=dict)
    _hashes: dict[Path, str] = field(default_factory=dict)

    def mismatch(
        self, path: str | Path, found: object, wanted: object, target: str | Path | None = None, key: str = ""
    ) -> None:
        """Note a mismatch (of a key in a file), and the file whose job repairs it: by default the same."""
        line = f"{path}{key and ': ' + key}: found {found}, wanted {wanted}"
        if line in self.mismatches:  # several manifests list the same image
            return
        self.mismatches.append(line)
        self.targets[str(target or path)] = None
        if target and Path(path).exists() and not Path(path).is_symlink():
            self.kept[str(path)] = None

    def compare(self, wanted: Mapping[Path, str], target: Path | None = None) -> set[Path]:
        """Compare files (path → SHA-256), each read once in all; returns those that hold what they should."""
        unknown = [path for path in wanted if path not in self._hashes]
        with ThreadPoolExecutor(self.threads) as pool:
            found = progress(pool.map(_digest, unknown), f"hashing {self.root}", "file", len(unknown))
            self._hashes.update(zip(unknown, found, strict=True))
        self.counts["hashed files"] += len(unknown)
        for path, right in wanted.items():
            if self._hashes[path] != right:
                self.mismatch(path, self._hashes[path], f"sha256 {right}", target)
        return {path for path, right in wanted.items() if self._hashes[path] == right}


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
    jobs = behind(wanted, records, found.root)
    outputs = outputs_of(jobs.values())
    inputs = {
        name for job in jobs.values() for name in job["inputs"] if Path(name).is_relative_to(found.root)
    }
    for path in map(Path, dict.fromkeys([*wanted, *sorted(inputs)])):
        if path not in outputs:
            there = "no record of the job that made it" if path.exists() else NO_FILE
            found.mismatch(path, there, "one of the experiment's results")
    found.counts["recorded jobs"] += len(jobs)
    whole = found.compare(outputs)
    tables = {path: listed(path) for path in sorted(whole) if path.name in LISTS}
    for own in (True, False):  # a file that several tables list is made by the job of the one beside it
        for table, files in tables.items():
            mine = {file: right for file, right in files.items() if file.is_relative_to(table.parent) == own}
            whole |= found.compare({file: right for file, right in mine.items() if right}, table)
    _check_config(found, config, paths.report, jobs)
    _check_assets(found, config, catalogue, paths, whole)
    _check_weights(found, config, paths, whole)
    if not found.mismatches and (over := strays(found.root, records, jobs)):  # a damaged table lists nothing
        what = "1 file is" if len(over) == 1 else f"{len(over)} files are"
        found.notes.append(f"{what} of nothing that the experiment has, the first {over[0]}: not archived")
    return found


def as_text(found: Verification, configfiles: Sequence[str] = ()) -> str:
    """One line a mismatch, one a note, one a command that repairs what was found, and the summary.

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
    lines = [*found.mismatches, *(f"note: {note}" for note in found.notes)]
    lines += [f"to repair: {shlex.join(command)}" for command in commands]
    number = len(found.mismatches)
    verdict = f"{number or 'no'} mismatch{'' if number == 1 else 'es'}"
    looked_at = ", ".join(f"{count} {what}" for what, count in found.counts.items())
    return "\n".join([*lines, f"{found.root}: {verdict} ({looked_at})"])


def _promised(config: Config, paths: Paths) -> list[str]:
    """What the config promises of each run and each edited weights."""
    verdicts = [paths.run("evaluation", *run, "verdicts.csv") for run in config.runs()]
    attacks = [paths.run("attacks", *run, "verdicts.csv") for run in config.attacked_runs()]
    return verdicts + attacks + [paths.run("erasure", *run, "windows.csv") for run in config.edited_weights()]


def _check_config(found: Verification, config: Config, report: str, jobs: Mapping[str, Record]) -> None:
    """The report was written of this config, key by key."""
    for job in jobs.values():
        if report in job["outputs"]:
            of_report = dict(flat(job["params"]["config"]))
            wanted = dict.fromkeys(of_report) | dict(flat(config.model_dump()))
            _compare_facts(found, report, of_report, wanted, key="config: ")


def _check_assets(
    found: Verification, config: Config, catalogue: Mapping[str, Asset], paths: Paths, whole: set[Path]
) -> None:
    """What the experiment was made from is still behind its links."""
    for name in config.used_assets:
        record = Path(paths.asset(name))
        if record not in whole:
            continue
        found.counts["assets"] += 1
        wanted = read_json(record)["files"]
        try:
            measured = measure(catalogue[name], record.parent, f"hashing {name}")
        except OSError as error:  # a link that leads nowhere
            found.mismatch(error.filename, f"no file ({error.strerror})", "the asset's", record)
            continue
        for path, facts in wanted.items():
            here = measured[path].sha256 if path in measured else NO_FILE
            if here != facts["sha256"]:
                found.mismatch(record.parent / path, here, f"sha256 {facts['sha256']}", record)


def _check_weights(found: Verification, config: Config, paths: Paths, whole: set[Path]) -> None:
    """Edited weights say that they are of this config, these pairs and one backbone."""
    backbones: dict[Path, str] = {}
    for run in config.edited_weights():
        table = Path(paths.run("erasure", *run, "windows.csv"))
        if table not in whole:
            continue
        windows = read_csv(table, WINDOW_COLUMNS)
        trained = config.trained_windows(run[0].split(JOINT)[0], run[1])
        if sorted(windows["window"]) != sorted(trained):
            found.mismatch(table, f"windows {sorted(windows['window'])}", sorted(trained))
        for row in windows.to_dict("records"):
            file = table.parent / str(row["file"])
            if file not in whole:
                continue
            found.counts["edited weights"] += 1
            facts = _facts_of(file)
            backbones[file] = str(dict(flat(facts)).get("backbone.sha256"))
            wanted = _wanted_facts(config, paths, run, row["window"], whole)
            _compare_facts(found, file, facts, wanted, table)
    for backbone, count in Counter(backbones.values()).most_common(1):
        for file, other in backbones.items():
            if other != backbone:
                that = f"{backbone}, that of {count} others"
                found.mismatch(file, other, that, file.parent / "windows.csv", "backbone.sha256")


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
        "settings": asdict(config.settings(concepts[0], method)),
    }


def _compare_facts(
    found: Verification,
    path: str | Path,
    facts: Mapping[str, Any],
    wanted: Mapping[str, Any],
    target: Path | None = None,
    key: str = "",
) -> None:
    """Compare nested facts key by key, in one mismatch; those beyond the wanted ones are left alone."""
    known, right = dict(flat(facts)), dict(flat(json.loads(json.dumps(wanted, default=str))))
    if names := [name for name, value in right.items() if known.get(name) != value]:
        more = f" (and {len(names) - TOLD} more keys)" if len(names) > TOLD else ""
        ours, wants = (
            ", ".join(str(of[name]) for name in names[:TOLD]) for of in (dict.fromkeys(right) | known, right)
        )
        found.mismatch(path, ours, wants, target, f"{key}{', '.join(names[:TOLD])}{more}")


def _facts_of(path: Path) -> Mapping[str, Any]:
    """What edited weights say of themselves; nothing where that cannot be read."""
    try:
        with safe_open(path, framework="numpy") as handle:
            facts = json.loads(handle.metadata()[KEY])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _digest(path: Path) -> str:
    try:
        return digest(path)
    except FileNotFoundError:
        return NO_FILE
    except OSError as error:
        return f"no file that can be read ({os.strerror(error.errno or 0)})"
