"""The mini backbone: the language model around the trained VQ tokenizer, saved as a transformers folder."""

from pathlib import Path

from ear.workflow.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    from ear.workflow.files import write_csv, write_json
    from ear.world.backbone import train_backbone

    metrics, curve = train_backbone(
        Path(snakemake.input.world).parent,
        snakemake.input.vq,
        Path(snakemake.output.model).parent,
        architecture=snakemake.params.architecture,
        training=snakemake.params.training,
        seed=snakemake.params.seed,
    )
    write_csv(snakemake.output.curve, curve)
    write_json(snakemake.output.metrics, metrics)
