"""Token streams of the frozen model for one (concept, seed), for all methods of one context and encoding."""

from pathlib import Path

from ear.workflow.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    from ear.erasure.sequences import made_from, read_pairs, sample_streams, save_streams
    from ear.models.janus import Backbone
    from ear.workflow.seeding import stable_seed

    params, wildcards = snakemake.params, snakemake.wildcards
    pairs = read_pairs(snakemake.input.pairs)
    backbone = Backbone.load(str(Path(snakemake.input.backbone).parent), **params.backbone)
    streams = sample_streams(
        backbone,
        pairs,
        wildcards.context,
        wildcards.encoding,
        seed=stable_seed(params.seed, int(wildcards.seed), "streams"),
        guidance=params.guidance,
        temperature=params.temperature,
        batch_size=snakemake.resources.batch_size,
    )
    save_streams(snakemake.output.streams, streams, made_from(backbone, pairs))
