"""Stable Diffusion's images of one shard of a concept's target prompts."""

from pathlib import Path

from ear.workflow.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    from ear.images.batching import BatchSize
    from ear.images.diffusion import render_diffusion
    from ear.images.rendering import shard_rows
    from ear.prompts.tables import PROMPT_COLUMNS
    from ear.workflow.files import read_csv, write_csv

    params, wildcards = snakemake.params, snakemake.wildcards
    manifest = Path(snakemake.output.manifest)
    prompts = read_csv(snakemake.input.prompts, PROMPT_COLUMNS)
    targets = prompts[prompts["prompt_set"] == "target"].assign(window=0)
    rows = render_diffusion(
        Path(snakemake.input.pipeline).parent,
        shard_rows(targets, int(wildcards.shard), params.shards),
        manifest.parent,
        experiment_seed=params.experiment_seed,
        device=params.device,
        dtype=params.dtype,
        batch_size=BatchSize(snakemake.resources.batch_size),
        desc=f"rendering {wildcards.concept}/{wildcards.method}/seed{wildcards.seed}",
        **params.diffusion,
    )
    write_csv(manifest, rows)
