"""Images and captions: those of the prompts, every file as its manifest has it, and no others."""

from pathlib import Path

import pandas as pd

from ear.axes.probes import Probe, probes_of
from ear.chat import NO, YES
from ear.filtering import pair_prompts
from ear.integrity.inspection import Inspection
from ear.integrity.rows import compare_rows
from ear.metrics.inputs import CAPTION_COLUMNS
from ear.names import ORIGINAL
from ear.prompts.tables import PAIR_COLUMNS, PROMPT_COLUMNS
from ear.questions import ANSWER_COLUMNS, HALF, QUESTION_COLUMNS, questions_about
from ear.render import MANIFEST_COLUMNS, damage, image_rows, prompts_by_window, shard_rows

NAME = ["prompt_id", "window"]
CAPTIONED = ["image_id", "references"]


def check_images(inspection: Inspection) -> None:
    """Check every manifest of drawn images, and every table of captions."""
    config, paths = inspection.config, inspection.paths
    for concept in config.concepts:
        candidates = inspection.table(paths.candidates(concept), PAIR_COLUMNS)
        prompts = None if candidates is None else pair_prompts(candidates).assign(object=float("nan"))
        _check_manifest(inspection, paths.pair_manifest(concept), prompts)
    general = inspection.table(paths.general_prompts, PROMPT_COLUMNS)
    tables = [] if general is None else [general.assign(window=0)]
    for shard in range(config.rendering.shards):
        manifest = paths.general(shard, "manifest.csv")
        _check_manifest(inspection, manifest, _of_shard(inspection, tables, shard))
        _check_captions(inspection, paths.general(shard, "captions.csv"), shard)
    for concept, method, seed in config.runs():
        tables = _drawn(inspection, concept, method)
        for shard in range(config.rendering.shards):
            folder = f"shard{shard}"
            manifest = paths.run("images", concept, method, seed, f"{folder}/manifest.csv")
            _check_manifest(inspection, manifest, _of_shard(inspection, tables, shard))
            if speaks(inspection, method):
                captions = paths.run("images", concept, method, seed, f"{folder}/captions.csv")
                _check_captions(inspection, captions, shard)
        for shard, answers in enumerate(answers_of(inspection, concept, method, seed)):
            _check_answers(inspection, answers, concept, shard)


def check_pictures(inspection: Inspection) -> None:
    """Check the pictures that were not drawn by a model: no hash is known, but a damaged PNG tells."""
    for table, columns in (
        (inspection.paths.reference, ["image_id", "file"]),
        (inspection.paths.captioned, [*CAPTIONED, "file"]),
    ):
        listed = inspection.table(table, columns)
        for name in [] if listed is None else listed["file"]:
            path = Path(table).parent / str(name)
            if inspection.there(path) and path.suffix == ".png" and (found := damage(path)):
                inspection.mismatch(path, f"a damaged picture ({found})", "a whole one")


def speaks(inspection: Inspection, method: str) -> bool:
    """Whether a method has captions of its own: not the original, whose serve all concepts."""
    return method != ORIGINAL and not inspection.config.methods[method].diffusion


def answers_of(inspection: Inspection, concept: str, method: str, seed: int) -> list[str]:
    """Answers of a (concept, method, seed) to yes/no questions, shard by shard; none where none are asked."""
    config = inspection.config
    if not config.axes.questions or config.methods[method].diffusion:
        return []
    return [
        inspection.paths.run("images", concept, method, seed, f"shard{shard}/answers.csv")
        for shard in range(config.rendering.shards)
    ]


def manifests_of(inspection: Inspection, concept: str, method: str, seed: int) -> list[str]:
    """Manifests of the images of a (concept, method, seed), shard by shard."""
    return [
        inspection.paths.run("images", concept, method, seed, f"shard{shard}/manifest.csv")
        for shard in range(inspection.config.rendering.shards)
    ]


def _drawn(inspection: Inspection, concept: str, method: str) -> list[pd.DataFrame]:
    """Tables that a method draws, each sharded by itself; none where the prompts cannot be read."""
    config = inspection.config
    prompts = inspection.table(inspection.paths.evaluation_prompts(concept), PROMPT_COLUMNS)
    if prompts is None:
        return []
    if config.methods[method].diffusion:
        prompts = prompts[prompts["prompt_set"] == "target"]
    own = config.method_window(concept, method) or 0
    tables = prompts_by_window(
        prompts,
        own,
        config.trained_windows(concept, method),
        config.evaluation.window_prompts,
        1 if config.methods[method].diffusion else config.axes.samples,
    )
    return [
        *tables.values(),
        *(probe.rows.assign(window=own) for probe in _probes(inspection, concept, method)),
    ]


def _probes(inspection: Inspection, concept: str, method: str) -> list[Probe]:
    """Probes of a method; none of a diffusion model."""
    prompts = inspection.table(inspection.paths.evaluation_prompts(concept), PROMPT_COLUMNS)
    pairs = None
    if method == ORIGINAL:
        pairs = inspection.table(inspection.paths.candidates(concept), PAIR_COLUMNS)
    if prompts is None or inspection.config.methods[method].diffusion:
        return []
    return probes_of(prompts, inspection.config.axes.model_dump(), pairs)


def _of_shard(inspection: Inspection, tables: list[pd.DataFrame], shard: int) -> pd.DataFrame | None:
    shards = inspection.config.rendering.shards
    return pd.concat([shard_rows(table, shard, shards) for table in tables]) if tables else None


def _check_manifest(inspection: Inspection, path: str, prompts: pd.DataFrame | None) -> None:
    """Check a manifest: its rows, where the prompts of the images are known, its files, and its folder."""
    found = inspection.table(path, MANIFEST_COLUMNS)
    if found is None:
        return
    folder = Path(path).parent
    if prompts is not None:
        wanted = image_rows(prompts, inspection.config.seed)
        # General images of the original are those of another folder.
        names = found.assign(file=[Path(str(name)).name for name in found["file"]])
        columns = [column for column in MANIFEST_COLUMNS if column != "sha256"]
        compare_rows(inspection, path, names, wanted[columns], NAME)
    listed = [folder / str(name) for name in found["file"]]
    inspection.files(listed, found["sha256"], f"hashing {folder}")
    inspection.unlisted(folder, ".png", listed, "manifest.csv")
    inspection.counts["images"] += len(listed)


def _check_captions(inspection: Inspection, path: str, shard: int) -> None:
    captions = inspection.table(path, CAPTION_COLUMNS)
    pictures = inspection.table(inspection.paths.captioned, [*CAPTIONED, "file"])
    if captions is not None and pictures is not None:
        wanted = shard_rows(pictures[CAPTIONED], shard, inspection.config.rendering.shards)
        compare_rows(inspection, path, captions, wanted, ["image_id"])


def _check_answers(inspection: Inspection, path: str, concept: str, shard: int) -> None:
    """The questions follow from the pictures' references, and an answer from its score."""
    answers = inspection.table(path, ANSWER_COLUMNS)
    pictures = inspection.table(inspection.paths.captioned, [*CAPTIONED, "file"])
    if answers is None or pictures is None:
        return
    names, config = inspection.config.names_of(concept), inspection.config
    others = [thing for thing in config.things() if thing not in names]
    asked = shard_rows(questions_about(pictures, names, others), shard, config.rendering.shards)
    keys = ["image_id", "about"]
    compare_rows(inspection, path, answers, asked[QUESTION_COLUMNS], keys)
    scores = pd.to_numeric(answers["score"], errors="coerce")
    answered = answers[keys].assign(answered=[YES if score > HALF else NO for score in scores])
    compare_rows(inspection, path, answers, answered, keys)
