"""A finished smoke experiment, made up: every table and file by the project's own writers, no model anywhere."""

from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch
from PIL import Image

from ear.attacks.budget import ATTACK_COLUMNS, SEARCHES, relearned_set, search_set
from ear.attacks.victim import Verdict, verdict_rows
from ear.axes.probes import probes_of
from ear.batching import BatchSize
from ear.config import Config
from ear.config.concepts import Which
from ear.config.models import Run
from ear.erasure.adapter import save_adapter
from ear.erasure.presets import STREAM_NAMES, TOGETHER
from ear.erasure.streams import made_from, save_streams
from ear.erasure.together import hash_of_pairs
from ear.erasure.trainer import LOG_COLUMNS
from ear.erasure.windows import WINDOW_COLUMNS
from ear.files import read_csv, sha256_file, write_csv, write_json, write_text
from ear.filtering import PAIR_VERDICT_COLUMNS, SECOND_PAIR_COLUMNS, filter_pairs, pair_outcomes, pair_prompts
from ear.judges.base import SECOND_COLUMNS
from ear.judges.calibration import Calibration, choose_threshold
from ear.metrics.captions import caption_rows, question_rows
from ear.metrics.columns import DETECTIONS_CSV, SCORES_CSV, VERDICTS_CSV
from ear.metrics.comparison import comparisons
from ear.metrics.filtering import agreement_table, filter_table
from ear.metrics.intervals import Interval
from ear.metrics.score_card import score_card, to_latex
from ear.metrics.table import (
    Job,
    detection_table,
    metrics_table,
    score_row,
    top_k_table,
    window_table,
    with_attacks,
)
from ear.paths import Paths
from ear.prompts.models.base import SourceResult, Usage
from ear.prompts.sources import USAGE_COLUMNS, sources_table, usage_row
from ear.prompts.tables import PAIR_COLUMNS, PROMPT_COLUMNS
from ear.questions import ANSWER_COLUMNS, questions_about
from ear.render import borrowed_rows, draw_images, image_rows, prompts_by_window, shard_rows, write_manifest
from ear.seeding import stable_seed

BACKBONE = {"reference": "results/smoke/assets/mini-backbone", "revision": None, "sha256": "b" * 64}
PAGES = ["results/smoke/report.html"]


def make_results(config: Config) -> None:
    """Fill results/smoke below the current folder."""
    paths = Paths(config.experiment)
    for path in (paths.reference_features, *PAGES):
        write_text(path, "made up\n")
    for name in config.used_assets:
        write_json(paths.asset(name), {"asset": name, "files": {}})
    for concept in config.concepts:
        _make_prompts(config, paths, concept)
    for manifest in (paths.reference, paths.captioned):
        _make_pictures(Path(manifest))
    made = {concept: _make_pairs(config, paths, concept) for concept in config.concepts}
    write_csv(
        paths.table("filter.csv"), filter_table({concept: one.outcomes for concept, one in made.items()})
    )
    write_csv(
        paths.table("agreement.csv"),
        agreement_table({concept: one.verdicts for concept, one in made.items()}),
    )
    for shard in range(config.rendering.shards):
        general = read_csv(paths.general_prompts, PROMPT_COLUMNS).assign(window=0)
        rows = _draw(config, shard_rows(general, shard, config.rendering.shards), paths.general(shard, ""))
        write_manifest(paths.general(shard, "manifest.csv"), [rows])
        _make_captions(config, paths, paths.general(shard, "captions.csv"), shard)
    jobs = []
    for run in config.adapters():
        _make_adapters(config, paths, run, {concept: one.kept for concept, one in made.items()})
    for run in config.attacked_runs():
        _make_attacks(config, paths, run)
    for run in config.runs():
        _make_images(config, paths, run)
        jobs.append(_measure(config, paths, run))
    _make_tables(config, paths, jobs)


def _make_prompts(config: Config, paths: Paths, concept: str) -> None:
    sets = {"target": f"a {concept}", "retention": "a boat", "general": "a tree"}
    prefix = {name: f"{concept}/{name}" for name in sets} | {"general": "general"}
    tables = {
        name: pd.DataFrame(
            {
                "prompt_id": [f"{prefix[name]}/{row:04d}" for row in range(10)],
                "prompt_set": name,
                "prompt": [f"{words}, number {row}" for row in range(10)],
                "object": words.split()[1],
            }
        )
        for name, words in sets.items()
    }
    write_csv(paths.general_prompts, tables["general"][PROMPT_COLUMNS])
    write_csv(paths.evaluation_prompts(concept), pd.concat(tables.values())[PROMPT_COLUMNS])
    numbers = range(config.prompts.pairs)
    candidates = pd.DataFrame(
        {
            "pair_id": [f"{concept}/pair/{number:04d}" for number in numbers],
            "unsafe_prompt": [f"{concept} {number}" for number in numbers],
            "safe_prompt": [f"house {number}" for number in numbers],
            "concept": concept,
            "replacement": "house",
            "source": "grammar",
        }
    )
    write_csv(paths.candidates(concept), candidates[PAIR_COLUMNS])
    write_csv(paths.source(concept, "grammar", "pairs.csv"), candidates[PAIR_COLUMNS])
    result = SourceResult(usage=Usage(1, *([len(candidates)] * 4)))
    write_csv(paths.source(concept, "grammar", "usage.csv"), usage_row(concept, "grammar", result))


def _make_pictures(manifest: Path) -> None:
    rows = [
        (f"{manifest.parent.name}/{row}", f"{row}.png", f'["a picture of {thing} number {row}"]')
        for row, thing in enumerate(["house", "church", "castle", "house"] * 2)
    ]
    write_csv(manifest, pd.DataFrame(rows, columns=["image_id", "file", "references"]))
    for row, (_, file, _) in enumerate(rows):
        Image.fromarray(_pixels(row)).save(manifest.with_name(file))


@dataclass(frozen=True)
class _Pairs:
    """What the visual filter made of a concept's pairs."""

    verdicts: pd.DataFrame
    kept: pd.DataFrame
    outcomes: pd.DataFrame


def _make_pairs(config: Config, paths: Paths, concept: str) -> _Pairs:
    """Images of all pairs; the last one is dropped."""
    candidates = read_csv(paths.candidates(concept), PAIR_COLUMNS)
    manifest = Path(paths.pair_manifest(concept))
    rows = _draw(config, pair_prompts(candidates), manifest.parent)
    write_manifest(manifest, [rows])
    unsafe = rows["prompt_set"] == "unsafe"
    last = rows["prompt_id"].str.contains(candidates["pair_id"].iloc[-1])
    score = np.linspace(0.9, 0.1, len(rows)).astype(np.float32)
    verdicts = rows.assign(shown=unsafe & ~last, score=score, threshold=np.nan, protocol="classifier-top1/1")
    columns = PAIR_VERDICT_COLUMNS
    for which in _zero_shot(config, concept):
        chosen = choose_threshold(score[unsafe], score[~unsafe])
        counts = int(unsafe.sum()), int((~unsafe).sum())
        Calibration("z/1", "c" * 64, ["a"], ["b"], *chosen, *counts).write(paths.calibration(concept, which))
        prefix = "" if which == "judge" else "second_"
        said = {"shown": score >= chosen.value, "score": score, "threshold": chosen.value, "protocol": "z/1"}
        verdicts = verdicts.assign(**{f"{prefix}{name}": value for name, value in said.items()})
        columns = [*columns, *SECOND_PAIR_COLUMNS] if prefix else columns
    kept, dropped = filter_pairs(candidates, verdicts, config.filter.drop)
    write_csv(paths.pair_verdicts(concept), verdicts[columns])
    write_csv(paths.pairs(concept), kept)
    write_csv(paths.dropped(concept), dropped)
    return _Pairs(verdicts[columns], kept, pair_outcomes(kept, dropped))


def _zero_shot(config: Config, concept: str) -> list[Which]:
    """Which of a concept's judges are zero-shot ones."""
    return [which for which, judge in config.concepts[concept].judges.items() if judge.by == "zero-shot"]


def _make_adapters(config: Config, paths: Paths, run: Run, pairs: dict[str, pd.DataFrame]) -> None:
    erased, method, seed = run
    concepts = erased.split(TOGETHER)
    concept = concepts[0]
    settings = config.settings(concept, method)
    folder = Path(paths.run("erased", *run, ""))
    rows, logs = [], []
    for window in config.trained_windows(concept, method):
        own = window == config.method_window(concept, method)
        file = "adapter.safetensors" if own else f"windows/W{window}.safetensors"
        weight = torch.full((2, 2), float(stable_seed(method, seed, window) % 1000))
        facts = {
            "concept": erased,
            "method": method,
            "fine_tuning_seed": seed,
            "pairs_sha256": hash_of_pairs(
                [sha256_file(paths.training_pairs(one, config.filter.drop)) for one in concepts]
            ),
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
    variant = settings.variant
    for one in concepts:
        shape = (len(pairs[one]), config.image_tokens)
        texts = pairs[one][["pair_id", "unsafe_prompt", "safe_prompt"]].itertuples(index=False, name=None)
        save_streams(
            paths.streams(one, seed, variant.context, variant.encoding),
            {name: torch.zeros(shape, dtype=torch.int64) for name in STREAM_NAMES[variant.context]},
            made_from(SimpleNamespace(fingerprint=lambda: BACKBONE["sha256"]), list(texts)),
        )


def _make_images(config: Config, paths: Paths, run: Run) -> None:
    concept, method, _ = run
    prompts = read_csv(paths.evaluation_prompts(concept), PROMPT_COLUMNS)
    own, windows = config.method_window(concept, method) or 0, config.trained_windows(concept, method)
    samples = config.axes.samples
    plain = prompts_by_window(prompts, own, windows, config.evaluation.window_prompts, samples).values()
    pairs = read_csv(paths.candidates(concept), PAIR_COLUMNS) if method == "original" else None
    probes = [probe.rows.assign(window=own) for probe in probes_of(prompts, config.axes.model_dump(), pairs)]
    shards = config.rendering.shards
    for shard in range(shards):
        manifest = Path(paths.run("images", *run, f"shard{shard}/manifest.csv"))
        of_shard = pd.concat([shard_rows(table, shard, shards) for table in plain])
        probed = pd.concat([shard_rows(table, shard, shards) for table in probes])
        probed = _draw(config, probed, manifest.parent)
        if method == "original":
            others = [paths.general(number, "manifest.csv") for number in range(shards)]
            drawn = _draw(config, of_shard[of_shard["prompt_set"] != "general"], manifest.parent)
            rows = pd.concat([drawn, borrowed_rows(others, manifest.parent)]).set_index("prompt_id")
            write_manifest(
                manifest, [rows.loc[of_shard["prompt_id"]].reset_index()[list(drawn.columns)], probed]
            )
            _make_answers(config, paths, run, shard)
            continue
        write_manifest(manifest, [_draw(config, of_shard, manifest.parent), probed])
        _make_captions(config, paths, str(manifest.with_name("captions.csv")), shard)
        _make_answers(config, paths, run, shard)


def _make_answers(config: Config, paths: Paths, run: Run, shard: int) -> None:
    names = config.names_of(run[0])
    others = [thing for thing in config.things() if thing not in names]
    pictures = read_csv(paths.captioned, ["image_id", "file", "references"])
    asked = shard_rows(questions_about(pictures, names, others), shard, config.rendering.shards)
    scores = np.random.default_rng(stable_seed(*run, shard)).random(len(asked))
    answers = asked.assign(answered=np.where(scores > 0.5, "yes", "no"), score=scores)[ANSWER_COLUMNS]
    write_csv(paths.run("images", *run, f"shard{shard}/answers.csv"), answers)


def _make_attacks(config: Config, paths: Paths, run: Run) -> None:
    concept, method, seed = run
    prompts = read_csv(paths.evaluation_prompts(concept), PROMPT_COLUMNS)
    targets = prompts[prompts["prompt_set"] == "target"].reset_index(drop=True)
    targets = targets.assign(window=config.method_window(concept, method) or 0)
    rng, parts = np.random.default_rng(stable_seed(method, seed, "attack")), []

    def verdicts(count: int) -> list[Verdict]:
        zero_shot = _zero_shot(config, concept)
        least = Calibration.read(paths.calibration(concept, "judge")).threshold if "judge" in zero_shot else 0
        scores, ranks = rng.random(count).astype(np.float32), rng.integers(1, 4, count).tolist()
        if "judge" in zero_shot:
            return [Verdict(bool(score >= least), float(score), None, "boat") for score in scores]
        return [
            Verdict(rank == 1, float(score), rank, "boat") for score, rank in zip(scores, ranks, strict=True)
        ]

    if search := config.searched(method):
        first = targets.head(search.prompts)
        for name in SEARCHES:
            text = first["prompt"] + ("" if name == "resample" else " red tree")
            rows = verdicts(len(first))
            parts.append(
                verdict_rows(first.assign(prompt=text), search_set(name), rows, "p/1", search.queries)
            )
    if relearning := config.relearned(method):
        first = targets.head(relearning.prompts)
        parts += [
            verdict_rows(first, relearned_set(steps), verdicts(len(first)), "p/1", 1)
            for steps in relearning.steps
        ]
    write_csv(paths.run("attacks", *run, "verdicts.csv"), pd.concat(parts, ignore_index=True))


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
        clip_protocol="clip-score/1",
        protocol="classifier-top1/1",
    )
    columns = list(VERDICTS_CSV.columns)
    for which in _zero_shot(config, concept):
        least = Calibration.read(paths.calibration(concept, which)).threshold
        score = rng.random(len(images)).astype(np.float32)
        prefix = "" if which == "judge" else "second_"
        said = {"shown": score >= least, "score": score, "protocol": "z/1"}
        verdicts = verdicts.assign(**{f"{prefix}{name}": value for name, value in said.items()})
        columns = [*columns, *SECOND_COLUMNS] if prefix else columns
    said = [name for name in columns[columns.index("shown") :] if not name.startswith("clip_")]
    verdicts[said] = verdicts[said].where(verdicts["prompt_set"] != "general")
    verdicts = verdicts[columns].astype({"rank": "Int64"})
    names = ("fid", "kid", "diversity")
    distances = [score_row(name, "general", Interval(9.5, 9.0, 10.0, 10), "p/1") for name in names]
    answers = [paths.run("images", *run, f"shard{shard}/answers.csv") for shard in shards]
    answered = question_rows(answers if config.axes.questions else [])
    captioned = caption_rows(captions, config.utility.question)
    scores = SCORES_CSV.frame([*distances, *captioned, *answered])
    detections = DETECTIONS_CSV.frame()
    for file, table in (("verdicts", verdicts), ("scores", scores), ("detections", detections)):
        write_csv(paths.run("evaluation", *run, f"{file}.csv"), table)
    window, also_erased = config.method_window(concept, method), config.also_erased(concept, method)
    attacked = run in config.attacked_runs()
    attacks = read_csv(paths.run("attacks", *run, "verdicts.csv"), ATTACK_COLUMNS) if attacked else None
    verdicts = with_attacks(verdicts, attacks)
    return Job(concept, method, seed, window, verdicts, scores, detections, also_erased)


def _make_tables(config: Config, paths: Paths, jobs: list[Job]) -> None:
    metrics = metrics_table(jobs)
    write_csv(paths.table("metrics.csv"), metrics)
    write_csv(paths.table("window-length.csv"), window_table(jobs))
    write_csv(paths.table("top-k.csv"), top_k_table(jobs))
    write_csv(paths.table("detections.csv"), detection_table(jobs))
    write_csv(paths.table("comparisons.csv"), comparisons(jobs, config.evaluation.shown_method))
    files = [(paths.source(one, "grammar", "usage.csv"), USAGE_COLUMNS) for one in config.concepts]
    files += [(paths.candidates(one), PAIR_COLUMNS) for one in config.concepts]
    files += [(paths.pairs(one), PAIR_COLUMNS) for one in config.concepts]
    read, count = [read_csv(*file) for file in files], len(config.concepts)
    tables = [pd.concat(read[start : start + count]) for start in (0, count, 2 * count)]
    write_csv(paths.table("sources.csv"), sources_table(*tables, {}))
    card = score_card(metrics, config.image_tokens)
    write_csv(paths.table("score-card.csv"), card)
    write_text(paths.table("score-card.tex"), to_latex(card))
