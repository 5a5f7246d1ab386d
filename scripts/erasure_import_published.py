"""The authors' published weights of one concept as an adapter."""

from pathlib import Path

from ear.workflow.jobs import job

with job(snakemake):
    from ear.erasure.release import import_published
    from ear.models.janus import Backbone

    params, wildcards = snakemake.params, snakemake.wildcards
    import_published(
        Path(snakemake.input.weights).parent,
        params.pattern,
        Backbone.load(str(Path(snakemake.input.backbone).parent), **params.backbone),
        params.window,
        {"concept": wildcards.concept, "method": wildcards.method},
        Path(snakemake.output.adapter).parent,
    )
