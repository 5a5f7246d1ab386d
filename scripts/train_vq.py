"""The VQ tokenizer of the mini backbone."""

from pathlib import Path

from ear.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    from ear.world.vq import train_tokenizer

    train_tokenizer(
        Path(snakemake.input.world).parent,
        snakemake.output.weights,
        seed=snakemake.params.seed,
        **snakemake.params.settings,
    )
