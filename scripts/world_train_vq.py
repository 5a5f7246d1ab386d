"""The VQ tokenizer of the mini backbone."""

from pathlib import Path

from ear.workflow.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    from ear.workflow.files import write_csv, write_json
    from ear.world.vq import train_tokenizer

    metrics, curve = train_tokenizer(
        Path(snakemake.input.world).parent,
        snakemake.output.weights,
        seed=snakemake.params.seed,
        **snakemake.params.settings,
    )
    write_csv(snakemake.output.curve, curve)
    write_json(snakemake.output.metrics, metrics)
