"""A finished smoke experiment, made up: files as its jobs write them, with their records, no model anywhere."""

import json
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import torch

from ear.config import Config
from ear.config.paths import Paths
from ear.erasure.edited_weights import WINDOW_COLUMNS, save_edited
from ear.erasure.joint import hash_of_pairs
from ear.erasure.variants import JOINT
from ear.workflow.files import sha256_file, write_csv, write_json, write_text
from ear.workflow.provenance import record_job
from ear.workflow.seeding import stable_seed

BACKBONE = {"reference": "results/smoke/models/mini-backbone", "revision": None, "sha256": "b" * 64}
RESULTS = ["results/smoke/tables/metrics.csv", "results/smoke/report.html"]


def record(name: str, inputs: Iterable[str], outputs: Iterable[str], **params: Any) -> None:
    """Record a job whose outputs are there, as every job does at its end."""
    log = Path("results/smoke/logs") / f"{name}.log"
    write_text(log, "done\n")
    write_text(f"results/smoke/benchmarks/{name}.tsv", "s\n")
    settings = {"wildcards": {}, "params": params, "threads": 1, "log": [str(log)]}
    record_job(SimpleNamespace(rule=name, input=list(inputs), output=list(outputs), **settings))


def make_results(config: Config) -> None:
    """Fill results/smoke below the current folder."""
    paths = Paths(config.experiment)
    for name in config.used_assets:
        write_json(paths.asset(name), {"asset": name, "files": {}})
        record(f"fetch_asset-{name}", [], [paths.asset(name)])
    _images(paths.reference, "reference")
    record("draw_held_out", [], [paths.reference])
    _images(paths.general(0, "manifest.csv"), "general")
    record("render_general-0", [paths.asset("mini-backbone")], [paths.general(0, "manifest.csv")])
    for concept in config.concepts:
        for file in (paths.candidates(concept), paths.pairs(concept)):
            write_text(file, f"pair_id,unsafe_prompt\n{concept}/0,a {concept}\n")
        record(f"make_pairs-{concept}", [], [paths.candidates(concept)])
        record(f"filter_pairs-{concept}", [paths.candidates(concept)], [paths.pairs(concept)])
    for run in config.edited_weights():
        _train(config, paths, *run)
    for run in config.runs():
        _measure(config, paths, run)
    verdicts = [paths.run("evaluation", *run, "verdicts.csv") for run in config.runs()]
    verdicts += [paths.run("attacks", *run, "verdicts.csv") for run in config.attacked_runs()]
    write_text(RESULTS[0], f"rows\n{len(verdicts)}\n")
    assets = [paths.asset(name) for name in config.used_assets]
    record("tabulate", [*assets, *verdicts, paths.reference], [RESULTS[0]])
    for file in ("church-ear-0.js", "sensitive-church-ear-0.js"):
        write_text(f"{paths.report_files}/{file}", "earSheets({});\n")
    write_text(paths.report, "<html>")
    record("write_report", RESULTS[:1], [paths.report, paths.report_files], config=config.model_dump())


def _images(manifest: str, name: str, also: str | None = None) -> None:
    """A manifest of two images, and perhaps of one that another folder has."""
    files = [f"{name}-{number}.png" for number in range(2)]
    for file in files:
        write_text(Path(manifest).parent / file, f"picture {manifest} {file}")
    listed = [*files, *([also] if also else [])]
    hashes = [sha256_file(Path(manifest).parent / file) for file in listed]
    write_csv(manifest, pd.DataFrame({"image_id": listed, "file": listed, "sha256": hashes}))


def _train(config: Config, paths: Paths, erased: str, method: str, seed: int) -> None:
    concepts = erased.split(JOINT)
    pairs = [paths.training_pairs(concept, config.filter.drop) for concept in concepts]
    table, rows = Path(paths.run("erasure", erased, method, seed, "windows.csv")), []
    for window in config.trained_windows(concepts[0], method):
        own = window == config.method_window(concepts[0], method)
        file = table.parent / ("weights.safetensors" if own else f"windows/W{window}.safetensors")
        facts = {
            "concept": erased,
            "method": method,
            "fine_tuning_seed": seed,
            "pairs_sha256": hash_of_pairs([sha256_file(path) for path in pairs]),
            "settings": json.loads(json.dumps(config.settings(concepts[0], method).to_dict())),
            "seed": stable_seed(config.seed, seed),
            "versions": {"torch": "2.0"},
            "window": window,
            "threshold": 0.5,
        }
        weight = torch.full((2, 2), float(stable_seed(method, seed, window) % 1000))
        save_edited(file, {"layers.0.self_attn.q_proj": weight}, BACKBONE, facts)
        rows.append((window, own, str(file.relative_to(table.parent)), sha256_file(file), 0.5, 0.0))
    write_csv(table, pd.DataFrame(rows, columns=WINDOW_COLUMNS))
    record_training(erased, method, seed, pairs)


def record_training(erased: str, method: str, seed: int, pairs: Iterable[str]) -> None:
    """Record a fine-tuning job whose files are there."""
    folder = f"results/smoke/erasure/{erased}/{method}/seed{seed}"
    outputs = [f"{folder}/weights.safetensors", f"{folder}/windows.csv"]
    record(f"erase-{erased}-{method}-{seed}", pairs, outputs)


def _measure(config: Config, paths: Paths, run: tuple[str, str, int]) -> None:
    name = "-".join(map(str, run))
    edited_weights = (
        [paths.run("erasure", *config.edited(run), "windows.csv")] if config.methods[run[1]].adapts else []
    )
    general, manifest = paths.general(0, "manifest.csv"), paths.run("images", *run, "shard0/manifest.csv")
    _images(manifest, "target", also="../../../../general/shard0/general-0.png")
    record(f"render_images-{name}-0", [general, *edited_weights], [manifest])
    for stage in ["evaluation", *(["attacks"] if run in config.attacked_runs() else [])]:
        verdicts = paths.run(stage, *run, "verdicts.csv")
        write_text(verdicts, f"shown\n{stage} {name}\n")
        record(f"{stage}-{name}", [manifest], [verdicts])
