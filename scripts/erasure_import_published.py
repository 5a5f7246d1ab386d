"""The authors' published weights of one concept as edited weights."""

from pathlib import Path

from ear.workflow.jobs import job

with job(snakemake):
    from ear import load
    from ear.erasure.release import import_published

    params, wildcards = snakemake.params, snakemake.wildcards
    import_published(
        Path(snakemake.input.weights).parent,
        params.pattern,
        load(Path(snakemake.input.backbone).parent, **params.backbone),
        params.window,
        {"concept": wildcards.concept, "method": wildcards.method},
        Path(snakemake.output.edited).parent,
    )
