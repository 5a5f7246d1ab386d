"""A finished smoke experiment, made up: every table and file by the project's own writers, no model anywhere."""

from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch
import yaml
from PIL import Image

from ear.batching import BatchSize
from ear.config import Config, parse_config
from ear.config.models import Run
from ear.erasure.adapter import save_adapter
from ear.erasure.presets import STREAM_NAMES
from ear.erasure.streams import made_from, save_streams
from ear.erasure.trainer import LOG_COLUMNS
from ear.erasure.windows import WINDOW_COLUMNS
from ear.files import read_csv, sha256_file, write_csv, write_text
from ear.filtering import filter_pairs, pair_prompts
from ear.metrics.detections import detection_table
from ear.metrics.evaluate import caption_rows
from ear.metrics.intervals import Interval
from ear.metrics.main_table import main_table, to_latex, to_markdown
from ear.metrics.table import (
    DETECTION_COLUMNS,
    SCORE_COLUMNS,
    VERDICT_COLUMNS,
    Job,
    metrics_table,
    score_row,
    window_table,
)
from ear.metrics.top_k import top_k_table
from ear.paths import Paths
from ear.prompts.models.base import SourceResult, Usage
from ear.prompts.sources import USAGE_COLUMNS, sources_table, usage_row
from ear.prompts.tables import PAIR_COLUMNS, PROMPT_COLUMNS
from ear.render import borrowed_rows, draw_images, image_rows, prompts_by_window, shard_rows, write_manifest
from ear.seeding import stable_seed

ROOT = Path(__file__).parents[1]
BACKBONE = {"reference": "results/smoke/backbone/model", "revision": None, "sha256": "b" * 64}
CONCEPT = "church"
PAGES = ["results/smoke/report.html"]


def smoke_config() -> Config:
    """The smoke experiment with one pair fewer to keep, so that the filter has dropped one."""
    raw = yaml.safe_load((ROOT / "configs/smoke.yaml").read_text(encoding="utf-8"))
    return parse_config(raw | {"filter": {"drop": True}}, "smoke")


def make_results(config: Config) -> None:
    """Fill results/smoke below the current folder."""
    paths = Paths(config.experiment)
    models = (paths.world, paths.vq, paths.backbone, paths.classifier, paths.clip)
    for path in (*models, paths.reference_features, *PAGES):
        write_text(path, "made up\n")
    _make_prompts(config, paths)
    for manifest in (paths.reference, paths.captioned):
        _make_pictures(Path(manifest))
    pairs = _make_pairs(config, paths)
    for shard in range(config.rendering.shards):
        general = read_csv(paths.general_prompts, PROMPT_COLUMNS).assign(window=0)
        rows = _draw(config, shard_rows(general, shard, config.rendering.shards), paths.general(shard, ""))
        write_manifest(paths.general(shard, "manifest.csv"), [rows])
        _make_captions(config, paths, paths.general(shard, "captions.csv"), shard)
    jobs = []
    for run in config.runs():
        if config.methods[run[1]].trains:
            _make_adapters(config, paths, run, pairs)
        _make_images(config, paths, run)
        jobs.append(_measure(config, paths, run))
    _make_tables(paths, jobs)


def _make_prompts(config: Config, paths: Paths) -> None:
    sets = {"target": "a church", "retention": "a boat", "general": "a tree"}
    tables = {
        name: pd.DataFrame(
            {
                "prompt_id": [f"{CONCEPT}/{name}/{row:04d}" for row in range(10)],
                "prompt_set": name,
                "prompt": [f"{words}, number {row}" for row in range(10)],
                "object": words.split()[1],
            }
        )
        for name, words in sets.items()
    }
    write_csv(paths.general_prompts, tables["general"][PROMPT_COLUMNS])
    write_csv(paths.evaluation_prompts(CONCEPT), pd.concat(tables.values())[PROMPT_COLUMNS])
    numbers = range(config.prompts.pairs)
    candidates = pd.DataFrame(
        {
            "pair_id": [f"{CONCEPT}/pair/{number:04d}" for number in numbers],
            "unsafe_prompt": [f"church {number}" for number in numbers],
            "safe_prompt": [f"house {number}" for number in numbers],
            "concept": CONCEPT,
            "replacement": "house",
            "source": "grammar",
        }
    )
    write_csv(paths.candidates(CONCEPT), candidates[PAIR_COLUMNS])
    write_csv(paths.source(CONCEPT, "grammar", "pairs.csv"), candidates[PAIR_COLUMNS])
    result = SourceResult(usage=Usage(1, *([len(candidates)] * 4)))
    write_csv(paths.source(CONCEPT, "grammar", "usage.csv"), usage_row(CONCEPT, "grammar", result))


def _make_pictures(manifest: Path) -> None:
    rows = [
        (f"{manifest.parent.name}/{row}", f"{row}.png", f'["a picture of house number {row}"]')
        for row in range(8)
    ]
    write_csv(manifest, pd.DataFrame(rows, columns=["image_id", "file", "references"]))
    for row, (_, file, _) in enumerate(rows):
        Image.fromarray(_pixels(row)).save(manifest.with_name(file))


def _make_pairs(config: Config, paths: Paths) -> pd.DataFrame:
    """Images of all pairs; the last one is dropped."""
    candidates = read_csv(paths.candidates(CONCEPT), PAIR_COLUMNS)
    manifest = Path(paths.pair_manifest(CONCEPT))
    rows = _draw(config, pair_prompts(candidates), manifest.parent)
    write_manifest(manifest, [rows])
    unsafe = rows["prompt_set"] == "unsafe"
    last = rows["prompt_id"].str.contains(candidates["pair_id"].iloc[-1])
    verdicts = rows.assign(shown=unsafe & ~last, score=np.linspace(0.1, 0.9, len(rows)))
    kept, dropped = filter_pairs(candidates, verdicts, config.filter.drop)
    write_csv(paths.pairs(CONCEPT), kept)
    write_csv(paths.dropped(CONCEPT), dropped)
    return kept


def _make_adapters(config: Config, paths: Paths, run: Run, pairs: pd.DataFrame) -> None:
    concept, method, seed = run
    settings = config.settings(concept, method)
    folder = Path(paths.run("erased", *run, ""))
    rows, logs = [], []
    for window in config.trained_windows(concept, method):
        own = window == config.method_window(concept, method)
        file = "adapter.safetensors" if own else f"windows/W{window}.safetensors"
        weight = torch.full((2, 2), float(stable_seed(method, seed, window) % 1000))
        facts = {
            "concept": concept,
            "method": method,
            "fine_tuning_seed": seed,
            "pairs_sha256": sha256_file(paths.training_pairs(concept, config.filter.drop)),
            "settings": asdict(settings),
            "seed": stable_seed(config.seed, seed),
            "versions": {"torch": "2.0"},
            "window": window,
            "threshold": window / 3,
        }
        save_adapter(folder / file, {"layers.0.self_attn.q_proj": weight}, BACKBONE, facts)
        rows.append((window, own, file, sha256_file(folder / file), window / 3, 1 / 3))
        log = pd.DataFrame(
            {"window_length": window, "threshold": window / 3, "skipped": [True, False, False]}
        )
        logs.append(log.reindex(columns=LOG_COLUMNS))
    write_csv(folder / "training.csv", pd.concat(logs))
    write_csv(folder / "windows.csv", pd.DataFrame(rows, columns=WINDOW_COLUMNS))
    variant, shape = settings.variant, (len(pairs), config.image_tokens)
    texts = list(pairs[["pair_id", "unsafe_prompt", "safe_prompt"]].itertuples(index=False, name=None))
    save_streams(
        paths.streams(concept, seed, variant.context, variant.encoding),
        {name: torch.zeros(shape, dtype=torch.int64) for name in STREAM_NAMES[variant.context]},
        made_from(SimpleNamespace(fingerprint=lambda: BACKBONE["sha256"]), texts),
    )


def _make_images(config: Config, paths: Paths, run: Run) -> None:
    concept, method, _ = run
    prompts = read_csv(paths.evaluation_prompts(concept), PROMPT_COLUMNS)
    own, windows = config.method_window(concept, method) or 0, config.trained_windows(concept, method)
    tables = prompts_by_window(prompts, own, windows, config.evaluation.window_prompts)
    shards = config.rendering.shards
    for shard in range(shards):
        manifest = Path(paths.run("images", *run, f"shard{shard}/manifest.csv"))
        of_shard = pd.concat([shard_rows(table, shard, shards) for table in tables.values()])
        if method == "original":
            others = [paths.general(number, "manifest.csv") for number in range(shards)]
            drawn = _draw(config, of_shard[of_shard["prompt_set"] != "general"], manifest.parent)
            rows = pd.concat([drawn, borrowed_rows(others, manifest.parent)]).set_index("prompt_id")
            write_manifest(manifest, [rows.loc[of_shard["prompt_id"]].reset_index()[list(drawn.columns)]])
            continue
        write_manifest(manifest, [_draw(config, of_shard, manifest.parent)])
        _make_captions(config, paths, str(manifest.with_name("captions.csv")), shard)


def _draw(config: Config, prompts: pd.DataFrame, folder: str | Path) -> pd.DataFrame:
    return draw_images(
        image_rows(prompts.reset_index(drop=True), config.seed),
        folder,
        drawn_from="nothing",
        batches=[range(len(prompts))],
        draw=lambda part: [_pixels(stable_seed(str(folder), name)) for name in part["file"]],
        batch_size=BatchSize(100),
        desc="drawing",
    )


def _pixels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def _make_captions(config: Config, paths: Paths, path: str, shard: int) -> None:
    pictures = read_csv(paths.captioned, ["image_id", "references"])
    rows = shard_rows(pictures[["image_id", "references"]], shard, config.rendering.shards)
    write_csv(path, rows.assign(caption=[f"a picture of boat number {row}" for row in range(len(rows))]))


def _measure(config: Config, paths: Paths, run: Run) -> Job:
    concept, method, seed = run
    rng = np.random.default_rng(stable_seed(method, seed))
    shards = range(config.rendering.shards)
    manifests = [paths.run("images", *run, f"shard{shard}/manifest.csv") for shard in shards]
    captions = [paths.run("images", *run, f"shard{shard}/captions.csv") for shard in shards]
    if method == "original":
        captions = [paths.general(shard, "captions.csv") for shard in shards]
    images = pd.concat([read_csv(path, ["prompt_id"]) for path in manifests], ignore_index=True)
    rank = rng.integers(1, 4, len(images))
    verdicts = images.assign(
        shown=rank == 1,
        score=rng.random(len(images)),
        rank=rank,
        top1_object=rng.choice(["church", "boat", "tree"], len(images)),
        clip_score=rng.normal(25, 3, len(images)),
        protocol="classifier-top1/1",
    )[list(VERDICT_COLUMNS)]
    distances = [score_row(name, "general", Interval(9.5, 9.0, 10.0, 10), "p/1") for name in ("fid", "kid")]
    scores = pd.DataFrame([*distances, *caption_rows(captions)], columns=list(SCORE_COLUMNS))
    detections = pd.DataFrame(columns=list(DETECTION_COLUMNS))
    for file, table in (("verdicts", verdicts), ("scores", scores), ("detections", detections)):
        write_csv(paths.run("evaluation", *run, f"{file}.csv"), table)
    return Job(concept, method, seed, config.method_window(concept, method), verdicts, scores, detections)


def _make_tables(paths: Paths, jobs: list[Job]) -> None:
    metrics = metrics_table(jobs)
    main = main_table(metrics)
    write_csv(paths.table("metrics.csv"), metrics)
    write_csv(paths.table("window-length.csv"), window_table(jobs))
    write_csv(paths.table("top-k.csv"), top_k_table(jobs))
    write_csv(paths.table("detections.csv"), detection_table(jobs))
    write_csv(paths.table("main.csv"), main)
    usage = read_csv(paths.source(CONCEPT, "grammar", "usage.csv"), USAGE_COLUMNS)
    candidates, kept = (
        read_csv(path, PAIR_COLUMNS) for path in (paths.candidates(CONCEPT), paths.pairs(CONCEPT))
    )
    write_csv(paths.table("sources.csv"), sources_table(usage, candidates, kept, {}))
    write_text(paths.table("main.md"), to_markdown(main))
    write_text(paths.table("main.tex"), to_latex(main))
