# What all stages share: the typed config, the paths, and the fingerprint of a rule's code.

import sys
from pathlib import Path

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT))

from ear.config import ORIGINAL, parse_config
from ear.erasure.presets import VARIANTS
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
    """All (concept, method, seed) of the experiment; the original model has no fine-tuning seed and stands as seed 0."""
    return [
        (concept, method, seed)
        for concept in experiment.concepts
        for method in experiment.methods
        for seed in ([0] if method == ORIGINAL else experiment.seeds)
    ]


def adapters_of(wildcards):
    """List of the method's adapters; the original model has none."""
    if wildcards.method == ORIGINAL:
        return []
    return paths.run("erased", wildcards.concept, wildcards.method, wildcards.seed, "windows.csv")


def streams_of(wildcards):
    """The streams that the method's variant reads."""
    variant = VARIANTS[experiment.methods[wildcards.method].variant]
    return paths.streams(wildcards.concept, wildcards.seed, variant.context, variant.encoding)


def figures():
    """All figures of the experiment."""
    names = ["concept-rate", "window-length", "tradeoff", "samples"]
    names += [f"{name}-{concept}" for name in ("samples", "training") for concept in experiment.concepts]
    return [paths.figure(name, suffix) for name in names for suffix in ("png", "pdf")]


def shown_runs(concept):
    """One run a method, whose images are shown: the first fine-tuning seed."""
    return [
        (concept, method, 0 if method == ORIGINAL else experiment.seeds[0]) for method in experiment.methods
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
    """Method → its own window length; none for the original."""
    return {
        method: None if method == ORIGINAL else experiment.method_window(concept, method)
        for method in experiment.methods
    }
