"""The mini Liquid: a language model over words and the codes of the mini backbone's VQ tokenizer."""

from pathlib import Path

from ear.workflow.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    from ear.workflow.files import write_csv, write_json
    from ear.world.liquid import train_liquid

    metrics, curve = train_liquid(
        Path(snakemake.input.world).parent,
        Path(snakemake.input.backbone).parent,
        Path(snakemake.output.model).parent,
        architecture=snakemake.params.architecture,
        training=snakemake.params.training,
        seed=snakemake.params.seed,
    )
    write_csv(snakemake.output.curve, curve)
    write_json(snakemake.output.metrics, metrics)
