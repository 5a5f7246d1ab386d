"""The original model's images of one shard of a concept: those of general prompts are drawn already."""

from pathlib import Path

from ear.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    import pandas as pd

    from ear.batching import BatchSize
    from ear.files import read_csv
    from ear.janus import Backbone
    from ear.prompts.tables import PROMPT_COLUMNS
    from ear.render import MANIFEST_COLUMNS, borrowed_rows, render_prompts, shard_rows, write_manifest
    from ear.sampling import Guidance

    source, params, wildcards = snakemake.input, snakemake.params, snakemake.wildcards
    manifest = Path(snakemake.output.manifest)
    prompts = read_csv(source.prompts, PROMPT_COLUMNS).assign(window=0)
    shard = shard_rows(prompts, int(wildcards.shard), params.shards)
    general = borrowed_rows(source.general, manifest.parent)
    drawn = render_prompts(
        Backbone.load(str(Path(source.backbone).parent), **params.backbone),
        shard[shard["prompt_set"] != "general"],
        manifest.parent,
        guidance=Guidance(params.guidance),
        batch_size=BatchSize(snakemake.resources.batch_size),
        desc=f"drawing {wildcards.concept}/{wildcards.method}",
        **params.sampling,
    )
    rows = pd.concat([drawn, general]).set_index("prompt_id").loc[shard["prompt_id"]].reset_index()
    write_manifest(manifest, [rows[MANIFEST_COLUMNS]])
