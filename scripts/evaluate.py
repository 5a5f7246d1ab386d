"""Verdicts and scores of one (concept, method, seed)."""

from pathlib import Path

from ear.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    from ear.judges.classifier import Classifier, ConceptQuestion
    from ear.judges.clip import Clip
    from ear.metrics.evaluate import Judges, evaluate

    judges = Judges(
        classifier=Classifier.load(Path(snakemake.input.classifier).parent),
        clip=Clip.load(Path(snakemake.input.clip).parent),
        question=ConceptQuestion(**snakemake.params.judge),
    )
    evaluate(
        snakemake.input.manifests,
        snakemake.params.window,
        snakemake.input.captions,
        snakemake.input.reference,
        judges,
        snakemake.output.verdicts,
        snakemake.output.scores,
    )
