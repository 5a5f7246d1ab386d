# Files that rules read and write, by wildcards, and what the experiment is run for.


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


def pairings_of(wildcards):
    """How the method's variant reads the pairs of these concepts."""
    context = experiment.settings(first_erased(wildcards), wildcards.method).variant.context
    return [experiment.pairing(concept, context) for concept in wildcards.erased.split(JOINT)]


def dumped(section):
    """A section of the config as plain values, or None for a missing section."""
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


def trained_jobs():
    """(concept, method, seed) of all jobs that train, each with its own window length and the number of all."""
    firsts = [(run, (run[0].split(JOINT)[0], run[1])) for run in experiment.edited_weights()]
    return [
        (*run, experiment.method_window(*first), len(experiment.trained_windows(*first)))
        for run, first in firsts
        if experiment.methods[run[1]].trains
    ]


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
