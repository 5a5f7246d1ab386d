"""The authors' published weights of one concept as an adapter."""

from pathlib import Path

from ear.jobs import job

with job(snakemake):
    from ear.erasure.authors import import_published
    from ear.janus import Backbone

    params, wildcards = snakemake.params, snakemake.wildcards
    import_published(
        Path(snakemake.input.weights).parent,
        params.pattern,
        Backbone.load(str(Path(snakemake.input.backbone).parent), **params.backbone),
        params.window,
        {"concept": wildcards.concept, "method": wildcards.method},
        Path(snakemake.output.adapter).parent,
    )
