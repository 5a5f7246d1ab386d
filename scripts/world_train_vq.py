"""The VQ tokenizer of the mini backbone."""

from pathlib import Path

from ear.workflow.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    from ear.workflow.files import write_csv, write_json
    from ear.world.vq import train_vq

    metrics, curve = train_vq(
        Path(snakemake.input.world).parent,
        snakemake.output.weights,
        snakemake.params.settings,
        snakemake.params.seed,
    )
    write_csv(snakemake.output.curve, curve)
    write_json(snakemake.output.metrics, metrics)
