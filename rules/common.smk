# What all stages share: the typed config, the paths, and the fingerprint of a rule's code.

import sys
from dataclasses import asdict
from pathlib import Path

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT))

from ear.config import parse_config
from ear.errors import InputError
from ear.fingerprint import code_fingerprint
from ear.paths import Paths

try:
    experiment = parse_config(config, source=str((workflow.configfiles or ["--config"])[-1]))
except InputError as error:
    sys.exit(f"error: {error}")

paths = Paths(experiment.experiment)
GPU = 1 if experiment.backbone.device == "cuda" else 0


def code(script):
    """Fingerprint of a script and of the modules it reaches: an edit reruns the stages that use it, a comment reruns nothing."""
    return code_fingerprint(ROOT / "scripts" / f"{script}.py", ROOT)


def runs():
    """All (concept, method, seed) of the experiment; a method that trains nothing stands as seed 0."""
    return [
        (concept, method, seed)
        for concept in experiment.concepts
        for method in experiment.methods
        for seed in (experiment.seeds if experiment.methods[method].trains else [0])
    ]


def adapters_of(wildcards):
    """List of the method's adapters; a method that trains nothing has none."""
    if not experiment.methods[wildcards.method].trains:
        return []
    return paths.run("erased", wildcards.concept, wildcards.method, wildcards.seed, "windows.csv")


def exported_adapter(wildcards):
    """The adapter of an erased model; a method that trains none has no model of its own."""
    if wildcards.method not in experiment.trained_methods:
        raise InputError(
            f"export/{wildcards.concept}/{wildcards.method}: found a method that trains no weights, "
            f"wanted one of {', '.join(experiment.trained_methods)}"
        )
    return paths.run("erased", wildcards.concept, wildcards.method, wildcards.seed, "adapter.safetensors")


def streams_of(wildcards):
    """The streams that the method's variant reads."""
    variant = experiment.settings(wildcards.concept, wildcards.method).variant
    return paths.streams(wildcards.concept, wildcards.seed, variant.context, variant.encoding)


def figures():
    """All figures of the experiment."""
    names = ["concept-rate", "window-length", "tradeoff", "samples"]
    names += [f"{name}-{concept}" for name in ("samples", "training") for concept in experiment.concepts]
    return [paths.figure(name, suffix) for name in names for suffix in ("png", "pdf")]


def shown_runs(concept):
    """One run a method, whose images are shown: the first fine-tuning seed."""
    return [
        (concept, method, experiment.seeds[0] if experiment.methods[method].trains else 0)
        for method in experiment.methods
    ]


def image_manifests(concept):
    """Manifests of the shown runs of a concept, method by method and shard by shard."""
    return [
        paths.run("images", *run, f"shard{shard}/manifest.csv")
        for run in shown_runs(concept)
        for shard in range(experiment.rendering.shards)
    ]


def image_verdicts(concept):
    """Verdicts on the images of the shown runs of a concept, method by method."""
    return [paths.run("evaluation", *run, "verdicts.csv") for run in shown_runs(concept)]


def own_windows(concept):
    """Method → its own window length; none for a method that trains nothing."""
    return {method: experiment.method_window(concept, method) for method in experiment.methods}


def negative_prompt(wildcards):
    """The words that a method's logits are pushed away from, and how far; none for most methods."""
    strength = experiment.methods[wildcards.method].strength
    return strength and {"negative": experiment.concepts[wildcards.concept].words, "strength": strength}
