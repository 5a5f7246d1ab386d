"""The original model's images of one shard of the general prompts, and its captions, for all concepts."""

from pathlib import Path

from ear.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    from ear.batching import BatchSize
    from ear.captioning import caption_shard
    from ear.files import read_csv, write_csv
    from ear.janus import Backbone
    from ear.prompts.tables import PROMPT_COLUMNS
    from ear.render import render_prompts, shard_rows, write_manifest
    from ear.sampling import Guidance

    source, params = snakemake.input, snakemake.params
    shard, manifest = int(snakemake.wildcards.shard), Path(snakemake.output.manifest)
    backbone = Backbone.load(str(Path(source.backbone).parent), **params.backbone)
    prompts = read_csv(source.prompts, PROMPT_COLUMNS).assign(window=0)
    rows = render_prompts(
        backbone,
        shard_rows(prompts, shard, params.shards),
        manifest.parent,
        guidance=Guidance(params.guidance),
        batch_size=BatchSize(snakemake.resources.batch_size),
        desc="drawing general prompts",
        **params.sampling,
    )
    captions = caption_shard(backbone, source.captioned, shard, params.shards, "captioning", params.question)
    write_csv(snakemake.output.captions, captions)
    write_manifest(manifest, [rows])
