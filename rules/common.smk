# What all stages of an experiment share: the typed config, the paths, and what jobs are made of.

import re
from hashlib import sha256

from ear.models.catalogue import Repository, load_catalogue, shapes_of
from ear.evaluation.protocols import AXES
from ear.config import parse_config
from ear.erasure.variants import JOINT
from ear.workflow.seeding import ORIGINAL
from ear.config.paths import Paths
from ear.world.sentences import is_described

CATALOGUE = load_catalogue(ROOT / "assets.yaml")
experiment = read_or_exit(parse_config, shapes=shapes_of(CATALOGUE))
paths = Paths(experiment.experiment)
if unknown := [name for name in experiment.used_assets if name not in CATALOGUE]:
    sys.exit(f"error: asset: found {unknown[0]}, wanted one of assets.yaml: {', '.join(CATALOGUE)}")
REHEARSED = experiment.assets.stand_ins is not None
GPU = 1 if experiment.backbone.device == "cuda" else 0

# A file in the folder of each model.
BACKBONE_FILE = paths.asset(experiment.backbone.asset)
CLIP_FILE = paths.asset(experiment.clip_asset)
FEATURES_FILE = paths.asset(experiment.features_asset)

# What the checkpoint is known to draw on a GPU; none of most, and none of stand-ins.
CANARY = CATALOGUE[experiment.backbone.asset].canary if GPU and not REHEARSED else None

SAMPLING = dict(temperature=experiment.sampling.temperature, experiment_seed=experiment.seed)
CONDITIONS = experiment.axes.model_dump(include={"prompts", "prefixes", "guidance", "temperature"})
# Reaches every job that loads the backbone; how pixels become bytes, those that draw.
BACKBONE = experiment.backbone.model_dump(exclude={"asset", "threads"}, exclude_none=True)
BACKBONE |= experiment.sampling.model_dump(include={"top_k"}, exclude_none=True)
DRAWING = BACKBONE | {"rounded": experiment.rendering.protocol == "lossless"}
SHARDS = range(experiment.rendering.shards)

# Memory of a job that loads the backbone, MB: its weights twice and some for what it computes.
BACKBONE_MB = 4000 + (0 if REHEARSED else 2 * CATALOGUE[experiment.backbone.asset].size // 10**6)
# Of the largest job: an attack on a model of full size holds two.
LARGEST_MB = (1 if experiment.world or not experiment.attacked_runs() else 2) * BACKBONE_MB
# Of a job whose judges may run on a GPU: a CUDA context takes 3 GB by itself.
JUDGES_MB = 8000 if GPU else 4000


def fingerprints(files):
    """Hashes of files of the repository: as inputs, their times in a fresh clone would rerun what reads them."""
    return [sha256((ROOT / name).read_bytes()).hexdigest() for name in files]


# Minutes of each job by the plan's stated rates, which are known on a GPU alone; the plan is not even imported without one.
PLANNED = {}
if GPU:
    from ear.commands.plan.estimate import run_times

    PLANNED = run_times(experiment, CATALOGUE)


def planned(job, minutes):
    """Run time of a job, growing with each attempt: what is planned for it, and no less than so many minutes.

    The job is named like its benchmark file, with the rule's wildcards.
    """
    return lambda wildcards, attempt: attempt * max(minutes, PLANNED.get(job.format(**wildcards), 0))


def with_backbone(job, minutes):
    """Resources of a job that loads the backbone; the job and its minutes are those of :func:`planned`."""
    return dict(
        gpu=GPU,
        mem_mb=growing(BACKBONE_MB),
        runtime=planned(job, minutes),
        batch_size=experiment.rendering.batch_size,
    )


def with_judges(job, minutes):
    """Resources of a job whose judges may run on a GPU."""
    return dict(gpu=GPU, mem_mb=growing(JUDGES_MB), runtime=planned(job, minutes))


def table(file, caption=None):
    """A table of the results that Snakemake's own report shows too."""
    caption = caption or Path(file).stem
    return report(paths.table(file), caption=f"../report/{caption}.rst", category="Tables")


def judge_files(which):
    """A file in the folder of a judge's model, then Q16's prompts or a calibration; none without the judge."""

    def files(wildcards):
        judge = experiment.concepts[wildcards.concept].judges.get(which)
        if judge is None:
            return []
        assets = [paths.asset(name) for name in experiment.judge_assets(judge)]
        return assets + [paths.calibration(wildcards.concept, which)] * (judge.by == "zero-shot")

    return files


def judges_of(wildcards):
    """Settings of the concept's judge, and of its second one where it has two."""
    judges = experiment.concepts[wildcards.concept].judges
    return [experiment.judge_settings(wildcards.concept, which) for which in judges]


def objects_file(wildcards):
    """The classifier that names the object of an image where the concept's judge knows none; the mini world has one."""
    named = experiment.world and experiment.concepts[wildcards.concept].judge.by == "zero-shot"
    return [paths.asset(experiment.judge_asset("classifier"))] if named else []


def retrained(wildcards):
    """Files of another training of what this repository holds, where assets.root has one: no hash in the catalogue tells them apart."""
    if experiment.assets.root is None or not isinstance(CATALOGUE[wildcards.asset].source, Repository):
        return []
    return sorted(map(str, Path(experiment.assets.root, wildcards.asset).glob("*")))


def like(things, condition):
    """Wildcard pattern of the methods or concepts that meet a condition; matches nothing where there is none."""
    return "|".join(name for name, thing in things.items() if condition(thing)) or "(?!)"


TRAINED = like(experiment.methods, lambda method: method.trains)
IMPORTED = like(experiment.methods, lambda method: method.adapts and not method.trains)
BY_DIFFUSION = like(experiment.methods, lambda method: method.diffusion)
FROM_ELSEWHERE = like(experiment.methods, lambda method: method.images)
BY_BACKBONE = like(experiment.methods, lambda method: method.draws)
ERASING = like(experiment.methods, lambda method: method.variant != "none" and method.draws)


def rules_of(wildcards):
    """What a pair of the concept must satisfy."""
    concept = experiment.concepts[wildcards.concept]
    return {
        "concept": wildcards.concept,
        "words": concept.words,
        "also_named": tuple(concept.also_named),
        "kind": concept.kind,
        "max_words": experiment.prompts.max_words,
    }


def indirect_of(wildcards):
    """Prompts of the concept that do not name it, and its neighbours, where the config lists them."""
    return experiment.concepts[wildcards.concept].model_dump(include={"implicit", "neighbours"})


def source_of(wildcards):
    """The source's section of the config."""
    return experiment.prompts.sources[wildcards.source]


def by(wildcards, kind):
    """Whether the source is of a kind: grammar, chat or transformers."""
    return source_of(wildcards).by == kind


def of_sources(concept, file):
    """A file of every source of a concept, in the order of the config; none of one with published pairs."""
    if concept not in experiment.own_prompts:
        return []
    return [paths.source(concept, source, file) for source in experiment.prompts.sources]


# Takes `resources`, though it reads none: Snakemake then does not count these values among those whose change reruns the job.
# They say how a model is reached and what it may cost, and cannot change what its answers are worth.
def calls_of(wildcards, resources):
    """How a language model is reached. An endpoint's key is the NAME of an environment variable."""
    source, calls = source_of(wildcards), {"recordings": experiment.prompts.recordings}
    if source.by == "chat":
        price = source.price and source.price.model_dump()
        calls |= {"endpoint": source.calls(), "budget": source.budget.model_dump(), "price": price}
    return calls
