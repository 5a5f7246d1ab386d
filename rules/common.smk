# What all stages of an experiment share: the typed config, the paths, and what jobs are made of.

import re
from dataclasses import asdict
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


def shards_of(wildcards, file):
    """A file of every shard of a (concept, method, seed)."""
    run = (wildcards.concept, wildcards.method, wildcards.seed)
    return [paths.run("images", *run, f"shard{shard}/{file}") for shard in SHARDS]


def captions_of(wildcards):
    """Captions by a method's model: the original's serve all concepts, and some models write none."""
    if not CAPTIONED:
        return []
    if wildcards.method == ORIGINAL:
        return [paths.general(shard, "captions.csv") for shard in SHARDS]
    return shards_of(wildcards, "captions.csv") if experiment.methods[wildcards.method].draws else []


CAPTIONED = experiment.utility.captions > 0


ASKED = experiment.axes.questions
THINGS = experiment.things() if ASKED else []


def answers_of(wildcards):
    """Answers to questions about pictures; none where nothing is asked, or by a model that only draws."""
    if not ASKED or not experiment.methods[wildcards.method].draws:
        return []
    return shards_of(wildcards, "answers.csv")


def questions_of(wildcards):
    """Names of the concept, and of the other things that are asked for; none where nothing is asked."""
    if not ASKED:
        return None
    names = experiment.concepts[wildcards.concept].names
    return names, [thing for thing in THINGS if thing not in names]


def images_from(folder):
    """Files of a concept's images that were made elsewhere; hidden ones are none."""
    found = sorted(str(path) for path in Path(folder).rglob("[!.]*") if path.is_file())
    if not found:
        raise InputError(f"{folder}: found no images, wanted a folder of them: docs/how-to/foreign-images.md")
    return found


def erased(concept, method, seed, file):
    """A file of the edited weights that a run is rendered with, which may serve several concepts."""
    return paths.run("erasure", *experiment.edited((concept, method, seed)), file)


def edited_weights_of(wildcards):
    """List of the method's edited weights; some methods have none."""
    if not experiment.methods[wildcards.method].adapts:
        return []
    return erased(wildcards.concept, wildcards.method, wildcards.seed, "windows.csv")


def exported_weights(wildcards):
    """The edited weights of an erased model; a method that edits none has no model of its own."""
    adapted = [name for name, method in experiment.methods.items() if method.adapts]
    if wildcards.method not in adapted:
        raise InputError(
            f"export/{wildcards.concept}/{wildcards.method}: found a method that trains no weights, "
            f"wanted one of {', '.join(adapted)}"
        )
    return erased(wildcards.concept, wildcards.method, wildcards.seed, "weights.safetensors")


def pairs_of(wildcards):
    """Pairs of the concepts that are erased together, in order."""
    concepts = wildcards.erased.split(JOINT)
    wanted = experiment.erased_with(concepts[0], wildcards.method)
    if concepts != wanted:
        raise InputError(
            f"erasure/{wildcards.erased}/{wildcards.method}: found {wildcards.erased}, wanted {JOINT.join(wanted)} as in the config"
        )
    return [paths.training_pairs(concept, experiment.filter.drop) for concept in concepts]


def first_erased(wildcards):
    """The first of the concepts that are erased together: all of them share settings and windows."""
    return wildcards.erased.split(JOINT)[0]


def sequences_of(wildcards):
    """The token sequences of these concepts that the method's variant reads."""
    concepts = wildcards.erased.split(JOINT)
    variant = experiment.settings(concepts[0], wildcards.method).variant
    return [
        paths.sequences(concept, wildcards.seed, variant.context, variant.encoding) for concept in concepts
    ]


def dumped(section):
    """A section of the config as plain values; None where there is none."""
    return section and section.model_dump()


def relearning_pairs(wildcards):
    """The pairs whose safe prompts an erased model is fine-tuned on, where it is."""
    relearned = experiment.relearned(wildcards.method)
    return paths.training_pairs(wildcards.concept, experiment.filter.drop) if relearned else []


def attack_tokens(wildcards):
    """Tokens of the original's images that attacks read: of the target prompts, and of the pairs."""
    reads_targets = experiment.searched(wildcards.method) or experiment.inverted(wildcards.method)
    found = [paths.target_tokens(wildcards.concept)] if reads_targets else []
    return found + ([paths.pair_tokens(wildcards.concept)] if experiment.relearned(wildcards.method) else [])


def attacks():
    """Verdicts on all attacks that the experiment makes."""
    return [paths.run("attacks", *run, "verdicts.csv") for run in experiment.attacked_runs()]


def not_plotted():
    """Figures of axes that the config turns off, and of detections where no judge detects."""
    on = experiment.axes.model_dump()
    concepts = experiment.concepts.values()
    on["implicit"] = any(one.implicit or (on["implicit"] and is_described(one.words)) for one in concepts)
    axes = [axis for axis in AXES if axis.config]
    off = {axis.figure for axis in axes} - {axis.figure for axis in axes if on[axis.config]}
    return off if any(one.judge.by == "nudenet" for one in concepts) else off | {"nudity"}


def all_figures():
    """Figures of the experiment: category, PNG file, caption, concept or nothing."""
    left_out = not_plotted()
    for figure, of in FIGURES.items():
        name = figure.replace("_", "-")
        file = of.get("file", name)
        if name not in left_out:
            for concept in experiment.concepts if "{concept}" in file else [""]:
                path = paths.figure(file.format(concept=concept))
                yield of["category"], path, f"report/{name}.rst", concept


def figures():
    """Files of all figures of the experiment."""
    return [str(Path(png).with_suffix(suffix)) for _, png, *_ in all_figures() for suffix in (".png", ".pdf")]


def results():
    """What an experiment is run for."""
    names = ["metrics.csv", "comparisons.csv", "window-length.csv", "score-card.tex", "top-k.csv"]
    names += ["filter.csv", "agreement.csv"]
    names += ["sources.csv"] if experiment.own_prompts else []
    names += ["deviations.csv"] if experiment.evaluation.published else []
    dropped = [paths.dropped(concept) for concept in experiment.concepts]
    canary = [paths.canary] if CANARY else []
    return [*canary, *dropped, *(paths.table(name) for name in names), *figures(), paths.report]


def shown_runs(*concepts):
    """One run of each concept and method, whose images are shown: the first fine-tuning seed."""
    return [
        (concept, method, experiment.seeds[0] if experiment.methods[method].trains else 0)
        for concept in concepts
        for method in experiment.methods_of(concept)
    ]


def gallery_runs():
    """All runs of all concepts, method by method and seed by seed: the gallery shows every fine-tuning seed."""
    return [
        (concept, method, seed)
        for concept in experiment.concepts
        for method in experiment.methods_of(concept)
        for seed in (experiment.seeds if experiment.methods[method].trains else [0])
    ]


def trained_for(concept):
    """Methods that train for a concept."""
    return [name for name in experiment.methods_of(concept) if experiment.methods[name].trains]


def manifests_of(runs):
    """Manifests of some runs, run by run and shard by shard."""
    return [paths.run("images", *run, f"shard{shard}/manifest.csv") for run in runs for shard in SHARDS]


def verdicts_of(runs):
    """Verdicts on the images of some runs."""
    return [paths.run("evaluation", *run, "verdicts.csv") for run in runs]


def described(runs):
    """Runs with their own window length, none for those without edited weights, and whether they are shown blurred."""
    return [
        (concept, method, seed, experiment.method_window(concept, method), concept in BLURRED)
        for concept, method, seed in runs
    ]


def negative_prompt(wildcards):
    """The words that a method's logits are pushed away from, and how far; none for most methods."""
    strength = experiment.methods[wildcards.method].strength
    return strength and {"negative": experiment.concepts[wildcards.concept].words, "strength": strength}


# Concepts whose images are shown blurred.
BLURRED = [name for name, concept in experiment.concepts.items() if concept.kind == "unsafe"]


def blurred(wildcards):
    """Whether images of the concept are shown blurred."""
    return wildcards.concept in BLURRED


def scores_of_shown_runs(wildcards):
    """Scores of the runs whose images are shown."""
    return [paths.run("evaluation", *run, "scores.csv") for run in shown_runs(wildcards.concept)]


def logs_of_training(wildcards):
    """Training logs of a concept's methods, of the first seed."""
    return [
        erased(wildcards.concept, method, experiment.seeds[0], "training.csv")
        for method in trained_for(wildcards.concept)
    ]


def of_trained(setting):
    """Method that trains for a concept → what is set for it."""
    return lambda wildcards: {
        method: setting(wildcards.concept, method) for method in trained_for(wildcards.concept)
    }


def images(file):
    """A file beside the images of a (concept, method, seed)."""
    return paths.run("images", "{concept}", "{method}", "{seed}", file)


def scored(file):
    """A file of what is measured on a (concept, method, seed)."""
    return paths.run("evaluation", "{concept}", "{method}", "{seed}", file)
